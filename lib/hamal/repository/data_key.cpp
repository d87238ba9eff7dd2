#include "hamal/repository/data_key.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "hamal/json/strict_json.hpp"
#include "hamal/repository/authentic_text.hpp"

namespace hamal::repository {
namespace {

using nlohmann::json;

constexpr std::string_view k_format = "hamal-data-key";
constexpr std::uint64_t k_version = 1;

}  // namespace

std::string to_text(const DataKey& key, const Keyring& keyring) {
  json wrapped = json::array();
  for (const WrappedKey& one : key.wrapped) {
    wrapped.push_back({{"recipient", one.recipient}, {"key", one.key}});
  }
  const json text = {{"format", k_format},
                     {"version", k_version},
                     {"id", to_hex(key.id)},
                     {"wrapped", std::move(wrapped)}};
  return authentic_text(text.dump(), data_key_key(key.id), keyring);
}

DataKey parse_data_key(std::string_view text, const KeyId& id, const Keyring& keyring) {
  const std::string object = data_key_key(id);
  const Place place{object, ErrorKind::failed};
  const json parsed = parse_strict(authentic_line(text, object, keyring, object), place);
  const Fields fields(parsed, place);
  check_format(fields, k_format, k_version, place);
  DataKey key;
  key.id = id;
  if (fields.text("id") != to_hex(id)) {
    fields.refuse("id", "must be that of the object");
  }
  for (const json& one : fields.require_array("wrapped")) {
    const Fields of(one, place, fmt::format("wrapped[{}].", key.wrapped.size()));
    key.wrapped.push_back({of.id("recipient"), of.id("key")});
  }
  return key;
}

}  // namespace hamal::repository
