// What a snapshot document remembers for this platform alone.
#pragma once
#include <map>
#include <string>

#include "hamal/platform/qemu/bitmap_chain.hpp"

namespace hamal::qemu {

struct PlatformData {
  std::map<std::string, LostBitmaps> lost;  ///< by disk id
  friend bool operator==(const PlatformData&, const PlatformData&) = default;
};

/// A JSON object on one line.
std::string to_json(const PlatformData& data);
/// Throws Error(usage) naming `object` when it was not written by us.
PlatformData parse_platform_data(const std::string& json, const std::string& object);

}  // namespace hamal::qemu
