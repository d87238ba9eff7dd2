// The configuration as it counts: every key with its value and where that was set, secrets masked.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "hamal/config/config.hpp"

namespace hamal {

struct EffectiveKey {
  std::string section;  ///< "DEFAULT", "job nightly"
  std::string key;
  std::string value;                   ///< as it would be written; of a secret only where it is
  std::optional<ConfigOrigin> origin;  ///< nullopt: nobody set it, this is the default
  bool masked = false;                 ///< `value` stands for a text that is not shown
};

/// Every key of the sections that exist once, then what is set in [platform NAME], [s3 NAME] and
/// [job NAME]; keys that are not known are left out, they were warned about.
std::vector<EffectiveKey> effective_keys(const Config& config);

}  // namespace hamal
