#include "hamal/state/file_system.hpp"

#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include <array>
#include <cerrno>
#include <sstream>
#include <string_view>

#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal {
namespace {

namespace fs = std::filesystem;

// linux/magic.h does not have all of them.
constexpr std::uint32_t k_fuse = 0x65735546;
constexpr std::pair<std::uint32_t, const char*> k_network[] = {
    {0x6969, "NFS"},        {0xFF534D42, "CIFS"},   {0xFE534D42, "SMB"},    {0x517B, "SMB"},
    {0x00C36400, "CephFS"}, {0x0BD00BD0, "Lustre"}, {0x19830326, "BeeGFS"}, {0x5346414F, "AFS"},
    {0x6B414653, "AFS"},    {0x47504653, "GPFS"},   {0xAAD7AAEA, "PanFS"},  {0x73757245, "Coda"},
};

// How the names begin of those that reach further than this host. What is not among them is not
// known to: disks and folders of this host are mounted by FUSE, too (ntfs-3g, mergerfs, unionfs).
constexpr std::array<std::string_view, 27> k_network_fuse = {
    "ssh",    "gluster", "ceph",  "nfs",     "fuse-nfs", "smb",    "cifs", "s3",      "rclone",
    "goofys", "gcs",     "geese", "juice",   "dav",      "webdav", "ftp",  "curlftp", "mfs",
    "moose",  "lizard",  "sauna", "seaweed", "weed",     "blob",   "hdfs", "lustre",  "afp"};

// The mount of that device, from the line "ID PARENT MAJOR:MINOR … - TYPE SOURCE OPTIONS".
std::string mounted_type(dev_t device) {
  const std::string wanted = std::to_string(major(device)) + ":" + std::to_string(minor(device));
  std::istringstream lines(read_file("/proc/self/mountinfo"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string id;
    std::string parent;
    std::string number;
    words >> id >> parent >> number;
    const auto separator = line.find(" - ");
    if (number == wanted && separator != std::string::npos) {
      return line.substr(separator + 3, line.find(' ', separator + 3) - separator - 3);
    }
  }
  return {};
}

}  // namespace

FileSystemKind file_system_of(const fs::path& path) {
  struct statfs kind {};
  struct stat status {};
  if (::statfs(path.c_str(), &kind) != 0 || ::stat(path.c_str(), &status) != 0) {
    throw system_error("cannot look at", path.string(), errno);
  }
  const auto magic = static_cast<std::uint32_t>(kind.f_type);
  return {magic, magic == k_fuse ? mounted_type(status.st_dev) : std::string()};
}

std::string network_file_system(const FileSystemKind& kind) {
  for (const auto& [magic, name] : k_network) {
    if (magic == kind.magic) {
      return name;
    }
  }
  if (kind.magic == k_fuse) {
    for (const std::string_view beginning : k_network_fuse) {
      if (kind.type.starts_with("fuse.") &&
          kind.type.compare(5, beginning.size(), beginning) == 0) {
        return kind.type;
      }
    }
  }
  return {};
}

void require_local(const fs::path& path,
                   const std::function<FileSystemKind(const fs::path&)>& look) {
  const std::string network = network_file_system(look(path));
  if (!network.empty()) {
    throw Error(ErrorKind::usage,
                "the state database lies on a network file system (" + network +
                    "), where SQLite's locks do not hold: two hosts would damage it",
                path.string(),
                "keep it on a disk of this host, or let the proxies share a PostgreSQL: [database] "
                "connection = postgresql://…");
  }
}

}  // namespace hamal
