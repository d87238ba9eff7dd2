// A lock between processes of one host: flock on a file that says who holds it.
#pragma once
#include <chrono>
#include <filesystem>
#include <string>

#include "hamal/util/cancel.hpp"
#include "hamal/util/unique_fd.hpp"

namespace hamal {

/// Who takes a lock: written into the file for the one who finds it taken.
struct LockHolder {
  std::string run_id;
  std::string tool;
};

/// Held from construction to destruction, by the open file description: the kernel frees it however
/// the process ends, and a child that inherits the descriptor (it is close-on-exec) holds it too.
/// The file stays behind, empty: removing it would let two processes lock two files of one name.
class FileLock {
 public:
  /// Waits up to `wait` (0: does not wait). Throws Error(busy) that names the holder, with `what`
  /// as its object ("vm web01"), as CancelToken::check() does when stopped, and a system_error when
  /// the file cannot be made. Makes the directory.
  FileLock(const std::filesystem::path& path, const std::string& what, const LockHolder& holder,
           std::chrono::milliseconds wait, const CancelToken& cancel);
  ~FileLock();
  FileLock(FileLock&&) noexcept = default;
  FileLock& operator=(FileLock&& other) noexcept;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  int fd() const noexcept { return m_fd.get(); }

 private:
  void release() noexcept;

  UniqueFd m_fd;
};

/// What the holder of the lock at `path` wrote: "pid=… run=… tool=… since=…", empty when nobody
/// did.
std::string read_lock_holder(const std::filesystem::path& path);

}  // namespace hamal
