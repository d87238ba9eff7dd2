// Block devices: opened exclusively, so that nothing mounted or held is ever written (design rule
// 10).
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <utility>

#include "hamal/block/file_reader.hpp"
#include "hamal/block/file_writer.hpp"
#include "hamal/target/kinds.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

namespace fs = std::filesystem;

/// The disk's part of a device that may be larger.
class ClippedReader final : public BlockReader {
 public:
  ClippedReader(std::unique_ptr<FileReader> device, std::uint64_t size)
      : m_device(std::move(device)), m_size(size) {}
  const std::string& uri() const noexcept override { return m_device->uri(); }
  std::uint64_t size() const noexcept override { return m_size; }
  std::unique_ptr<ReadQueue> open_queue() override { return m_device->open_queue(); }
  unsigned max_queues() const noexcept override { return m_device->max_queues(); }
  std::uint32_t max_request() const noexcept override { return m_device->max_request(); }
  std::uint32_t preferred_request() const noexcept override {
    return m_device->preferred_request();
  }
  ExtentSourcePtr allocated() override { return std::make_unique<All>(m_size); }

 private:
  /// A block device does not say what it has allocated.
  class All final : public ExtentSource {
   public:
    explicit All(std::uint64_t size) : m_left(size) {}
    bool next(std::vector<Extent>& window) override {
      window.clear();
      if (m_left > 0) {
        window.push_back({0, std::exchange(m_left, 0), ExtentKind::data});
      }
      return !window.empty();
    }

   private:
    std::uint64_t m_left;
  };

  std::unique_ptr<FileReader> m_device;
  std::uint64_t m_size;
};

class DeviceTarget final : public Target {
 public:
  DeviceTarget(const Endpoint& endpoint, UniqueFd lock, UniqueFd fd, std::uint64_t size,
               std::string overridden)
      : m_canonical(canonical_device(endpoint.path)),
        m_overridden(std::move(overridden)),
        m_lock(std::move(lock)),
        m_writer(endpoint.uri, std::move(fd), size, FileWriter::Metadata::settled) {}

  const std::string& canonical() const noexcept override { return m_canonical; }
  /// A device is never known to be blank.
  bool created() const noexcept override { return false; }
  std::string overridden() const override { return m_overridden; }
  BlockWriter& writer() noexcept override { return m_writer; }
  std::unique_ptr<BlockReader> open_reader() override {
    return std::make_unique<ClippedReader>(
        std::make_unique<FileReader>(m_writer.uri(),
                                     "/proc/self/fd/" + std::to_string(m_writer.fd())),
        m_writer.size());
  }

 private:
  std::string m_canonical;
  std::string m_overridden;
  UniqueFd m_lock;
  FileWriter m_writer;
};

/// The first line of a sysfs attribute, trimmed; empty when there is none.
std::string attribute(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  const std::size_t first = line.find_first_not_of(" \t");
  const std::size_t last = line.find_last_not_of(" \t\n");
  return first == std::string::npos ? "" : line.substr(first, last - first + 1);
}

/// What stays the same when the device gets another name or number.
std::string identity_of_disk(const fs::path& sys, const std::string& number) {
  for (const char* name : {"dm/uuid", "wwid", "device/wwid", "serial", "device/serial"}) {
    if (const std::string value = attribute(sys / name); !value.empty()) {
      return value;
    }
  }
  if (const std::string backing = attribute(sys / "loop/backing_file"); !backing.empty()) {
    const std::string offset = attribute(sys / "loop/offset");
    return "loop:" + backing + (offset.empty() || offset == "0" ? "" : "@" + offset);
  }
  return number;
}

}  // namespace

std::string canonical_device(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    throw system_error("cannot stat", path, errno);
  }
  const std::string number =
      std::to_string(major(status.st_rdev)) + ":" + std::to_string(minor(status.st_rdev));
  std::error_code error;
  const fs::path sys = fs::canonical("/sys/dev/block/" + number, error);
  if (error) {
    return "device:" + number;
  }
  if (const std::string partition = attribute(sys / "partition"); !partition.empty()) {
    const std::string disk = identity_of_disk(sys.parent_path(), attribute(sys / "../dev"));
    return "device:" + disk + ":part" + partition;
  }
  return "device:" + identity_of_disk(sys, number);
}

std::unique_ptr<Target> open_device_target(const Endpoint& endpoint, std::uint64_t size,
                                           const TargetOptions& options) {
  UniqueFd lock(::open(endpoint.path.c_str(), O_RDONLY | O_CLOEXEC));  // NOLINT: variadic
  if (!lock) {
    if (errno == ENOENT) {
      throw Error(ErrorKind::wrong_target, "there is no such device", endpoint.uri,
                  "an image file is written file:PATH");
    }
    throw system_error("cannot open", endpoint.uri, errno);
  }
  // Before O_EXCL, which would say of another run of ours only that someone holds the device.
  lock_target(lock.get(), endpoint.uri);
  UniqueFd fd(::open(endpoint.path.c_str(), O_RDWR | O_EXCL | O_CLOEXEC));  // NOLINT: variadic
  if (!fd) {
    if (errno == EBUSY) {
      throw Error(ErrorKind::wrong_target, "the device is mounted or held by someone", endpoint.uri,
                  "see lsblk and fuser; a device in use is never written");
    }
    throw system_error("cannot open for writing", endpoint.uri, errno);
  }
  const std::uint64_t actual = file_or_device_size(fd.get(), endpoint.uri);
  if (actual < size) {
    throw Error(ErrorKind::wrong_target,
                "the device has " + std::to_string(actual) + " bytes, less than the disk (" +
                    std::to_string(size) + ")",
                endpoint.uri, "choose a device at least as large as the disk");
  }
  std::string overridden;
  if (!options.known) {
    if (const std::string found = device_signature(fd.get(), actual, endpoint.uri);
        !found.empty()) {
      overridden = "the device holds " + found;
      if (options.force == Force::no) {
        throw Error(ErrorKind::wrong_target, overridden, endpoint.uri,
                    "--force overwrites it; wipefs shows and removes signatures");
      }
    }
  }
  return std::make_unique<DeviceTarget>(endpoint, std::move(lock), std::move(fd), size,
                                        std::move(overridden));
}

}  // namespace hamal
