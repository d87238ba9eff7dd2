// The logs, as the console gets them: a tar archive compressed with zstd.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

namespace hamal::mass {

/// All logs in the directory, rotated ones too, each with its youngest lines when the whole would
/// be too much. At most `most` bytes, and made of at most 64 MiB. Throws Error(failed) when not
/// even some lines of each fit, or the directory cannot be read.
std::string log_bundle(const std::filesystem::path& directory, std::uint64_t most);

}  // namespace hamal::mass
