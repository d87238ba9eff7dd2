// New keys of encrypted repositories, in files (hamal-repository(5), ENCRYPTION).
#pragma once
#include <filesystem>
#include <string>

namespace hamal::repository {

/// Writes the private key to `private_file` (mode 0600) and the public one to `public_file`, both
/// durably; returns the name of the recipient. Throws Error(usage) when one of them exists.
std::string write_key_pair(const std::filesystem::path& private_file,
                           const std::filesystem::path& public_file);

/// The same of an index key (mode 0600).
void write_index_key(const std::filesystem::path& file);

}  // namespace hamal::repository
