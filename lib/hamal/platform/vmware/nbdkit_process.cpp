// Of nbdkit's ways to end with its parent, --exit-with-parent looks at the thread that started it,
// which may end before the disk is read. So its filter exitwhen watches a pipe.
#include "hamal/platform/vmware/nbdkit_process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <ctime>

#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "hamal/util/spawn.hpp"
#include "hamal/util/text.hpp"
#include "hamal/util/units.hpp"

namespace hamal::vmware {
namespace {

constexpr std::chrono::seconds k_patience{60};
constexpr int k_pause_ms = 20;
constexpr std::size_t k_longest_words = 400;

/// "hamal-vddk-PID-RANDOM": what a process that was killed left goes when the next one comes.
void remove_left(const std::filesystem::path& parent) {
  constexpr std::string_view k_prefix = "hamal-vddk-";
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(parent, ignored)) {
    const std::string name = entry.path().filename().string();
    const std::string pid = name.substr(std::min(name.size(), k_prefix.size()));
    if (name.starts_with(k_prefix) &&
        !std::filesystem::exists("/proc/" + pid.substr(0, pid.find('-')), ignored)) {
      // Another user's stays: it cannot be removed.
      std::filesystem::remove_all(entry.path(), ignored);
    }
  }
}

std::filesystem::path make_directory() {
  const std::filesystem::path parent = std::filesystem::temp_directory_path();
  remove_left(parent);
  std::string name = (parent / ("hamal-vddk-" + std::to_string(::getpid()) + "-XXXXXX")).string();
  if (::mkdtemp(name.data()) == nullptr) {
    throw system_error("cannot make a directory", name, errno);
  }
  return name;
}

UniqueFd in_memory(const std::string& text) {
  UniqueFd fd(::memfd_create("hamal-secret", MFD_CLOEXEC));
  if (!fd) {
    throw system_error("cannot keep a secret in memory", "memfd_create", errno);
  }
  write_all(fd.get(), text, "a secret");
  return fd;
}

std::vector<std::string> argv_of(const NbdkitCommand& command,
                                 const std::filesystem::path& directory, const UniqueFd& alive,
                                 const UniqueFd& password) {
  std::vector<std::string> argv{command.program,
                                "--foreground",
                                "--readonly",
                                "--unix",
                                (directory / "nbd.sock").string(),
                                "--pidfile",
                                (directory / "pid").string(),
                                "--filter=exitwhen",
                                command.plugin};
  argv.insert(argv.end(), command.parameters.begin(), command.parameters.end());
  argv.push_back("password=+/proc/self/fd/" + std::to_string(password.get()));
  argv.push_back("exit-when-pipe-closed=" + std::to_string(alive.get()));
  argv.emplace_back("exit-when-poll=1");
  return argv;
}

}  // namespace

NbdkitProcess::NbdkitProcess(const NbdkitCommand& command, const CancelToken& cancel)
    : m_directory(make_directory()) {
  try {
    start(command);
    await(command, cancel);
  } catch (...) {
    end();
    throw;
  }
}

NbdkitProcess::~NbdkitProcess() {
  end();
}

void NbdkitProcess::start(const NbdkitCommand& command) {
  PipeEnds alive = make_pipe(command.program);
  m_alive = std::move(alive.write);
  const UniqueFd password = in_memory(command.password);
  const UniqueFd log = open_file(m_directory / "log", O_CREAT | O_WRONLY | O_APPEND);
  // Of its own group: Ctrl-C is for us, and we end it when we have.
  m_pid = spawn_process(
              {.argv = argv_of(command, m_directory, alive.read, password),
               .stdout_fd = log.get(),
               .stderr_fd = log.get(),
               .inherited = {alive.read.get(), password.get()},
               .group = 0,
               .if_missing = Error(
                   ErrorKind::usage, "nbdkit is not there: " + command.program, command.object,
                   "install it with its vddk plugin: hamal-vmware(7), READING DISKS")})
              .pid;
}

void NbdkitProcess::await(const NbdkitCommand& command, const CancelToken& cancel) {
  const auto deadline = std::chrono::steady_clock::now() + k_patience;
  while (::access((m_directory / "pid").c_str(), F_OK) != 0) {
    int status = 0;
    if (::waitpid(m_pid, &status, WNOHANG) == m_pid) {
      m_pid = -1;
      const std::string words = last_words();
      throw Error(ErrorKind::failed,
                  "nbdkit ended before it served the disk" + (words.empty() ? "" : ": " + words),
                  command.object,
                  "check vddk_libdir, vddk_plugin and that the vddk plugin is installed: "
                  "hamal-vmware(7), READING DISKS");
    }
    if (std::chrono::steady_clock::now() > deadline) {
      throw Error(ErrorKind::failed, "nbdkit does not become ready", command.object, last_words(),
                  Transience::transient);
    }
    cancel.sleep_ms(k_pause_ms);
  }
}

std::string NbdkitProcess::uri() const {
  return "nbd+unix:///?socket=" + percent_encode((m_directory / "nbd.sock").string(), "/");
}

std::string NbdkitProcess::last_words() const {
  try {
    const std::string text = read_file(m_directory / "log", 1U << 20U);
    const std::string_view all = trim(text);
    const std::string_view end =
        all.size() > k_longest_words ? all.substr(all.size() - k_longest_words) : all;
    return escape_control(end);
  } catch (const Error&) {
    return {};
  }
}

void NbdkitProcess::end() noexcept {
  m_alive.reset();
  if (m_pid > 0) {
    ::kill(m_pid, SIGTERM);
    int status = 0;
    // It ends at once; VDDK that hangs in the network does not.
    for (int waited = 0; ::waitpid(m_pid, &status, WNOHANG) == 0; waited += k_pause_ms) {
      if (waited >= 3000) {
        ::kill(m_pid, SIGKILL);
      }
      const timespec pause{.tv_sec = 0, .tv_nsec = k_pause_ms * 1'000'000L};
      ::nanosleep(&pause, nullptr);
    }
    m_pid = -1;
  }
  std::error_code ignored;
  std::filesystem::remove_all(m_directory, ignored);
}

}  // namespace hamal::vmware
