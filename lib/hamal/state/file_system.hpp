// On what a SQLite database lies: its locks and its shared memory are those of one host.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace hamal {

struct FileSystemKind {
  std::uint32_t magic = 0;  ///< statfs(2), f_type
  std::string type;         ///< as /proc/self/mountinfo names it ("fuse.sshfs"); may be empty
};

/// Of the path, which is there. Throws a system_error.
FileSystemKind file_system_of(const std::filesystem::path& path);

/// Its name when other hosts may have it, too ("NFS"); empty: it is this host's, as far as is
/// known.
std::string network_file_system(const FileSystemKind& kind);

/// Throws Error(usage) that says what to do instead.
void require_local(
    const std::filesystem::path& path,
    const std::function<FileSystemKind(const std::filesystem::path&)>& look = file_system_of);

}  // namespace hamal
