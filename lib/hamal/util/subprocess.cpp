#include "hamal/util/subprocess.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "hamal/util/spawn.hpp"

namespace hamal {
namespace {

constexpr std::size_t k_most_output = 16U << 20;

// One read; closes at the end. Output beyond the limit is read and dropped, so that the child never
// stalls.
void drain(UniqueFd& fd, std::string& text) {
  std::array<char, 65536> buffer;
  const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
  if (got > 0) {
    const std::size_t room = k_most_output - text.size();
    text.append(buffer.data(), std::min(room, static_cast<std::size_t>(got)));
  } else if (got == 0 || (errno != EINTR && errno != EAGAIN)) {
    fd.reset();
  }
}

}  // namespace

ProcessResult run_process(const std::vector<std::string>& argv) {
  const std::string object = argv.empty() ? std::string() : argv.front();
  PipeEnds out = make_pipe(object);
  PipeEnds err = make_pipe(object);
  const SpawnedProcess child =
      spawn_process({.argv = argv, .stdout_fd = out.write.get(), .stderr_fd = err.write.get()});
  out.write.reset();
  err.write.reset();
  // The child's end counts, not that of the pipes: a daemon it left behind may hold them for ever.
  ProcessResult result;
  bool ended = false;
  while (out.read || err.read) {
    std::array<pollfd, 3> fds{{{out.read.get(), POLLIN, 0},
                               {err.read.get(), POLLIN, 0},
                               {ended ? -1 : child.pidfd.get(), POLLIN, 0}}};
    const int ready = ::poll(fds.data(), fds.size(), ended ? 0 : -1);
    if (ready < 0 && errno != EINTR) {
      break;
    }
    if (ready == 0) {
      break;
    }
    if (fds[0].revents != 0) {
      drain(out.read, result.stdout_text);
    }
    if (fds[1].revents != 0) {
      drain(err.read, result.stderr_text);
    }
    ended = ended || fds[2].revents != 0;
  }
  result.exit_code = wait_for_exit(child.pid);
  return result;
}

}  // namespace hamal
