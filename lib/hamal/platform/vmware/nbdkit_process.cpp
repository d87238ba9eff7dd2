// Of nbdkit's ways to end with its parent, --exit-with-parent looks at the thread that started it,
// which may end before the disk is read. So its filter exitwhen watches a pipe.
//
// Its directory is locked as long as our process lives: what is not locked was left by one that was
// killed. A process id would not tell, since the directory for temporary files may be shared with
// containers that number their processes themselves.
#include "hamal/platform/vmware/nbdkit_process.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
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
constexpr int k_term_ms = 3000;
constexpr int k_kill_ms = 10'000;
constexpr std::size_t k_longest_words = 400;

constexpr std::string_view k_prefix = "hamal-vddk-";

/// Empty when another process has it, or it is not there.
UniqueFd lock_directory(const std::filesystem::path& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));  // NOLINT
  if (fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    fd.reset();
  }
  return fd;
}

/// What a process that was killed left goes when the next one comes.
void remove_left(const std::filesystem::path& parent) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(parent, ignored)) {
    if (entry.path().filename().string().starts_with(k_prefix) && lock_directory(entry.path())) {
      // Another user's stays: it cannot be opened.
      std::filesystem::remove_all(entry.path(), ignored);
    }
  }
}

struct OwnDirectory {
  std::filesystem::path path;
  UniqueFd lock;
};

/// "hamal-vddk-PID-RANDOM"; the number is for people.
OwnDirectory make_directory() {
  constexpr int k_tries = 10;
  const std::filesystem::path parent = std::filesystem::temp_directory_path();
  remove_left(parent);
  for (int tries = 0; tries < k_tries; ++tries) {
    std::string name = (parent / fmt::format("{}{}-XXXXXX", k_prefix, ::getpid())).string();
    if (::mkdtemp(name.data()) == nullptr) {
      throw system_error("cannot make a directory", name, errno);
    }
    UniqueFd lock = lock_directory(name);
    std::error_code gone;
    if (lock && std::filesystem::exists(name, gone)) {
      return {name, std::move(lock)};
    }
    // Another process came between the two, and takes it for left.
  }
  throw Error(ErrorKind::failed, "other processes remove what is made here", parent.string(),
              "set TMPDIR to a directory of its own", Transience::transient);
}

/// What nbdkit and VDDK may need of ours, which may hold secrets of others.
std::vector<std::string> environment() {
  std::vector<std::string> result;
  for (const char* name :
       {"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE"}) {
    if (const char* const value = std::getenv(name)) {
      result.push_back(fmt::format("{}={}", name, value));
    }
  }
  return result;
}

UniqueFd in_memory(const std::string& text) {
  UniqueFd fd(::memfd_create("hamal-secret", MFD_CLOEXEC));
  if (!fd) {
    throw system_error("cannot keep a secret in memory", "memfd_create", errno);
  }
  if (::fchmod(fd.get(), S_IRUSR | S_IWUSR) != 0) {
    throw system_error("cannot keep a secret to ourselves", "memfd_create", errno);
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

NbdkitProcess::NbdkitProcess(const NbdkitCommand& command, const CancelToken& cancel) {
  OwnDirectory own = make_directory();
  m_directory = std::move(own.path);
  m_lock = std::move(own.lock);
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
               .environment = environment(),
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
    // It ends at once; VDDK that hangs in the network does not. What even SIGKILL does not end
    // hangs in the kernel: it is not waited for, and is init's when we are gone.
    if (!ends_within(k_term_ms)) {
      ::kill(m_pid, SIGKILL);
      ends_within(k_kill_ms);
    }
    m_pid = -1;
  }
  std::error_code ignored;
  std::filesystem::remove_all(m_directory, ignored);
  m_lock.reset();
}

bool NbdkitProcess::ends_within(int milliseconds) const noexcept {
  int status = 0;
  for (int waited = 0; ::waitpid(m_pid, &status, WNOHANG) == 0; waited += k_pause_ms) {
    if (waited >= milliseconds) {
      return false;
    }
    const timespec pause{.tv_sec = 0, .tv_nsec = k_pause_ms * 1'000'000L};
    ::nanosleep(&pause, nullptr);
  }
  return true;
}

}  // namespace hamal::vmware
