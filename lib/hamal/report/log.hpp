// The log: one format, several processes, rotation (hamal.conf(5), LOGS).
//
// A line: 2026-11-22T21:24:35.123Z INFO run=1a2b3c4d vm=web01 message
#pragma once
#include <fmt/core.h>

#include <memory>
#include <string>
#include <string_view>

namespace hamal {

enum class LogLevel { debug, info, warning, error, off };

enum class LogRotation { size, daily, none };

struct LogSettings {
  std::string directory;  ///< empty: no file
  std::string file_name;  ///< hamal-sync.log
  LogLevel level = LogLevel::info;
  bool mirror = false;  ///< also on stderr
  LogRotation rotation = LogRotation::size;
  unsigned max_files = 10;
  unsigned max_megabytes = 64;
  std::string run_id;
};

/// Thread-safe; several processes may write one file: each line is one O_APPEND write, rotation is
/// under a file lock. A log that cannot be written is reported on stderr once and never fails the
/// run.
class Logger {
 public:
  /// Discards everything.
  Logger();
  explicit Logger(const LogSettings& settings);
  ~Logger();
  Logger(const Logger&) = delete;
  Logger& operator=(const Logger&) = delete;

  /// Named on every following line; empty: none.
  void set_vm(std::string vm);
  /// Control characters in `message` are escaped: a line stays a line.
  void log(LogLevel level, std::string_view message);

  template <typename... A>
  void debug(fmt::format_string<A...> format, A&&... args) {
    log(LogLevel::debug, fmt::format(format, std::forward<A>(args)...));
  }
  template <typename... A>
  void info(fmt::format_string<A...> format, A&&... args) {
    log(LogLevel::info, fmt::format(format, std::forward<A>(args)...));
  }
  template <typename... A>
  void warning(fmt::format_string<A...> format, A&&... args) {
    log(LogLevel::warning, fmt::format(format, std::forward<A>(args)...));
  }
  template <typename... A>
  void error(fmt::format_string<A...> format, A&&... args) {
    log(LogLevel::error, fmt::format(format, std::forward<A>(args)...));
  }

 private:
  struct State;
  std::unique_ptr<State> m_state;
};

}  // namespace hamal
