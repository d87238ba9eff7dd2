// Recognizes what a device may hold: a small table of magic numbers in its first MiB.
#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <vector>

#include "hamal/target/kinds.hpp"
#include "hamal/util/file.hpp"

namespace hamal {
namespace {

using namespace std::string_view_literals;

struct Magic {
  std::size_t offset;
  std::string_view bytes;
  const char* name;
};

constexpr std::array k_magics = {
    Magic{512, "EFI PART"sv, "a GPT partition table"},
    Magic{4096, "EFI PART"sv, "a GPT partition table"},
    Magic{0x438, "\x53\xef"sv, "an ext2, ext3 or ext4 file system"},
    Magic{0, "XFSB"sv, "an XFS file system"},
    Magic{0x10040, "_BHRfS_M"sv, "a btrfs file system"},
    Magic{4086, "SWAPSPACE2"sv, "swap space"},
    Magic{65526, "SWAPSPACE2"sv, "swap space"},
    Magic{0, "LUKS\xba\xbe"sv, "a LUKS volume"},
    Magic{0x218, "LVM2 001"sv, "an LVM2 physical volume"},
    Magic{0x018, "LVM2 001"sv, "an LVM2 physical volume"},
    Magic{3, "NTFS    "sv, "an NTFS file system"},
    Magic{0x36, "FAT1"sv, "a FAT file system"},
    Magic{0x52, "FAT32"sv, "a FAT file system"},
    Magic{3, "EXFAT   "sv, "an exFAT file system"},
    Magic{0x8001, "CD001"sv, "an ISO 9660 file system"},
    Magic{4096, "\xfc\x4e\x2b\xa9"sv, "a member of an MD array"},
    Magic{0, "\xfc\x4e\x2b\xa9"sv, "a member of an MD array"},
    Magic{0, "QFI\xfb"sv, "a qcow2 image"},
    Magic{0, "bluestore block device\n"sv, "a Ceph OSD"},
    Magic{0x20018, "\x0c\xb1\xba\0\0\0\0\0"sv, "a ZFS pool"},
};

/// 55AA alone is also at the end of boot sectors: at least one entry must be used and all must be
/// plausible.
bool has_mbr(std::string_view head) {
  if (head.size() < 512 || head.substr(510, 2) != "\x55\xaa"sv) {
    return false;
  }
  bool used = false;
  for (std::size_t entry = 446; entry < 510; entry += 16) {
    const auto status = static_cast<unsigned char>(head[entry]);
    const auto type = static_cast<unsigned char>(head[entry + 4]);
    if (status != 0 && status != 0x80) {
      return false;
    }
    used = used || type != 0;
  }
  return used;
}

}  // namespace

std::string device_signature(int fd, std::uint64_t size, const std::string& uri) {
  std::vector<std::byte> buffer(std::min<std::uint64_t>(size, 1U << 20));
  pread_all(fd, buffer, 0, uri);
  return signature_of(buffer);
}

std::string signature_of(std::span<const std::byte> first_mib) {
  const std::string_view head(reinterpret_cast<const char*>(first_mib.data()),  // NOLINT: its text
                              first_mib.size());
  for (const Magic& magic : k_magics) {
    if (head.size() >= magic.offset + magic.bytes.size() &&
        head.substr(magic.offset, magic.bytes.size()) == magic.bytes) {
      return magic.name;
    }
  }
  return has_mbr(head) ? "an MBR partition table" : "";
}

}  // namespace hamal
