#include "hamal/period/process_pipe.hpp"

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
#include <optional>

#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "hamal/util/unique_fd.hpp"

namespace hamal::period {
namespace {

using Steady = std::chrono::steady_clock;

constexpr std::size_t k_most_output = 16U << 20;
constexpr std::size_t k_longest_line = 8192;

struct Ends {
  UniqueFd read;
  UniqueFd write;
};

Ends make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) {
    throw system_error("cannot make a pipe", {}, errno);
  }
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> list;
  list.reserve(texts.size() + 1);
  for (const std::string& text : texts) {
    list.push_back(const_cast<char*>(text.c_str()));  // NOLINT: the interface is C's
  }
  list.push_back(nullptr);
  return list;
}

/// Signals as they are at login (we ignore SIGPIPE), and a group to be signalled as one.
class SpawnSettings {
 public:
  SpawnSettings(int in, int out, int err, const std::vector<int>& inherited, pid_t group) {
    ::posix_spawn_file_actions_init(&m_actions);
    ::posix_spawnattr_init(&m_attributes);
    ::posix_spawn_file_actions_adddup2(&m_actions, in, 0);
    ::posix_spawn_file_actions_adddup2(&m_actions, out, 1);
    ::posix_spawn_file_actions_adddup2(&m_actions, err, 2);
    for (const int fd : inherited) {
      ::posix_spawn_file_actions_adddup2(&m_actions, fd, fd);  // no longer close-on-exec there
    }
    sigset_t defaults;
    ::sigemptyset(&defaults);
    ::sigaddset(&defaults, SIGPIPE);
    ::posix_spawnattr_setsigdefault(&m_attributes, &defaults);
    sigset_t mask;
    ::sigemptyset(&mask);
    ::posix_spawnattr_setsigmask(&m_attributes, &mask);
    ::posix_spawnattr_setpgroup(&m_attributes, group);
    ::posix_spawnattr_setflags(
        &m_attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
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

/// One program that was started.
struct Child {
  std::string program;
  pid_t pid = -1;
  UniqueFd pidfd;
  bool ended = false;
  UniqueFd lines;  ///< its standard error
  std::string partial;
};

class Running {
 public:
  Running(const ProcessPipe& pipe, const LineSink& sink) : m_pipe(pipe), m_sink(sink) {}
  ~Running() {
    // Only after an exception: nobody waits for these any more.
    signal_group(SIGKILL);
    reap();
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  void start() {
    UniqueFd input = open_file("/dev/null", O_RDONLY);
    for (std::size_t at = 0; at < m_pipe.stages.size(); ++at) {
      const bool last = at + 1 == m_pipe.stages.size();
      Ends error = make_pipe();
      Ends output;
      if (last && !m_pipe.output_file.empty()) {
        output.write = open_file(m_pipe.output_file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
      } else if (!last || !m_pipe.output_is_lines) {
        output = make_pipe();
      }
      const int out = output.write ? output.write.get() : error.write.get();
      start_one(m_pipe.stages[at], input.get(), out, error);
      input = last ? UniqueFd() : std::move(output.read);
      if (last) {
        m_output = std::move(output.read);
      }
    }
  }

  PipeResult wait(const CancelToken& cancel) {
    PipeResult result;
    const auto begin = Steady::now();
    std::optional<Steady::time_point> kill_at;
    bool killed = false;
    const auto stop = [&] {
      signal_group(SIGTERM);
      kill_at = Steady::now() + m_pipe.grace;
    };
    for (;;) {
      const bool all_ended = std::all_of(m_children.begin(), m_children.end(),
                                         [](const Child& child) { return child.ended; });
      const auto now = Steady::now();
      if (!all_ended && !kill_at) {
        if (cancel.requested()) {
          stop();
        } else if (m_pipe.timeout.count() != 0 && now - begin >= m_pipe.timeout) {
          result.timed_out = true;
          stop();
        }
      } else if (!all_ended && !killed && now >= *kill_at) {
        signal_group(SIGKILL);
        killed = true;
      }
      int patience = -1;
      if (kill_at && !killed) {
        patience = milliseconds_until(*kill_at);
      } else if (!kill_at && m_pipe.timeout.count() != 0) {
        patience = milliseconds_until(begin + m_pipe.timeout);
      }
      // What they left behind may hold the pipes for ever: with their end, what is there is all.
      if (!poll_once(all_ended ? 0 : patience, kill_at ? -1 : cancel.poll_fd(), result.output) &&
          all_ended) {
        break;
      }
    }
    if (kill_at) {
      signal_group(SIGKILL);  // whatever they had started themselves
    }
    for (Child& child : m_children) {
      end_line(child);
    }
    result.statuses = reap();
    return result;
  }

 private:
  void start_one(const std::vector<std::string>& argv, int in, int out, Ends& error) {
    const SpawnSettings settings(in, out, error.write.get(), m_pipe.inherited,
                                 m_children.empty() ? 0 : m_children.front().pid);
    pid_t pid = -1;
    const int problem =
        ::posix_spawnp(&pid, argv.front().c_str(), settings.actions(), settings.attributes(),
                       pointers(argv).data(), pointers(m_pipe.environment).data());
    if (problem != 0) {
      throw system_error("cannot start the program", argv.front(), problem);
    }
    Child child;
    child.program = std::filesystem::path(argv.front()).filename().string();
    child.pid = pid;
    // By number, since the header of glibc 2.36 is unusable from C++.
    child.pidfd = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    child.lines = std::move(error.read);
    m_children.push_back(std::move(child));
  }

  static int milliseconds_until(Steady::time_point when) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(when - Steady::now()).count() + 1;
    return static_cast<int>(std::clamp<long long>(left, 0, 60'000));
  }

  /// False when nothing happened.
  bool poll_once(int patience, int cancel_fd, std::string& output) {
    std::vector<pollfd> fds;
    for (const Child& child : m_children) {
      fds.push_back({child.lines ? child.lines.get() : -1, POLLIN, 0});
      fds.push_back({child.ended ? -1 : child.pidfd.get(), POLLIN, 0});
    }
    fds.push_back({m_output ? m_output.get() : -1, POLLIN, 0});
    fds.push_back({cancel_fd, POLLIN, 0});
    if (::poll(fds.data(), fds.size(), patience) <= 0) {
      return false;
    }
    bool happened = false;
    for (std::size_t at = 0; at < m_children.size(); ++at) {
      Child& child = m_children[at];
      if (fds[2 * at].revents != 0) {
        read_lines(child);
        happened = true;
      }
      if (fds[2 * at + 1].revents != 0) {
        child.ended = true;
        happened = true;
      }
    }
    if (fds[2 * m_children.size()].revents != 0) {
      read_output(output);
      happened = true;
    }
    return happened;
  }

  void read_lines(Child& child) {
    std::array<char, 4096> buffer;
    const ssize_t got = ::read(child.lines.get(), buffer.data(), buffer.size());
    if (got <= 0) {
      if (got == 0 || errno != EINTR) {
        child.lines.reset();
      }
      return;
    }
    for (const char c : std::string_view(buffer.data(), static_cast<std::size_t>(got))) {
      if (c == '\n' || c == '\r' || child.partial.size() >= k_longest_line) {
        end_line(child);
      }
      if (c != '\n' && c != '\r') {
        child.partial += c;
      }
    }
  }

  void end_line(Child& child) {
    if (!child.partial.empty()) {
      m_sink(child.program, child.partial);
      child.partial.clear();
    }
  }

  void read_output(std::string& output) {
    std::array<char, 65536> buffer;
    const ssize_t got = ::read(m_output.get(), buffer.data(), buffer.size());
    if (got > 0) {
      output.append(buffer.data(),
                    std::min(k_most_output - output.size(), static_cast<std::size_t>(got)));
    } else if (got == 0 || errno != EINTR) {
      m_output.reset();
    }
  }

  void signal_group(int number) {
    if (!m_children.empty()) {
      ::kill(-m_children.front().pid, number);
    }
  }

  /// The leader of the group last: its number is the group's until then.
  std::vector<int> reap() {
    std::vector<int> statuses(m_children.size());
    for (std::size_t at = m_children.size(); at-- > 0;) {
      int status = 0;
      while (::waitpid(m_children[at].pid, &status, 0) < 0 && errno == EINTR) {
      }
      statuses[at] = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
    m_children.clear();
    return statuses;
  }

  const ProcessPipe& m_pipe;
  const LineSink& m_sink;
  std::vector<Child> m_children;
  UniqueFd m_output;
};

}  // namespace

PipeResult run_pipe(const ProcessPipe& pipe, const LineSink& sink, const CancelToken& cancel) {
  Running running(pipe, sink);
  running.start();
  return running.wait(cancel);
}

}  // namespace hamal::period
