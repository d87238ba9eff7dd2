// Progress of anything longer than a second: text on a terminal, JSON lines on request, silence in
// pipes.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace hamal {

enum class ProgressMode {
  automatic,  ///< text when stderr is a terminal, else quiet
  text,
  json,  ///< one object per line on stderr, once a second and at each phase
  quiet,
};

/// Thread-safe; cheap enough to call per request. Shared by all disks of a run.
class Progress {
 public:
  virtual ~Progress() = default;
  /// A phase of one object ("web01/disk0": "planning", "copying", "flushing"); total bytes, 0 when
  /// unknown.
  virtual void phase(std::string_view object, std::string_view name, std::uint64_t total) = 0;
  virtual void advance(std::string_view object, std::uint64_t bytes) = 0;
  /// What the object waits for most, now: "source", "target", "throttle", "cpu", "nothing".
  virtual void bound(std::string_view object, std::string_view by) = 0;
  /// The object is done: its line ends.
  virtual void done(std::string_view object) = 0;
};

/// Writes to `fd`, which stays the caller's and open: stderr, or a test's pipe. Text on what is no
/// terminal: a line at each phase and every ten seconds.
std::unique_ptr<Progress> make_progress(ProgressMode mode, int fd = 2);

}  // namespace hamal
