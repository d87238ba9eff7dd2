#include "hamal/period/process_pipe.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <optional>

#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "hamal/util/spawn.hpp"
#include "hamal/util/unique_fd.hpp"

namespace hamal::period {
namespace {

using Steady = std::chrono::steady_clock;

constexpr std::size_t k_most_output = 16U << 20;
constexpr std::size_t k_longest_line = 8192;

/// One program that was started.
struct Child {
  std::string program;
  SpawnedProcess process;
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
    try {
      reap();
    } catch (const Error&) {
      // That they cannot be waited for changes nothing of the first error.
    }
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  void start() {
    UniqueFd input = open_file("/dev/null", O_RDONLY);
    for (std::size_t at = 0; at < m_pipe.stages.size(); ++at) {
      const bool last = at + 1 == m_pipe.stages.size();
      PipeEnds error = make_pipe(m_pipe.stages[at].front());
      PipeEnds output;
      if (last && !m_pipe.output_file.empty()) {
        output.write = open_file(m_pipe.output_file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
      } else if (!last || !m_pipe.output_is_lines) {
        output = make_pipe(m_pipe.stages[at].front());
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
  void start_one(const std::vector<std::string>& argv, int in, int out, PipeEnds& error) {
    Child child;
    child.program = std::filesystem::path(argv.front()).filename().string();
    child.process =
        spawn_process({.argv = argv,
                       .stdin_fd = in,
                       .stdout_fd = out,
                       .stderr_fd = error.write.get(),
                       .environment = m_pipe.environment,
                       .inherited = m_pipe.inherited,
                       .group = m_children.empty() ? 0 : m_children.front().process.pid});
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
      fds.push_back({child.ended ? -1 : child.process.pidfd.get(), POLLIN, 0});
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
      ::kill(-m_children.front().process.pid, number);
    }
  }

  /// The leader of the group last: its number is the group's until then.
  std::vector<int> reap() {
    std::vector<int> statuses(m_children.size());
    for (std::size_t at = m_children.size(); at-- > 0;) {
      statuses[at] = wait_for_exit(m_children[at].process.pid);
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
