#include "hamal/util/subprocess.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "hamal/util/error.hpp"
#include "hamal/util/unique_fd.hpp"

namespace hamal {
namespace {

constexpr std::size_t k_most_output = 16U << 20;

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};

Pipe make_pipe(const std::string& name) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) {
    throw system_error("cannot make a pipe", name, errno);
  }
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// What the child gets: our outputs, no input, and signals as they are at login (we ignore SIGPIPE).
class SpawnSettings {
 public:
  SpawnSettings(int stdout_fd, int stderr_fd) {
    ::posix_spawn_file_actions_init(&m_actions);
    ::posix_spawnattr_init(&m_attributes);
    ::posix_spawn_file_actions_addopen(&m_actions, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&m_actions, stdout_fd, 1);
    ::posix_spawn_file_actions_adddup2(&m_actions, stderr_fd, 2);
    sigset_t defaults;
    ::sigemptyset(&defaults);
    ::sigaddset(&defaults, SIGPIPE);
    ::posix_spawnattr_setsigdefault(&m_attributes, &defaults);
    sigset_t mask;
    ::sigemptyset(&mask);
    ::posix_spawnattr_setsigmask(&m_attributes, &mask);
    ::posix_spawnattr_setflags(&m_attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  }
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&m_actions);
    ::posix_spawnattr_destroy(&m_attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  const posix_spawn_file_actions_t* actions() const { return &m_actions; }
  const posix_spawnattr_t* attributes() const { return &m_attributes; }

 private:
  posix_spawn_file_actions_t m_actions{};
  posix_spawnattr_t m_attributes{};
};

pid_t spawn(const std::vector<std::string>& argv, int stdout_fd, int stderr_fd) {
  std::vector<char*> arguments;
  arguments.reserve(argv.size() + 1);
  for (const std::string& argument : argv) {
    arguments.push_back(const_cast<char*>(argument.c_str()));  // NOLINT: the interface is C's
  }
  arguments.push_back(nullptr);
  const SpawnSettings settings(stdout_fd, stderr_fd);
  pid_t pid = -1;
  const int error = ::posix_spawnp(&pid, arguments[0], settings.actions(), settings.attributes(),
                                   arguments.data(), environ);
  if (error == ENOENT) {
    throw Error(ErrorKind::failed, "cannot start the program: it is not there", argv[0],
                "install the package it comes from, or check PATH");
  }
  if (error != 0) {
    throw system_error("cannot start the program", argv[0], error);
  }
  return pid;
}

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

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) {
      throw system_error("cannot wait for the process", std::to_string(pid), errno);
    }
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

ProcessResult run_process(const std::vector<std::string>& argv) {
  if (argv.empty() || argv[0].empty()) {
    throw Error(ErrorKind::failed, "no program is named");
  }
  Pipe out = make_pipe(argv[0]);
  Pipe err = make_pipe(argv[0]);
  const pid_t pid = spawn(argv, out.write_end.get(), err.write_end.get());
  out.write_end.reset();
  err.write_end.reset();
  // The child's end counts, not that of the pipes: a daemon it left behind may hold them for ever.
  // By number, since the header of glibc 2.36 is unusable from C++.
  const UniqueFd child(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  ProcessResult result;
  bool ended = false;
  while (out.read_end || err.read_end) {
    std::array<pollfd, 3> fds{{{out.read_end.get(), POLLIN, 0},
                               {err.read_end.get(), POLLIN, 0},
                               {ended ? -1 : child.get(), POLLIN, 0}}};
    const int ready = ::poll(fds.data(), fds.size(), ended ? 0 : -1);
    if (ready < 0 && errno != EINTR) {
      break;
    }
    if (ready == 0) {
      break;
    }
    if (fds[0].revents != 0) {
      drain(out.read_end, result.stdout_text);
    }
    if (fds[1].revents != 0) {
      drain(err.read_end, result.stderr_text);
    }
    ended = ended || fds[2].revents != 0;
  }
  result.exit_code = wait_for(pid);
  return result;
}

}  // namespace hamal
