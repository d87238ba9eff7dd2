// Small files, whole and durable; and plain reads and writes that finish what they start.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "hamal/util/unique_fd.hpp"

namespace hamal {

/// Opens, or throws a system_error naming the path. O_CLOEXEC is added.
UniqueFd open_file(const std::filesystem::path& path, int flags, unsigned mode = 0600);

/// The whole file. Throws Error when it cannot be read or is larger than `limit` bytes.
std::string read_file(const std::filesystem::path& path, std::uint64_t limit = 16U << 20);
/// All of a descriptor up to its end, same limit.
std::string read_all(int fd, const std::string& name, std::uint64_t limit = 16U << 20);

/// Durable replacement: temporary beside it, fsync, rename, fsync of the directory. The mode is
/// what is asked for, whatever the umask.
void write_file_atomically(const std::filesystem::path& path, std::string_view content,
                           unsigned mode = 0600);

/// Writes every byte or throws (EINTR and short writes are handled).
void write_all(int fd, std::string_view bytes, const std::string& name);

/// pread/pwrite of the whole span. pread past the end of the file throws.
void pread_all(int fd, std::span<std::byte> into, std::uint64_t offset, const std::string& name);
void pwrite_all(int fd, std::span<const std::byte> from, std::uint64_t offset,
                const std::string& name);

/// mkdir -p with mode 0700 for what is created.
void make_private_directories(const std::filesystem::path& path);

void fsync_directory(const std::filesystem::path& path);

}  // namespace hamal
