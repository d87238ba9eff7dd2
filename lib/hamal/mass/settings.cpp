#include "hamal/mass/settings.hpp"

#include <algorithm>

#include "hamal/net/public_key.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "hamal/util/text.hpp"

namespace hamal::mass {
namespace {

constexpr std::string_view k_scheme = "https://";
constexpr const char* k_default_path = "/hypermotion/v1";
constexpr std::size_t k_longest_id = 64;
constexpr std::uint64_t k_largest_key_file = 64U << 10U;

[[noreturn]] void refuse(const std::string& key, const std::string& what, const std::string& hint) {
  throw Error(ErrorKind::usage, what, "[mass] " + key, hint);
}

std::string base_of(const std::string& endpoint) {
  if (!endpoint.starts_with(k_scheme)) {
    refuse("mass_endpoint", "is not https://, and nothing else is spoken to the console",
           "write https://HOST[:PORT][/PATH]");
  }
  const std::string rest = endpoint.substr(k_scheme.size());
  const std::string host = rest.substr(0, rest.find('/'));
  const bool odd = std::any_of(endpoint.begin(), endpoint.end(), [](unsigned char c) {
    return c <= ' ' || c == 0x7f || c == '?' || c == '#' || c == '@';
  });
  if (host.empty() || odd) {
    refuse("mass_endpoint", "is not an address", "write https://HOST[:PORT][/PATH]");
  }
  std::string base = endpoint;
  while (base.ends_with('/')) {
    base.pop_back();
  }
  return base.size() == k_scheme.size() + host.size() ? base + k_default_path : base;
}

std::string auth_key_of(const SecretReference& secret) {
  std::string key = resolve_secret(secret, "[mass] auth_key");
  // It becomes a line of a request.
  if (!std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 0x7f; })) {
    refuse("auth_key", "holds white space or other characters that no header can carry",
           "copy it again from the console");
  }
  return key;
}

}  // namespace

bool has_console(const Config& config) {
  return !config.mass.mass_endpoint.empty();
}

bool is_id(std::string_view text) {
  const auto is_alphanumeric = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  return !text.empty() && text.size() <= k_longest_id && is_alphanumeric(text.front()) &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return is_alphanumeric(c) || c == '.' || c == '_' || c == '-';
         });
}

ConsoleSettings console_settings(const Config& config) {
  const MassSection& mass = config.mass;
  if (!has_console(config)) {
    refuse("mass_endpoint", "is not set: there is no console", "hamal-mass(5) says what it needs");
  }
  ConsoleSettings settings;
  settings.base = base_of(mass.mass_endpoint);
  settings.proxy = mass.hyper_exporter_id;
  if (!is_id(settings.proxy)) {
    refuse("hyper_exporter_id", settings.proxy.empty() ? "is not set" : "is not an id",
           "copy it from the console: letters, digits, '.', '_' and '-'");
  }
  settings.auth_key = auth_key_of(mass.auth_key);
  if (!mass.public_key_path.empty()) {
    std::string pem;
    try {
      pem = read_file(mass.public_key_path, k_largest_key_file);
    } catch (const Error& error) {
      refuse("public_key_path", error.what(), {});
    }
    settings.pinned_key = public_key_pin(pem, "[mass] public_key_path " + mass.public_key_path);
  }
  settings.request_timeout = mass.default_request_timeout;
  settings.public_ip_timeout = mass.get_public_ip_timeout;
  settings.mappings = config.host_mappings;
  return settings;
}

}  // namespace hamal::mass
