// The table of all keys of hamal.conf: it drives parsing, defaults, ranges, warnings and the checks
// of the documentation.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "hamal/config/config.hpp"

namespace hamal {

enum class Sensitive { no, yes };

/// A key of a section that exists once.
struct KeySpec {
  std::string section;
  std::string key;
  std::string fallback;  ///< as it would be written
  std::string allowed;   ///< in words, for messages
  Sensitive sensitive = Sensitive::no;
  /// Of one that is only sometimes: whether this value must not be shown.
  std::function<bool(const std::string&)> hides{};
  /// False, and nothing changed, when the text is not allowed.
  std::function<bool(Config&, const std::string&)> set;
  std::function<void(Config&)> reset;
  /// As it would be written; never a secret.
  std::function<std::string(const Config&)> show;
};

const std::vector<KeySpec>& config_keys();

/// A key of the sections [kind NAME].
struct NamedKeySpec {
  std::string kind;                ///< platform, s3, ceph, job
  std::string key;                 ///< "disk.*" stands for each key with that beginning
  std::vector<std::string> types;  ///< the platform types that have it; empty: all
  std::string allowed;
  Sensitive sensitive = Sensitive::no;
  std::function<bool(const std::string&)> check;
};

const std::vector<NamedKeySpec>& named_keys();

/// The one of `kind` that `key` is or begins like; nullptr: none.
const NamedKeySpec* find_named_key(const std::string& kind, const std::string& key);

/// The values of `type` in [platform NAME].
const std::vector<std::string>& platform_type_words();

/// Type words and URI schemes: no [platform NAME] can be called so (hamal(7), ENDPOINTS).
bool is_reserved_platform_name(std::string_view name);

}  // namespace hamal
