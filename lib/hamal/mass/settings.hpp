// [mass] of hamal.conf, checked and ready to be used: where the console is, and how it is known.
#pragma once
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "hamal/config/config.hpp"

namespace hamal::mass {

struct ConsoleSettings {
  std::string base;        ///< https://HOST[:PORT]/PATH, without a slash behind
  std::string auth_key;    ///< secret
  std::string proxy;       ///< hyper_exporter_id
  std::string pinned_key;  ///< HttpOptions::pinned_key; empty: the system's authorities decide
  std::chrono::milliseconds request_timeout{600'000};
  std::chrono::milliseconds public_ip_timeout{5'000};
  std::vector<HostMapping> mappings;
};

/// Whether a console is configured at all.
bool has_console(const Config& config);

/// Resolves the secret and reads the public key. Throws Error(usage) that names the key of [mass]:
/// also for any address but https://.
ConsoleSettings console_settings(const Config& config);

/// What the contract calls Id: 1 to 64 letters, digits, '.', '_' and '-', a letter or digit first.
bool is_id(std::string_view text);

}  // namespace hamal::mass
