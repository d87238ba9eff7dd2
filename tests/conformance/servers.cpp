// Starting and ending servers, loop devices and mounts.
#include "servers.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "hamal/util/file.hpp"
#include "hamal/util/subprocess.hpp"

namespace hamal::testing {
namespace {

namespace fs = std::filesystem;

constexpr auto k_start_timeout = std::chrono::seconds(90);

std::string join(const std::vector<std::string>& argv) {
  std::string line;
  for (const std::string& word : argv) {
    line += word + " ";
  }
  return line;
}

/// Without connecting, which would take the place of a server's only client. The file appears
/// before the server listens.
bool is_listening(const std::string& socket) {
  std::ifstream sockets("/proc/net/unix");
  for (std::string line; std::getline(sockets, line);) {
    std::istringstream fields(line);
    std::string number;
    std::string references;
    std::string protocol;
    std::string flags;
    fields >> number >> references >> protocol >> flags;
    if (line.ends_with(" " + socket) && flags == "00010000") {
      return true;
    }
  }
  return false;
}

std::string next_socket(const ScratchDirectory& scratch) {
  static std::atomic<int> counter{0};
  return scratch.file("s" + std::to_string(++counter));
}

}  // namespace

ScratchDirectory::ScratchDirectory() {
  std::string name = (fs::temp_directory_path() / "hamal-test-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    throw std::runtime_error("cannot make " + name);
  }
  m_path = name;
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  fs::remove_all(m_path, ignored);
}

Server::Server(const std::vector<std::string>& argv, std::string socket)
    : m_socket(std::move(socket)) {
  std::vector<char*> words;
  for (const std::string& word : argv) {
    words.push_back(const_cast<char*>(word.c_str()));  // NOLINT: execvp takes no const
  }
  words.push_back(nullptr);
  m_pid = ::fork();
  if (m_pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that crashes leaves no server behind
    const int null = ::open("/dev/null", O_RDWR);
    ::dup2(null, 0);
    ::dup2(null, 1);
    // Servers complain of every test that cuts a connection: kept, and shown when one does not
    // start.
    const std::string log = m_socket + ".log";
    ::dup2(::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), 2);
    ::execvp(words[0], words.data());
    ::_exit(127);
  }
  const auto deadline = std::chrono::steady_clock::now() + k_start_timeout;
  while (!is_listening(m_socket)) {
    int status = 0;
    if (::waitpid(m_pid, &status, WNOHANG) == m_pid) {
      m_pid = -1;
      throw std::runtime_error("exited before it served: " + join(argv) +
                               read_file(m_socket + ".log"));
    }
    if (std::chrono::steady_clock::now() > deadline) {
      kill();
      throw std::runtime_error("does not serve: " + join(argv));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

Server::~Server() {
  if (m_pid > 0) {
    const auto deadline = std::chrono::steady_clock::now() + k_start_timeout;
    while (::waitpid(m_pid, nullptr, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > deadline) {
        kill();
        return;
      }
      ::kill(m_pid, SIGTERM);  // again and again: qemu-nbd forgets one that comes while it starts
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
}

std::string Server::uri(const std::string& export_name) const {
  return "nbd+unix:///" + export_name + "?socket=" + m_socket;
}

void Server::kill() {
  if (m_pid > 0) {
    ::kill(m_pid, SIGKILL);
    ::waitpid(m_pid, nullptr, 0);
    m_pid = -1;
  }
}

std::unique_ptr<Server> start_nbdkit(const ScratchDirectory& scratch,
                                     const std::vector<std::string>& arguments) {
  const std::string socket = next_socket(scratch);
  std::vector<std::string> argv{"nbdkit", "--foreground", "--unix", socket, "--threads", "8"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return std::make_unique<Server>(argv, socket);
}

std::unique_ptr<Server> start_qemu_nbd(const ScratchDirectory& scratch,
                                       const std::vector<std::string>& arguments) {
  const std::string socket = next_socket(scratch);
  std::vector<std::string> argv{"qemu-nbd", "--persistent", "--socket", socket};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return std::make_unique<Server>(argv, socket);
}

void run(const std::vector<std::string>& argv) {
  const ProcessResult result = run_process(argv);
  if (result.exit_code != 0) {
    throw std::runtime_error(join(argv) + "failed: " + result.stdout_text + result.stderr_text);
  }
}

LoopDevice::LoopDevice(const std::string& file, const std::vector<std::string>& options) {
  std::vector<std::string> argv{"losetup", "--find", "--show"};
  argv.insert(argv.end(), options.begin(), options.end());
  argv.push_back(file);
  const ProcessResult result = run_process(argv);
  if (result.exit_code != 0) {
    throw std::runtime_error("losetup: " + result.stderr_text);
  }
  m_path = result.stdout_text.substr(0, result.stdout_text.find('\n'));
}

LoopDevice::~LoopDevice() {
  run_process({"losetup", "--detach", m_path});
}

ReflinkMount::ReflinkMount(const ScratchDirectory& scratch) : m_path(scratch.file("xfs")) {
  const std::string image = scratch.file("xfs.img");
  run({"truncate", "--size=400M", image});
  run({"mkfs.xfs", "-q", "-m", "reflink=1", image});
  fs::create_directory(m_path);
  run({"mount", "-o", "loop", image, m_path.string()});
}

ReflinkMount::~ReflinkMount() {
  run_process({"umount", m_path.string()});
}

std::string why_no_loop_devices() {
  if (::geteuid() != 0) {
    return "loop devices need root";
  }
  if (!fs::exists("/dev/loop-control")) {
    return "there is no /dev/loop-control";
  }
  const ProcessResult result = run_process({"losetup", "--find"});
  return result.exit_code == 0 ? "" : "losetup: " + result.stderr_text;
}

std::vector<std::byte> sample_content(std::size_t size, unsigned seed) {
  std::vector<std::byte> content(size);
  std::mt19937 random(seed);
  std::size_t at = 0;
  // Runs of 4 KiB to 256 KiB; every other one stays zero.
  for (bool data = true; at < size; data = !data) {
    const std::size_t run = std::min<std::size_t>((random() % 64 + 1) * 4096, size - at);
    if (data) {
      std::generate_n(content.begin() + static_cast<std::ptrdiff_t>(at), run,
                      [&] { return static_cast<std::byte>(random() | 1U); });
    }
    at += run;
  }
  return content;
}

void write_sparse(const std::string& path, std::span<const std::byte> content) {
  const UniqueFd fd = open_file(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (::ftruncate(fd.get(), static_cast<off_t>(content.size())) != 0) {
    throw std::runtime_error("cannot size " + path);
  }
  constexpr std::size_t k_block = 4096;
  for (std::size_t at = 0; at < content.size(); at += k_block) {
    const auto block = content.subspan(at, std::min(k_block, content.size() - at));
    if (std::any_of(block.begin(), block.end(), [](std::byte b) { return b != std::byte{0}; })) {
      pwrite_all(fd.get(), block, at, path);
    }
  }
}

}  // namespace hamal::testing
