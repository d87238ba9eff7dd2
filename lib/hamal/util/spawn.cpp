#include "hamal/util/spawn.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace hamal {
namespace {

class SpawnSettings {
 public:
  explicit SpawnSettings(const SpawnRequest& request) {
    ::posix_spawn_file_actions_init(&m_actions);
    ::posix_spawnattr_init(&m_attributes);
    if (request.stdin_fd < 0) {
      ::posix_spawn_file_actions_addopen(&m_actions, 0, "/dev/null", O_RDONLY, 0);
    } else {
      ::posix_spawn_file_actions_adddup2(&m_actions, request.stdin_fd, 0);
    }
    ::posix_spawn_file_actions_adddup2(&m_actions, request.stdout_fd, 1);
    ::posix_spawn_file_actions_adddup2(&m_actions, request.stderr_fd, 2);
    for (const int fd : request.inherited) {
      ::posix_spawn_file_actions_adddup2(&m_actions, fd, fd);  // no longer close-on-exec there
    }
    sigset_t defaults;
    ::sigemptyset(&defaults);
    ::sigaddset(&defaults, SIGPIPE);
    ::posix_spawnattr_setsigdefault(&m_attributes, &defaults);
    sigset_t mask;
    ::sigemptyset(&mask);
    ::posix_spawnattr_setsigmask(&m_attributes, &mask);
    auto flags = static_cast<short>(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    if (request.group) {
      ::posix_spawnattr_setpgroup(&m_attributes, *request.group);
      flags = static_cast<short>(flags | POSIX_SPAWN_SETPGROUP);
    }
    ::posix_spawnattr_setflags(&m_attributes, flags);
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

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> list;
  list.reserve(texts.size() + 1);
  for (const std::string& text : texts) {
    list.push_back(const_cast<char*>(text.c_str()));  // NOLINT: the interface is C's
  }
  list.push_back(nullptr);
  return list;
}

}  // namespace

PipeEnds make_pipe(const std::string& object) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) {
    throw system_error("cannot make a pipe", object, errno);
  }
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

SpawnedProcess spawn_process(const SpawnRequest& request) {
  if (request.argv.empty() || request.argv.front().empty()) {
    throw Error(ErrorKind::failed, "no program is named");
  }
  const SpawnSettings settings(request);
  std::vector<char*> variables;
  if (request.environment) {
    variables = pointers(*request.environment);
  }
  const std::string& program = request.argv.front();
  SpawnedProcess child;
  const int problem = ::posix_spawnp(&child.pid, program.c_str(), settings.actions(),
                                     settings.attributes(), pointers(request.argv).data(),
                                     request.environment ? variables.data() : environ);
  if (problem == ENOENT) {
    throw request.if_missing.value_or(Error(ErrorKind::failed,
                                            "cannot start the program: it is not there", program,
                                            "install the package it comes from, or check PATH"));
  }
  if (problem != 0) {
    throw system_error("cannot start the program", program, problem);
  }
  // By number, since the header of glibc 2.36 is unusable from C++.
  child.pidfd = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, child.pid, 0)));
  return child;
}

int wait_for_exit(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) {
      throw system_error("cannot wait for the process", std::to_string(pid), errno);
    }
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace hamal
