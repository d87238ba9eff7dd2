// Reading the extent stream: lines of a hamal writer by a fast path, all others by the strict
// parser.
#include <fmt/core.h>

#include <cstring>
#include <unordered_map>
#include <utility>

#include "hamal/stream/byte_input.hpp"
#include "hamal/stream/data_stream.hpp"
#include "hamal/stream/disk_track.hpp"
#include "hamal/stream/extent_line.hpp"
#include "hamal/stream/extent_stream.hpp"
#include "hamal/stream/header_json.hpp"

namespace hamal {
namespace {

constexpr const char* k_truncated_hint =
    "the command left of the pipe was killed or the connection was cut; run the pipe again";

struct DiskExtent {
  std::size_t disk = 0;
  Extent extent;
};

ExtentKind parse_kind(const Fields& fields) {
  const std::string kind = fields.text("kind");
  if (kind != "data" && kind != "zero") {
    fields.refuse("kind", fmt::format("must be data or zero, not {}", in_quotes(kind)));
  }
  return kind == "data" ? ExtentKind::data : ExtentKind::zero;
}

}  // namespace

struct ExtentStreamReader::State {
  State(int fd, std::string name, std::string_view prefix) : input(fd, std::move(name), prefix) {}

  Place place(ErrorKind kind = ErrorKind::failed) const {
    return {fmt::format("{}, line {}", input.name(), line_number), kind};
  }

  /// Where the line feed of the next line is, if it has been read.
  bool has_line() {
    if (line_feed == std::string_view::npos) {
      const std::string_view text = input.buffered();
      const void* found = text.size() > scanned
                              ? std::memchr(text.data() + scanned, '\n', text.size() - scanned)
                              : nullptr;
      scanned = text.size();
      if (found != nullptr) {
        line_feed = static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
      }
    }
    return line_feed != std::string_view::npos;
  }

  /// The next line without its line feed, valid until the next call; false at the end of the input.
  bool read_line(std::string_view& line) {
    ++line_number;
    while (!has_line()) {
      if (input.buffered().size() > max_line) {
        break;
      }
      if (!input.read_more()) {
        if (input.buffered().empty()) {
          return false;
        }
        Place{input.name(), ErrorKind::failed}.refuse(
            fmt::format("ends in the middle of line {}", line_number), k_truncated_hint);
      }
    }
    const std::size_t size = has_line() ? line_feed : input.buffered().size();
    if (size > max_line) {
      place().refuse(fmt::format("the line is longer than {} bytes", max_line));
    }
    line = input.buffered().substr(0, size);
    input.consume(size + 1);
    line_feed = std::string_view::npos;
    scanned = 0;
    return true;
  }

  void read_header() {
    const Place whole{input.name(), ErrorKind::usage};
    if (input.fill(1).empty()) {
      Place{input.name(), ErrorKind::failed}.refuse(
          "the producer wrote nothing: it failed before its header",
          "see the messages of the command left of the pipe");
    }
    const char first = input.buffered().front();
    if (first == k_data_stream_magic.front() &&
        input.fill(7).starts_with(k_data_stream_magic.substr(0, 7))) {
      whole.refuse("is a data stream, not an extent stream");
    }
    if (first != '{') {
      whole.refuse("is not an extent stream: it does not start with a header");
    }
    std::string_view line;
    max_line = k_max_header;
    read_line(line);
    refuse_documents(line, whole);
    header = parse_header(line, k_extents_format, place(ErrorKind::usage));
    max_line = k_max_line + line.size();
    prefixes.reserve(header.disks.size());  // by_prefix points into it
    for (std::size_t i = 0; i < header.disks.size(); ++i) {
      tracks.emplace_back(header.disks[i].size);
      prefixes.push_back(extent_line_prefix(header.disks[i].id));
      by_prefix.emplace(prefixes[i], i);
      by_id.emplace(header.disks[i].id, i);
    }
  }

  /// A document that an editor or jq has spread over lines.
  static void refuse_documents(std::string_view line, const Place& whole) {
    if (line.find_first_not_of("{ \t\r") == std::string_view::npos) {
      whole.refuse("is not an extent stream: its header is not on one line",
                   "a snapshot document is given to hamal-cbt-read, which prints the stream");
    }
  }

  bool parse_fast(std::string_view line, DiskExtent& next) const {
    std::size_t disk = current_disk;
    if (!line.starts_with(prefixes[disk])) {
      const std::size_t offset = line.find(",\"offset\":");
      if (offset == std::string_view::npos) {
        return false;
      }
      const auto found = by_prefix.find(line.substr(0, offset + 10));
      if (found == by_prefix.end()) {
        return false;
      }
      disk = found->second;
    }
    next.disk = disk;
    return parse_extent_line(line.substr(prefixes[disk].size()), next.extent);
  }

  /// False: it was the trailer.
  bool parse_slow(std::string_view line, DiskExtent& next) {
    const Place here = place();
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) {
      here.refuse("the line is blank");
    }
    const nlohmann::json object = parse_strict(line, here);
    const Fields fields(object, here);
    if (fields.has("trailer")) {
      std::vector<StreamTotals> totals;
      for (const DiskTrack& track : tracks) {
        totals.push_back(track.totals());
      }
      check_trailer(object, header, totals, here);
      return false;
    }
    if (fields.has("error")) {
      fail(Fields(fields.require_object("error"), here, "error."));
    }
    const std::string disk = fields.text("disk");
    const auto found = by_id.find(disk);
    if (found == by_id.end()) {
      here.refuse(fmt::format("the header has no disk {}", in_quotes(disk)));
    }
    next.disk = found->second;
    next.extent = {fields.number("offset"), fields.number("length"), parse_kind(fields)};
    return true;
  }

  [[noreturn]] void fail(const Fields& error) const {
    const std::uint64_t status = error.number("status");
    if (status == 0 || status > 255) {
      error.refuse("status", "must be 1 to 255");
    }
    throw StreamFailed(static_cast<int>(status), error.text("message"), input.name());
  }

  void read_end() {
    // What follows may be anything, of any length.
    if (!input.fill(1).empty()) {
      ++line_number;
      place().refuse("something follows the trailer",
                     "two streams were joined, or something else wrote into the pipe");
    }
    ended = true;
  }

  bool read_extent(DiskExtent& next) {
    std::string_view line;
    if (!read_line(line)) {
      Place{input.name(), ErrorKind::failed}.refuse(
          fmt::format("ends without its trailer, after line {}", line_number - 1),
          k_truncated_hint);
    }
    if (!parse_fast(line, next) && !parse_slow(line, next)) {
      read_end();
      return false;
    }
    if (const auto problem = tracks[next.disk].add(next.extent)) {
      place().refuse(fmt::format("the extent ({}) of disk {} {}", describe(next.extent),
                                 in_quotes(header.disks[next.disk].id), *problem));
    }
    return true;
  }

  ByteInput input;
  std::uint64_t line_number = 0;
  std::size_t line_feed = std::string_view::npos;
  std::size_t scanned = 0;
  std::size_t max_line = 0;
  StreamHeader header;
  std::vector<DiskTrack> tracks;
  std::vector<std::string> prefixes;
  std::unordered_map<std::string_view, std::size_t> by_prefix;
  std::unordered_map<std::string, std::size_t> by_id;
  std::size_t current_disk = 0;
  bool has_pending = false;
  DiskExtent pending;
  bool ended = false;
};

ExtentStreamReader::ExtentStreamReader(int fd, std::string name, std::string prefix)
    : m_state(std::make_unique<State>(fd, std::move(name), prefix)) {
  m_state->read_header();
}

ExtentStreamReader::~ExtentStreamReader() = default;

const StreamHeader& ExtentStreamReader::header() const noexcept {
  return m_state->header;
}

bool ExtentStreamReader::next(std::size_t& disk, std::vector<Extent>& window) {
  State& state = *m_state;
  window.clear();
  while (window.size() < ExtentSource::k_window_extents) {
    // What has arrived is handed on rather than kept while the producer thinks.
    if (!state.has_pending && (state.ended || (!window.empty() && !state.has_line()))) {
      break;
    }
    if (!state.has_pending && !state.read_extent(state.pending)) {
      break;
    }
    if (!window.empty() && state.pending.disk != state.current_disk) {
      state.has_pending = true;
      break;
    }
    state.has_pending = false;
    state.current_disk = state.pending.disk;
    window.push_back(state.pending.extent);
  }
  disk = state.current_disk;
  return !window.empty();
}

}  // namespace hamal
