#include "hamal/report/rotating_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

// How long a rotation waits for that of another process. A stopped one must not stop all: the line
// goes into the old file then.
constexpr std::chrono::minutes k_lock_again{1};
constexpr int k_lock_attempts = 200;
constexpr timespec k_lock_pause{0, 10'000'000};

std::optional<UniqueFd> lock(const std::filesystem::path& path) {
  UniqueFd fd = open_file(path, O_RDWR | O_CREAT);
  for (int i = 0; i < k_lock_attempts; ++i) {
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
      return fd;
    }
    if (errno != EWOULDBLOCK && errno != EINTR) {
      throw system_error("cannot lock", path.string(), errno);
    }
    ::nanosleep(&k_lock_pause, nullptr);
  }
  return std::nullopt;
}

std::filesystem::path lock_path(const std::filesystem::path& path) {
  return path.parent_path() / ("." + path.filename().string() + ".lock");
}

std::filesystem::path with_suffix(const std::filesystem::path& path, const std::string& suffix) {
  return path.string() + "." + suffix;
}

bool is_day(std::string_view text) {
  constexpr std::string_view k_form = "0000-00-00";
  return text.size() == k_form.size() &&
         std::equal(text.begin(), text.end(), k_form.begin(), [](char c, char form) {
           return form == '-' ? c == '-' : c >= '0' && c <= '9';
         });
}

}  // namespace

RotatingFile::RotatingFile(std::filesystem::path path, RotationSettings settings)
    : m_path(std::move(path)), m_settings(settings) {}

void RotatingFile::append(std::string_view line) {
  if (!m_fd) {
    open();
  }
  struct stat ours {};
  if (::fstat(m_fd.get(), &ours) != 0 || !is_current(ours)) {
    open();
    if (::fstat(m_fd.get(), &ours) != 0) {
      throw system_error("cannot look at the log", m_path.string(), errno);
    }
  }
  // A rotation that fails is told, but not before the line is written to the file there is.
  std::exception_ptr rotation_error;
  try {
    if (is_due(ours, line.size())) {
      rotate(line.size());
    }
  } catch (const std::exception&) {
    rotation_error = std::current_exception();
  }
  write_line(line);
  if (rotation_error) {
    std::rethrow_exception(rotation_error);
  }
}

void RotatingFile::write_line(std::string_view line) {
  std::string joined;
  if (m_torn) {
    joined = "\n" + std::string(line);
    line = joined;
  }
  ssize_t put = -1;
  do {
    put = ::write(m_fd.get(), line.data(), line.size());
  } while (put < 0 && errno == EINTR);
  if (put < 0) {
    throw system_error("cannot write the log", m_path.string(), errno);
  }
  m_torn = static_cast<std::size_t>(put) < line.size();
  if (m_torn) {
    throw system_error("cannot write the log", m_path.string(), ENOSPC);
  }
}

void RotatingFile::open() {
  make_private_directories(m_path.parent_path());
  m_fd = open_file(m_path, O_WRONLY | O_APPEND | O_CREAT);
}

bool RotatingFile::is_current(const struct stat& ours) const {
  struct stat named {};
  return ::stat(m_path.c_str(), &named) == 0 && named.st_ino == ours.st_ino &&
         named.st_dev == ours.st_dev;
}

bool RotatingFile::is_due(const struct stat& ours, std::size_t more) const {
  if (ours.st_size == 0 || !S_ISREG(ours.st_mode)) {
    return false;
  }
  switch (m_settings.kind) {
    case LogRotation::size:
      return static_cast<std::uint64_t>(ours.st_size) + more > m_settings.max_bytes;
    case LogRotation::daily:
      return log_day(ours.st_mtim.tv_sec) !=
             log_day(std::chrono::system_clock::to_time_t(system_clock().wall()));
    case LogRotation::none:
      break;
  }
  return false;
}

void RotatingFile::rotate(std::size_t more) {
  const auto now = system_clock().steady();
  if (now < m_next_attempt) {
    return;
  }
  const auto held = lock(lock_path(m_path));
  if (!held) {
    m_next_attempt = now + k_lock_again;
    return;
  }
  open();
  struct stat ours {};
  if (::fstat(m_fd.get(), &ours) != 0 || !is_due(ours, more)) {
    return;  // another process was faster
  }
  if (m_settings.kind == LogRotation::daily) {
    rename_dated(ours);
  } else {
    shift_numbered();
  }
  open();
}

void RotatingFile::shift_numbered() {
  for (unsigned i = m_settings.max_files; i > 0; --i) {
    const auto from = i == 1 ? m_path : with_suffix(m_path, std::to_string(i - 1));
    const auto to = with_suffix(m_path, std::to_string(i));
    if (::rename(from.c_str(), to.c_str()) != 0 && errno != ENOENT) {
      throw system_error("cannot rotate the log", from.string(), errno);
    }
  }
}

void RotatingFile::rename_dated(const struct stat& ours) {
  const auto dated = with_suffix(m_path, log_day(ours.st_mtim.tv_sec));
  // A day that has a file already (the clock was set back, or the kernel's time of the first line
  // lags) gets no second one: the lines stay with those of the next day.
  if (::renameat2(AT_FDCWD, m_path.c_str(), AT_FDCWD, dated.c_str(), RENAME_NOREPLACE) != 0 &&
      errno != EEXIST) {
    throw system_error("cannot rotate the log", m_path.string(), errno);
  }
  remove_oldest_dated();
}

void RotatingFile::remove_oldest_dated() {
  const std::string stem = m_path.filename().string() + ".";
  std::vector<std::filesystem::path> dated;
  for (const auto& entry : std::filesystem::directory_iterator(m_path.parent_path())) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(stem) && is_day(std::string_view(name).substr(stem.size()))) {
      dated.push_back(entry.path());
    }
  }
  std::sort(dated.begin(), dated.end());
  for (std::size_t i = 0; i + m_settings.max_files < dated.size(); ++i) {
    std::filesystem::remove(dated[i]);
  }
}

std::string log_day(std::time_t when) {
  std::tm parts{};
  ::gmtime_r(&when, &parts);
  return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

}  // namespace hamal
