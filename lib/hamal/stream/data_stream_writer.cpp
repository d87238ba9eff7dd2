// Writing the data stream.
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "hamal/stream/data_format.hpp"
#include "hamal/stream/disk_track.hpp"
#include "hamal/stream/header_json.hpp"
#include "hamal/util/text.hpp"

namespace hamal {

using namespace data_format;

namespace {

enum class Phase { plan, copy, ended };

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

struct DataStreamWriter::State {
  ByteSink sink;
  StreamHeader header;
  std::vector<DiskTrack> planned;
  std::vector<DiskTrack> sent;
  Phase phase = Phase::plan;
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> hash{XXH3_createState(),
                                                                       &XXH3_freeState};
  std::string frame;

  /// The payload comes in two parts, so that disk data is never copied together.
  void record(std::string_view tag, std::string_view first, std::string_view second = {}) {
    frame.assign(k_record_header, '\0');
    tag.copy(frame.data(), tag.size());
    put(frame.data() + k_length_offset, static_cast<std::uint32_t>(first.size() + second.size()));
    XXH3_64bits_reset(hash.get());
    XXH3_64bits_update(hash.get(), frame.data(), k_checksum_offset);
    XXH3_64bits_update(hash.get(), first.data(), first.size());
    XXH3_64bits_update(hash.get(), second.data(), second.size());
    put(frame.data() + k_checksum_offset, std::uint64_t{XXH3_64bits_digest(hash.get())});
    frame += first;
    sink(frame);
    if (!second.empty()) {
      sink(second);
    }
  }

  void enter(Phase needed, std::size_t disk) {
    if (phase > needed) {
      throw std::logic_error("data stream: a call out of order");
    }
    phase = needed;
    if (disk >= header.disks.size()) {
      throw std::logic_error("data stream: no such disk in its header");
    }
  }

  static void track(DiskTrack& disk, const Extent& extent) {
    if (auto problem = disk.add(extent)) {
      throw std::logic_error("data stream: extent (" + describe(extent) + ") " + *problem);
    }
  }
};

DataStreamWriter::DataStreamWriter(ByteSink sink, const StreamHeader& header)
    : m_state(std::make_unique<State>()) {
  m_state->sink = std::move(sink);
  m_state->header = header;
  for (const StreamDisk& disk : header.disks) {
    m_state->planned.emplace_back(disk.size);
    m_state->sent.emplace_back(disk.size);
  }
  const std::string json = header_to_json(header, k_data_format);
  m_state->sink(k_data_stream_magic);
  m_state->record(k_head, json);
}

DataStreamWriter::~DataStreamWriter() = default;

void DataStreamWriter::plan(std::size_t disk, std::span<const Extent> extents) {
  m_state->enter(Phase::plan, disk);
  while (!extents.empty()) {
    const std::size_t count = std::min(extents.size(), k_max_plan_extents);
    std::string payload(k_plan_prefix + count * k_plan_extent, '\0');
    put(payload.data(), static_cast<std::uint32_t>(disk));
    put(payload.data() + 4, static_cast<std::uint32_t>(count));
    char* to = payload.data() + k_plan_prefix;
    for (const Extent& extent : extents.first(count)) {
      State::track(m_state->planned[disk], extent);
      put(to, extent.offset);
      put(to + 8, extent.length | (extent.kind == ExtentKind::zero ? k_zero_bit : 0));
      to += k_plan_extent;
    }
    m_state->record(k_plan, payload);
    extents = extents.subspan(count);
  }
}

void DataStreamWriter::data(std::size_t disk, std::uint64_t offset,
                            std::span<const std::byte> bytes) {
  m_state->enter(Phase::copy, disk);
  State::track(m_state->sent[disk], {offset, bytes.size(), ExtentKind::data});
  while (!bytes.empty()) {
    const std::size_t count = std::min<std::size_t>(bytes.size(), k_max_data_record);
    std::array<char, k_data_prefix> prefix{};
    put(prefix.data(), static_cast<std::uint32_t>(disk));
    put(prefix.data() + 8, offset);
    m_state->record(k_data, {prefix.data(), prefix.size()}, as_text(bytes.first(count)));
    offset += count;
    bytes = bytes.subspan(count);
  }
}

void DataStreamWriter::zero(std::size_t disk, std::uint64_t offset, std::uint64_t length) {
  m_state->enter(Phase::copy, disk);
  State::track(m_state->sent[disk], {offset, length, ExtentKind::zero});
  std::array<char, k_zero_size> payload{};
  put(payload.data(), static_cast<std::uint32_t>(disk));
  put(payload.data() + 8, offset);
  put(payload.data() + 16, length);
  m_state->record(k_zero, {payload.data(), payload.size()});
}

void DataStreamWriter::finish() {
  m_state->enter(Phase::copy, 0);
  std::vector<StreamTotals> totals;
  for (std::size_t i = 0; i < m_state->header.disks.size(); ++i) {
    const StreamTotals& planned = m_state->planned[i].totals();
    const StreamTotals& sent = m_state->sent[i].totals();
    if (planned.bytes() != sent.bytes()) {
      throw std::logic_error("data stream: what was sent is not what was planned");
    }
    totals.push_back({planned.extents, sent.data_bytes, sent.zero_bytes});
  }
  m_state->phase = Phase::ended;
  m_state->record(k_done, trailer_to_json(m_state->header, totals));
}

void DataStreamWriter::fail(ExitStatus status, std::string_view message) {
  m_state->enter(Phase::copy, 0);
  if (status == ExitStatus::done) {
    throw std::logic_error("data stream: a failure needs a status other than 0");
  }
  std::array<char, 4> prefix{};
  put(prefix.data(), static_cast<std::uint32_t>(status));
  m_state->phase = Phase::ended;
  m_state->record(k_fail, {prefix.data(), prefix.size()},
                  message.substr(0, k_max_fail - prefix.size()));
}

}  // namespace hamal
