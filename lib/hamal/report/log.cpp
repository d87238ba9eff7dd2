#include "hamal/report/log.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <exception>
#include <mutex>
#include <utility>

#include "hamal/report/rotating_file.hpp"
#include "hamal/util/text.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

constexpr std::uint64_t k_megabyte = 1ULL << 20U;

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
    case LogLevel::off:
      break;
  }
  return spdlog::level::off;
}

const char* name_of(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::debug:
      return "DEBUG";
    case spdlog::level::warn:
      return "WARNING";
    case spdlog::level::err:
      return "ERROR";
    default:
      return "INFO";
  }
}

void write_stderr(std::string_view text) noexcept {
  [[maybe_unused]] const auto ignored = ::write(STDERR_FILENO, text.data(), text.size());
}

std::string render(const spdlog::details::log_msg& message) {
  std::string line = rfc3339(message.time);
  line += ' ';
  line += name_of(message.level);
  line += ' ';
  line.append(message.payload.data(), message.payload.size());
  line += '\n';
  return line;
}

// A log that cannot be written must not fail the run it tells about: said once, and again after it
// worked in between.
class FileSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  FileSink(std::filesystem::path path, RotationSettings settings)
      : m_file(std::move(path), settings) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    try {
      m_file.append(render(message));
      m_failing = false;
    } catch (const std::exception& error) {
      if (!std::exchange(m_failing, true)) {
        write_stderr(std::string("hamal: the log is not written: ") + error.what() + "\n");
      }
    }
  }
  void flush_() override {}

 private:
  RotatingFile m_file;
  bool m_failing = false;
};

class MirrorSink final : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    // On a terminal a progress line may stand where this one begins.
    write_stderr((m_terminal ? "\r\x1b[K" : "") + render(message));
  }
  void flush_() override {}

 private:
  const bool m_terminal = ::isatty(STDERR_FILENO) == 1;
};

// key=value, quoted where white space or a quote would end it.
std::string field(std::string_view key, std::string_view value) {
  std::string text = escape_control(value);
  if (text.find_first_of(" \"") != std::string::npos) {
    std::string quoted = "\"";
    for (const char c : text) {
      quoted += c == '"' ? std::string("\\\"") : std::string(1, c);
    }
    text = quoted + "\"";
  }
  return std::string(key) + "=" + text + " ";
}

}  // namespace

struct Logger::State {
  spdlog::logger logger{"hamal"};
  std::string run;  ///< "run=… " or empty
  std::mutex mutex;
  std::string vm;  ///< "vm=… " or empty; under the mutex
};

Logger::Logger() = default;

Logger::Logger(const LogSettings& settings) : m_state(std::make_unique<State>()) {
  auto& sinks = m_state->logger.sinks();
  if (!settings.directory.empty()) {
    sinks.push_back(
        std::make_shared<FileSink>(std::filesystem::path(settings.directory) / settings.file_name,
                                   RotationSettings{settings.rotation, settings.max_files,
                                                    settings.max_megabytes * k_megabyte}));
  }
  if (settings.mirror) {
    sinks.push_back(std::make_shared<MirrorSink>());
  }
  m_state->logger.set_level(sinks.empty() ? spdlog::level::off : to_spdlog(settings.level));
  if (!settings.run_id.empty()) {
    m_state->run = field("run", settings.run_id);
  }
}

Logger::~Logger() = default;

void Logger::set_vm(std::string vm) {
  if (m_state) {
    std::string text = vm.empty() ? std::string() : field("vm", vm);
    const std::lock_guard guard(m_state->mutex);
    m_state->vm = std::move(text);
  }
}

void Logger::log(LogLevel level, std::string_view message) {
  if (!m_state || level == LogLevel::off || !m_state->logger.should_log(to_spdlog(level))) {
    return;
  }
  std::string line = m_state->run;
  {
    const std::lock_guard guard(m_state->mutex);
    line += m_state->vm;
  }
  line += escape_control(message);
  m_state->logger.log(to_spdlog(level), spdlog::string_view_t(line));
}

}  // namespace hamal
