// Files that become objects once they are whole. Private to this folder.
#pragma once
#include <filesystem>
#include <string>

#include "hamal/util/unique_fd.hpp"

namespace hamal {

/// A new file of mode 0600 in a folder of such, locked as long as it is open: that is how the
/// living are told from the dead, on this host and, where the file system carries locks, on others.
/// Removed unless it was renamed.
class Temporary {
 public:
  /// The folder exists.
  explicit Temporary(const std::filesystem::path& folder);
  ~Temporary();
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

  int fd() const noexcept { return m_fd.get(); }
  const std::string& path() const noexcept { return m_path; }
  /// It is not at path() any more.
  void renamed() noexcept { m_path.clear(); }

 private:
  std::string m_path;
  UniqueFd m_fd;
};

/// Removes what processes that ended without their destructors left in the folder: unlocked, and
/// older than an hour by the clock of the file system (one that was just made is not locked yet).
/// Errors are nobody's trouble: the next one tries again.
void collect_stale_temporaries(const std::filesystem::path& folder) noexcept;

}  // namespace hamal
