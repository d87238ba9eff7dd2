// The extent stream: JSON Lines between hamal-cbt-read and hamal-sync (hamal-stream(5), EXTENT
// STREAM).
//
// In a full, what no extent covers is zero at the source; in an incremental, what no extent covers
// did not change. Extents of one disk ascend; those of different disks may interleave.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "hamal/extent/extent.hpp"
#include "hamal/stream/stream_header.hpp"
#include "hamal/util/error.hpp"

namespace hamal {

/// Where the bytes of a stream go. Called in order, from one thread.
using ByteSink = std::function<void(std::string_view)>;

/// Writes header, extents, then exactly one of finish() or fail(). Not thread-safe. Checks its own
/// promises (order, bounds, known disk) and throws std::logic_error when the caller breaks them.
class ExtentStreamWriter {
 public:
  ExtentStreamWriter(ByteSink sink, const StreamHeader& header);
  ~ExtentStreamWriter();
  /// `disk` is an index into header.disks.
  void extents(std::size_t disk, std::span<const Extent> extents);
  /// The trailer: without it the stream is an error to its reader.
  void finish();
  /// The error record in place of the trailer: the reader returns this exit status.
  void fail(ExitStatus status, std::string_view message);

 private:
  struct State;
  std::unique_ptr<State> m_state;
};

/// Reads and validates one stream from a descriptor. Not thread-safe. Everything that arrives is
/// foreign input: any violation throws an Error that names the line and what is wrong. An error
/// record throws StreamFailed.
class ExtentStreamReader {
 public:
  /// Reads the header. `fd` is borrowed; `name` names it in errors; `prefix` is what
  /// detect_stream() has read of it.
  ExtentStreamReader(int fd, std::string name, std::string prefix = {});
  ~ExtentStreamReader();
  const StreamHeader& header() const noexcept;
  /// The next extents of one disk; false after a complete, consistent trailer and the end of input.
  bool next(std::size_t& disk, std::vector<Extent>& window);

 private:
  struct State;
  std::unique_ptr<State> m_state;
};

/// The producer said that it failed: its message and exit status.
class StreamFailed : public Error {
 public:
  StreamFailed(int status, std::string message, std::string name);
  /// The producer's exit status (1…255).
  int status() const noexcept { return m_status; }

 private:
  int m_status;
};

}  // namespace hamal
