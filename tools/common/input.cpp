#include "common/input.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal {
namespace {
const char* name_of(const std::string& path) {
  return path == "-" ? "standard input" : path.c_str();
}
}  // namespace

std::string read_operand(const std::string& path, const CancelToken& cancel, std::size_t largest) {
  const UniqueFd opened = path == "-" ? UniqueFd() : open_file(path, O_RDONLY);
  const int fd = path == "-" ? STDIN_FILENO : opened.get();
  std::string text;
  std::array<char, 65536> buffer;
  while (true) {
    std::array<pollfd, 2> fds{{{fd, POLLIN, 0}, {cancel.poll_fd(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) {
      throw system_error("cannot wait for input", name_of(path), errno);
    }
    cancel.check();
    if (fds[0].revents == 0) {
      continue;
    }
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno != EINTR) {
      throw system_error("cannot read", name_of(path), errno);
    }
    if (got == 0) {
      return text;
    }
    if (got > 0) {
      text.append(buffer.data(), static_cast<std::size_t>(got));
    }
    if (text.size() > largest) {
      throw Error(ErrorKind::usage,
                  "is larger than " + std::to_string(largest >> 20U) + " MiB: no document is",
                  name_of(path));
    }
  }
}

SnapshotDocument read_snapshot_document(const std::string& path, const CancelToken& cancel) {
  const std::string text = read_operand(path, cancel);
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) {
    throw Error(ErrorKind::usage, "is empty: a snapshot document was expected", name_of(path),
                "when it came through a pipe, hamal-snapshot failed: its own message says why");
  }
  return parse_snapshot_document(text, name_of(path));
}

}  // namespace hamal
