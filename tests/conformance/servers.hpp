// Real NBD servers and scratch resources for the suites: started on loopback sockets, ended with
// their object.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace hamal::testing {

/// A directory that is removed with everything in it.
class ScratchDirectory {
 public:
  /// In TMPDIR, or /tmp.
  ScratchDirectory();
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  const std::filesystem::path& path() const noexcept { return m_path; }
  std::string file(const std::string& name) const { return (m_path / name).string(); }

 private:
  std::filesystem::path m_path;
};

/// A child process that serves until the object ends. Its stderr goes to SOCKET.log.
class Server {
 public:
  /// Starts argv and waits until it listens on `socket`; throws std::runtime_error
  /// when it exits first.
  Server(const std::vector<std::string>& argv, std::string socket);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  const std::string& socket() const noexcept { return m_socket; }
  /// nbd+unix:///NAME?socket=…
  std::string uri(const std::string& export_name = {}) const;
  /// SIGKILL, as a crash.
  void kill();

 private:
  pid_t m_pid = -1;
  std::string m_socket;
};

/// nbdkit with the given filters, plugin and parameters.
std::unique_ptr<Server> start_nbdkit(const ScratchDirectory& scratch,
                                     const std::vector<std::string>& arguments);
/// qemu-nbd --persistent, with further options and the image last.
std::unique_ptr<Server> start_qemu_nbd(const ScratchDirectory& scratch,
                                       const std::vector<std::string>& arguments);

/// Runs a command to its end; throws std::runtime_error with its output unless it exits with 0.
void run(const std::vector<std::string>& argv);

/// A loop device over a file, detached at the end.
class LoopDevice {
 public:
  explicit LoopDevice(const std::string& file, const std::vector<std::string>& options = {});
  ~LoopDevice();
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;
  const std::string& path() const noexcept { return m_path; }

 private:
  std::string m_path;
};

/// An XFS file system with reflinks, in a file, mounted.
class ReflinkMount {
 public:
  explicit ReflinkMount(const ScratchDirectory& scratch);
  ~ReflinkMount();
  ReflinkMount(const ReflinkMount&) = delete;
  ReflinkMount& operator=(const ReflinkMount&) = delete;
  const std::filesystem::path& path() const noexcept { return m_path; }

 private:
  std::filesystem::path m_path;
};

/// Why loop devices cannot be used here; empty when they can.
std::string why_no_loop_devices();

/// A disk's content: data, runs of zeros that are holes, an end that fills no block.
std::vector<std::byte> sample_content(std::size_t size, unsigned seed);
/// Writes it, with holes where it is zero.
void write_sparse(const std::string& path, std::span<const std::byte> content);

}  // namespace hamal::testing
