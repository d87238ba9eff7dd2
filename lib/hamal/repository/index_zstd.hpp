// zstd of whole byte strings, as index objects are stored.
#pragma once
#include <cstdint>
#include <string>

#include "hamal/repository/keyring.hpp"

namespace hamal::repository {

/// One zstd frame that says its length.
Bytes compress(ByteView plain);
/// Throws a permanent Error about `object` for what is no such frame, or larger than `limit` bytes.
Bytes decompress(ByteView frame, std::uint64_t limit, const std::string& object);

}  // namespace hamal::repository
