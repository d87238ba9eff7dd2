// What counts as a network file system, and what an operator reads then.
//
// Break it: drop one of the magic numbers, believe every FUSE, or look for the names anywhere in
// its type.
#include "hamal/state/file_system.hpp"

#include <gtest/gtest.h>
#include <linux/magic.h>

#include "hamal/util/error.hpp"
#include "util/temporary_directory.hpp"

namespace hamal {
namespace {

TEST(FileSystem, ThoseThatOtherHostsHaveTooAreKnown) {
  EXPECT_EQ(network_file_system({NFS_SUPER_MAGIC, ""}), "NFS");
  EXPECT_EQ(network_file_system({CIFS_SUPER_MAGIC, ""}), "CIFS");
  EXPECT_EQ(network_file_system({SMB2_SUPER_MAGIC, ""}), "SMB");
  EXPECT_EQ(network_file_system({SMB_SUPER_MAGIC, ""}), "SMB");
  EXPECT_EQ(network_file_system({CEPH_SUPER_MAGIC, ""}), "CephFS");
  EXPECT_EQ(network_file_system({AFS_SUPER_MAGIC, ""}), "AFS");
  for (const char* type : {"fuse.sshfs", "fuse.glusterfs", "fuse.ceph-fuse", "fuse.s3fs",
                           "fuse.rclone", "fuse.davfs", "fuse.juicefs", "fuse.curlftpfs"}) {
    EXPECT_EQ(network_file_system({FUSE_SUPER_MAGIC, type}), type);
  }
}

TEST(FileSystem, ThoseOfThisHostAreNot) {
  constexpr std::uint32_t k_local[] = {EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC,
                                       TMPFS_MAGIC, OVERLAYFS_SUPER_MAGIC};
  for (const std::uint32_t magic : k_local) {
    EXPECT_EQ(network_file_system({magic, ""}), "") << magic;
  }
  for (const char* type : {"", "fuseblk", "fuse.mergerfs", "fuse.fuse-overlayfs", "fuse.bindfs",
                           "fuse.unionfs", "fuse.unionfs-fuse"}) {
    EXPECT_EQ(network_file_system({FUSE_SUPER_MAGIC, type}), "") << type;
  }
}

TEST(FileSystem, TheRefusalNamesThePathTheKindAndTheCure) {
  try {
    require_local("/srv/state", [](const auto&) { return FileSystemKind{NFS_SUPER_MAGIC, ""}; });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(exit_status(error), ExitStatus::usage);
    const std::string what = error.what();
    for (const char* word : {"/srv/state", "(NFS)", "postgresql://"}) {
      EXPECT_NE(what.find(word), std::string::npos) << what;
    }
  }
  EXPECT_NO_THROW(require_local("/srv/state", [](const auto&) {
    return FileSystemKind{XFS_SUPER_MAGIC, ""};
  }));
}

TEST(FileSystem, ItIsThatOfThePath) {
  EXPECT_EQ(file_system_of("/proc").magic, static_cast<std::uint32_t>(PROC_SUPER_MAGIC));
  EXPECT_THROW(file_system_of("/proc/nowhere"), Error);
  const test::TemporaryDirectory directory;
  EXPECT_NO_THROW(require_local(directory.path()));
}

}  // namespace
}  // namespace hamal
