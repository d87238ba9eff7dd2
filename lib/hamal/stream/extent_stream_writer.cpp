// Writing the extent stream.
#include <stdexcept>
#include <utility>

#include "hamal/stream/disk_track.hpp"
#include "hamal/stream/extent_line.hpp"
#include "hamal/stream/extent_stream.hpp"
#include "hamal/stream/header_json.hpp"

namespace hamal {
namespace {

constexpr std::size_t k_flush_size = 64U << 10;

}  // namespace

struct ExtentStreamWriter::State {
  ByteSink sink;
  StreamHeader header;
  std::vector<std::string> prefixes;
  std::vector<DiskTrack> tracks;
  std::string buffer;
  bool ended = false;

  void flush() {
    const std::string out = std::exchange(buffer, {});
    if (!out.empty()) {
      sink(out);
    }
  }
  void check_open() const {
    if (ended) {
      throw std::logic_error("extent stream: written to after its end");
    }
  }
  void end_with(std::string_view line) {
    ended = true;
    buffer += line;
    buffer += '\n';
    flush();
  }
};

ExtentStreamWriter::ExtentStreamWriter(ByteSink sink, const StreamHeader& header)
    : m_state(std::make_unique<State>()) {
  m_state->sink = std::move(sink);
  m_state->header = header;
  for (const StreamDisk& disk : header.disks) {
    m_state->prefixes.push_back(extent_line_prefix(disk.id));
    m_state->tracks.emplace_back(disk.size);
  }
  m_state->buffer = header_to_json(header, k_extents_format) + '\n';
  m_state->flush();
}

ExtentStreamWriter::~ExtentStreamWriter() = default;

void ExtentStreamWriter::extents(std::size_t disk, std::span<const Extent> extents) {
  State& state = *m_state;
  state.check_open();
  if (disk >= state.tracks.size()) {
    throw std::logic_error("extent stream: no such disk in its header");
  }
  for (const Extent& extent : extents) {
    if (auto problem = state.tracks[disk].add(extent)) {
      throw std::logic_error("extent stream: extent (" + describe(extent) + ") " + *problem);
    }
    append_extent_line(state.buffer, state.prefixes[disk], extent);
    if (state.buffer.size() >= k_flush_size) {
      state.flush();
    }
  }
}

void ExtentStreamWriter::finish() {
  m_state->check_open();
  std::vector<StreamTotals> totals;
  for (const DiskTrack& track : m_state->tracks) {
    totals.push_back(track.totals());
  }
  m_state->end_with(trailer_to_json(m_state->header, totals));
}

void ExtentStreamWriter::fail(ExitStatus status, std::string_view message) {
  m_state->check_open();
  if (status == ExitStatus::done) {
    throw std::logic_error("extent stream: a failure needs a status other than 0");
  }
  m_state->end_with(
      dump({{"error", {{"status", static_cast<int>(status)}, {"message", message}}}}));
}

}  // namespace hamal
