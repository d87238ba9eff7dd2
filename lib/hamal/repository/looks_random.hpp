// Whether bytes are worth an attempt to compress them. Private to this folder.
#pragma once
#include "hamal/repository/keyring.hpp"

namespace hamal::repository {

/// True for bytes that zstd would give up on, as encrypted and compressed data is: all byte values
/// are equally frequent in samples of every 4 KiB, and no two of these blocks begin alike. Costs a
/// small part of an attempt. Of fewer bytes than samples say something about it is false.
bool looks_random(ByteView bytes) noexcept;

}  // namespace hamal::repository
