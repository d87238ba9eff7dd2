// What a pack really holds: for verify.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "hamal/repository/record.hpp"

namespace hamal::repository {

/// The good records of a pack, and what is wrong with the rest.
struct CheckedPack {
  std::map<std::uint64_t, RecordId> records;  ///< by offset
  std::string problem;                        ///< empty: every byte is as it was written
};

/// `decoder` null: records cannot be read here; the pack's checksum stands for all of them.
CheckedPack check_pack(ByteView pack, const std::string& object, RecordDecoder* decoder);

}  // namespace hamal::repository
