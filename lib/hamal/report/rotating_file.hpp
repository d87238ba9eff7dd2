// One log file that several processes append to and rotate.
#pragma once
#include <sys/stat.h>

#include <chrono>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <string>
#include <string_view>

#include "hamal/report/log.hpp"
#include "hamal/util/unique_fd.hpp"

namespace hamal {

struct RotationSettings {
  LogRotation kind = LogRotation::size;
  unsigned max_files = 10;
  std::uint64_t max_bytes = 0;
};

/// Not thread-safe. Invariants: each line is one write to a descriptor in append mode, so lines are
/// never torn; a file is only renamed by whoever holds the lock file `.NAME.lock`, after another
/// look at what the name means now; who holds an older inode notices at the next line and opens the
/// new one. A line written meanwhile lands in the renamed file, and is not lost.
class RotatingFile {
 public:
  RotatingFile(std::filesystem::path path, RotationSettings settings);
  /// `line` ends in a newline. Throws Error.
  void append(std::string_view line);

 private:
  void open();
  bool is_current(const struct stat& ours) const;
  bool is_due(const struct stat& ours, std::size_t more) const;
  void write_line(std::string_view line);
  void rotate(std::size_t more);
  void shift_numbered();
  void rename_dated(const struct stat& ours);
  void remove_oldest_dated();

  std::filesystem::path m_path;
  RotationSettings m_settings;
  UniqueFd m_fd;
  std::chrono::steady_clock::time_point m_next_attempt{};  ///< to rotate
  bool m_torn = false;  ///< the last write stopped within its line
};

/// YYYY-MM-DD in UTC, as in the lines.
std::string log_day(std::time_t when);

}  // namespace hamal
