// Reading the data stream. Nothing in a record is looked at before its length is known to be
// allowed and its checksum is right; nothing is allocated for a length that is not.
#include <fmt/core.h>
#include <xxhash.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "hamal/stream/byte_input.hpp"
#include "hamal/stream/data_format.hpp"
#include "hamal/stream/disk_track.hpp"
#include "hamal/stream/header_json.hpp"

namespace hamal {

using namespace data_format;

namespace {

constexpr const char* k_truncated_hint =
    "the command left of the pipe was killed or the connection was cut; run the pipe again";
constexpr const char* k_damaged_hint = "the stream was damaged on its way; run the pipe again";
/// Unknown records are skipped through a window of this size.
constexpr std::size_t k_skip_size = 256U << 10;

bool is_letter(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

struct RecordHeader {
  std::string tag;
  std::uint32_t length = 0;
  std::uint64_t checksum = 0;
  std::string hashed;  ///< tag and length as they stood there
};

class Hash {
 public:
  Hash() : m_state(XXH3_createState(), &XXH3_freeState) {}
  void start(std::string_view bytes) {
    XXH3_64bits_reset(m_state.get());
    add(bytes);
  }
  void add(std::string_view bytes) {
    XXH3_64bits_update(m_state.get(), bytes.data(), bytes.size());
  }
  std::uint64_t value() const { return XXH3_64bits_digest(m_state.get()); }

 private:
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> m_state;
};

}  // namespace

struct DataStreamReader::State {
  State(int fd, std::string name, std::string_view prefix) : input(fd, std::move(name), prefix) {}

  Place place(ErrorKind kind = ErrorKind::failed) const {
    return {fmt::format("{}, record {} at byte {}", input.name(), record_number, record_start),
            kind};
  }
  Place whole(ErrorKind kind = ErrorKind::failed) const { return {input.name(), kind}; }

  void read_magic() {
    const std::string_view start = input.fill(k_data_stream_magic.size());
    const std::string_view magic = k_data_stream_magic.substr(0, 7);
    if (start.empty()) {
      whole().refuse("the producer wrote nothing: it failed before its header",
                     "see the messages of the command left of the pipe");
    }
    if (start.size() < k_data_stream_magic.size() && k_data_stream_magic.starts_with(start)) {
      whole().refuse("ends in the middle of its magic", k_truncated_hint);
    }
    if (!start.starts_with(magic)) {
      whole(ErrorKind::usage)
          .refuse(start.front() == '{'
                      ? "is not a data stream: it starts as a document or an extent stream"
                      : "is not a data stream: it does not start with its magic");
    }
    const auto version = static_cast<unsigned char>(start[magic.size()]);
    if (version > k_version) {
      refuse_newer(version, k_version, whole(ErrorKind::usage));
    }
    if (version == 0) {
      whole(ErrorKind::usage).refuse("has the version 0, which never was");
    }
    input.consume(k_data_stream_magic.size());
  }

  /// 0: unknown.
  std::size_t max_length(std::string_view tag) const {
    if (tag == k_data) {
      return k_data_prefix + k_max_data_record;
    }
    if (tag == k_zero) {
      return k_zero_size;
    }
    if (tag == k_plan) {
      return k_plan_prefix + k_max_plan_extents * k_plan_extent;
    }
    if (tag == k_head) {
      return k_max_header;
    }
    if (tag == k_done) {
      return k_max_line + header_length;
    }
    return tag == k_fail ? k_max_fail : 0;
  }

  RecordHeader read_record_header() {
    ++record_number;
    record_start = input.position();
    const std::string_view bytes = input.fill(k_record_header);
    if (bytes.empty()) {
      whole().refuse(fmt::format("ends without its end record, after {} records and {} bytes",
                                 record_number - 1, record_start),
                     k_truncated_hint);
    }
    if (bytes.size() < k_record_header) {
      refuse_middle();
    }
    RecordHeader record;
    record.tag = bytes.substr(0, 4);
    record.length = get<std::uint32_t>(bytes.data() + k_length_offset);
    record.checksum = get<std::uint64_t>(bytes.data() + k_checksum_offset);
    record.hashed = bytes.substr(0, k_checksum_offset);
    if (!std::all_of(record.tag.begin(), record.tag.end(), is_letter)) {
      place().refuse("no record starts here: its tag is not four letters", k_damaged_hint);
    }
    input.consume(k_record_header);
    return record;
  }

  [[noreturn]] void refuse_middle() const {
    whole().refuse(fmt::format("ends in the middle of record {}, which starts at byte {}",
                               record_number, record_start),
                   k_truncated_hint);
  }

  void check(const RecordHeader& record) const {
    if (hash.value() != record.checksum) {
      place().refuse(fmt::format("the checksum of the {} record is wrong", record.tag),
                     k_damaged_hint);
    }
  }

  void skip(const RecordHeader& record) {
    hash.start(record.hashed);
    for (std::size_t left = record.length; left > 0;) {
      const std::size_t part = std::min(left, k_skip_size);
      if (input.fill(part).size() < part) {
        refuse_middle();
      }
      hash.add(input.buffered().substr(0, part));
      input.consume(part);
      left -= part;
    }
    check(record);
    if (record.tag[0] < 'a') {
      place(ErrorKind::usage)
          .refuse(fmt::format("has the tag {}, which this hamal does not know", record.tag),
                  "update hamal on this host, or use the same version on both");
    }
  }

  /// The next record that is known; its payload is valid until the next call.
  std::pair<std::string, std::string_view> read_record() {
    for (;;) {
      const RecordHeader record = read_record_header();
      const std::size_t limit = max_length(record.tag);
      if (header.disks.empty() && record.tag != k_head) {
        place().refuse(fmt::format("the first record is {}, not HEAD", record.tag), k_damaged_hint);
      }
      if (limit == 0) {
        skip(record);
        continue;
      }
      if (record.length > limit) {
        place().refuse(fmt::format("a {} record of {} bytes, {} are allowed", record.tag,
                                   record.length, limit),
                       k_damaged_hint);
      }
      if (input.fill(record.length).size() < record.length) {
        refuse_middle();
      }
      const std::string_view payload = input.buffered().substr(0, record.length);
      hash.start(record.hashed);
      hash.add(payload);
      check(record);
      input.consume(record.length);
      return {record.tag, payload};
    }
  }

  void read_head() {
    const auto [tag, payload] = read_record();
    header_length = payload.size();
    header = parse_header(payload, k_data_format, place(ErrorKind::usage));
    for (const StreamDisk& disk : header.disks) {
      planned.emplace_back(disk.size);
      sent.emplace_back(disk.size);
    }
  }

  void need(std::string_view tag, std::string_view payload, std::size_t least) const {
    if (payload.size() < least) {
      place().refuse(
          fmt::format("a {} record of {} bytes, it needs {}", tag, payload.size(), least));
    }
  }

  std::size_t disk_of(std::string_view payload) const {
    const auto disk = get<std::uint32_t>(payload.data());
    if (disk >= header.disks.size()) {
      place().refuse(
          fmt::format("names disk {}, the header has {} from 0", disk, header.disks.size()));
    }
    return disk;
  }

  void track(std::vector<DiskTrack>& tracks, std::size_t disk, const Extent& extent) const {
    if (const auto problem = tracks[disk].add(extent)) {
      place().refuse(fmt::format("the range ({}) of disk {} {}", describe(extent),
                                 in_quotes(header.disks[disk].id), *problem));
    }
  }

  PlanRecord plan(std::string_view payload) {
    if (copying) {
      place().refuse("a PLAN record after the first DATA or ZERO");
    }
    need(k_plan, payload, k_plan_prefix + k_plan_extent);
    PlanRecord record{disk_of(payload), {}};
    const std::size_t count = get<std::uint32_t>(payload.data() + 4);
    if (count != (payload.size() - k_plan_prefix) / k_plan_extent ||
        (payload.size() - k_plan_prefix) % k_plan_extent != 0) {
      place().refuse(fmt::format("counts {} extents in {} bytes", count, payload.size()));
    }
    record.extents.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      const char* from = payload.data() + k_plan_prefix + i * k_plan_extent;
      const auto length = get<std::uint64_t>(from + 8);
      record.extents.push_back({get<std::uint64_t>(from), length & ~k_zero_bit,
                                (length & k_zero_bit) != 0 ? ExtentKind::zero : ExtentKind::data});
      track(planned, record.disk, record.extents.back());
    }
    return record;
  }

  DataRecord data(std::string_view payload) {
    need(k_data, payload, k_data_prefix + 1);
    const std::string_view bytes = payload.substr(k_data_prefix);
    const DataRecord record{disk_of(payload),
                            range_offset(payload),
                            {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()}};
    track(sent, record.disk, {record.offset, bytes.size(), ExtentKind::data});
    return record;
  }

  ZeroRecord zero(std::string_view payload) {
    need(k_zero, payload, k_zero_size);
    const ZeroRecord record{disk_of(payload), range_offset(payload),
                            get<std::uint64_t>(payload.data() + 16)};
    track(sent, record.disk, {record.offset, record.length, ExtentKind::zero});
    return record;
  }

  /// Of DATA and ZERO, which start alike.
  std::uint64_t range_offset(std::string_view payload) {
    if (get<std::uint32_t>(payload.data() + 4) != 0) {
      place().refuse("a field that must be 0 is not");
    }
    copying = true;
    return get<std::uint64_t>(payload.data() + 8);
  }

  [[noreturn]] void fail(std::string_view payload) const {
    need(k_fail, payload, 4);
    const auto status = get<std::uint32_t>(payload.data());
    if (status == 0 || status > 255) {
      place().refuse(fmt::format("an error record with the status {}, not 1 to 255", status));
    }
    throw StreamFailed(static_cast<int>(status), std::string(payload.substr(4)), input.name());
  }

  void done(std::string_view payload) {
    const Place here = place();
    std::vector<StreamTotals> totals;
    for (std::size_t i = 0; i < header.disks.size(); ++i) {
      const StreamTotals& arrived = sent[i].totals();
      if (planned[i].totals().bytes() != arrived.bytes()) {
        here.refuse(fmt::format("of disk {} {} bytes were planned, {} arrived",
                                in_quotes(header.disks[i].id), planned[i].totals().bytes(),
                                arrived.bytes()),
                    "part of the stream was lost; run the pipe again");
      }
      totals.push_back({planned[i].totals().extents, arrived.data_bytes, arrived.zero_bytes});
    }
    check_trailer(parse_strict(payload, here), header, totals, here);
    if (!input.fill(1).empty()) {
      here.refuse("something follows the end record",
                  "two streams were joined, or something else wrote into the pipe");
    }
    ended = true;
  }

  ByteInput input;
  Hash hash;
  std::uint64_t record_number = 0;
  std::uint64_t record_start = 0;
  std::size_t header_length = 0;
  StreamHeader header;
  std::vector<DiskTrack> planned;
  std::vector<DiskTrack> sent;
  bool copying = false;
  bool ended = false;
};

DataStreamReader::DataStreamReader(int fd, std::string name, std::string prefix)
    : m_state(std::make_unique<State>(fd, std::move(name), prefix)) {
  m_state->read_magic();
  m_state->read_head();
}

DataStreamReader::~DataStreamReader() = default;

const StreamHeader& DataStreamReader::header() const noexcept {
  return m_state->header;
}

StreamRecord DataStreamReader::next() {
  State& state = *m_state;
  if (state.ended) {
    return EndRecord{};
  }
  const auto [tag, payload] = state.read_record();
  if (tag == k_plan) {
    return state.plan(payload);
  }
  if (tag == k_data) {
    return state.data(payload);
  }
  if (tag == k_zero) {
    return state.zero(payload);
  }
  if (tag == k_fail) {
    state.fail(payload);
  }
  if (tag == k_head) {
    state.place().refuse("a second HEAD record",
                         "two streams were joined, or something else wrote into the pipe");
  }
  state.done(payload);
  return EndRecord{};
}

}  // namespace hamal
