// Running disks for tests: a qemu-storage-daemon, and a QEMU with devices and no guest.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "hamal/platform/qemu/qmp_client.hpp"

namespace hamal::test {

/// Made and removed with everything in it.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  const std::filesystem::path& path() const noexcept { return m_path; }

 private:
  std::filesystem::path m_path;
};

/// Runs a program; throws std::runtime_error with its stderr when it fails.
std::string run_or_throw(const std::vector<std::string>& argv);
bool have_program(const std::string& name);

enum class TopFilter { present, absent };

/// tests/lab/qsd.sh as an object; stopped by the destructor.
class Qsd {
 public:
  /// Disk images are made when they do not exist ("disk0.qcow2": in the directory).
  Qsd(std::filesystem::path directory, std::vector<std::string> disks, std::string size,
      TopFilter filter = TopFilter::present);
  ~Qsd();
  Qsd(const Qsd&) = delete;
  Qsd& operator=(const Qsd&) = delete;

  void start();
  /// SIGTERM: bitmaps are saved.
  void stop();
  /// SIGKILL: bitmaps become inconsistent.
  void kill();

  std::string qmp_socket() const { return (m_directory / "qmp.sock").string(); }
  std::string nbd_socket() const { return (m_directory / "nbd.sock").string(); }
  std::string scratch() const { return (m_directory / "scratch").string(); }
  std::string live_uri(std::size_t disk) const;
  /// qemu-io commands on the running disk, as a guest's writes.
  void io(std::size_t disk, const std::vector<std::string>& commands) const;

 private:
  std::vector<std::string> script(const std::string& command) const;
  std::filesystem::path m_directory;
  std::vector<std::string> m_disks;
  std::string m_size;
  TopFilter m_filter;
};

/// qemu-system-x86_64 with virtio-blk devices vd0, vd1 … directly on qcow2 nodes, no NBD server.
class QemuMachine {
 public:
  QemuMachine(std::filesystem::path directory, std::size_t disks, const std::string& size);
  ~QemuMachine();
  QemuMachine(const QemuMachine&) = delete;
  QemuMachine& operator=(const QemuMachine&) = delete;
  std::string qmp_socket() const { return (m_directory / "qmp.sock").string(); }
  std::string nbd_socket() const { return (m_directory / "nbd.sock").string(); }
  std::string scratch() const { return (m_directory / "scratch").string(); }
  /// A qemu-io command through the device, as its guest would.
  void io(std::size_t disk, const std::string& command) const;

 private:
  std::filesystem::path m_directory;
};

/// Names in QEMU that contain `part`: nodes, exports and bitmaps.
std::vector<std::string> names_in_qemu(const std::string& qmp_socket, const std::string& part);

}  // namespace hamal::test
