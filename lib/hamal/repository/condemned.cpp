#include "hamal/repository/condemned.hpp"

#include <nlohmann/json.hpp>

#include "hamal/json/strict_json.hpp"
#include "hamal/repository/authentic_text.hpp"

namespace hamal::repository {
namespace {

using nlohmann::json;

constexpr std::string_view k_format = "hamal-condemned";
constexpr std::uint64_t k_version = 1;

json to_json(const PackSet& packs) {
  json all = json::object();
  for (const auto& [session, ranges] : packs.sessions()) {
    json& list = all[to_hex(session)];
    for (const auto& [first, last] : ranges) {
      list.push_back({first, last});
    }
  }
  return all;
}

std::set<std::string> texts(const Fields& fields, const char* field) {
  std::set<std::string> all;
  const json& list = fields.require(field);
  if (!list.is_array()) {
    fields.refuse(field, "must be a list");
  }
  for (const json& item : list) {
    if (!item.is_string()) {
      fields.refuse(field, "must hold texts");
    }
    all.insert(item.get<std::string>());
  }
  return all;
}

PackSet packs_of(const Fields& fields) {
  PackSet packs;
  for (const auto& [hex, ranges] : fields.require_object("packs").items()) {
    const auto session = parse_session_id(hex);
    if (!session || !ranges.is_array()) {
      fields.refuse("packs", "must hold a list of ranges by session");
    }
    for (const json& range : ranges) {
      if (!range.is_array() || range.size() != 2 || !range[0].is_number_unsigned() ||
          !range[1].is_number_unsigned() || range[0] > range[1] || range[1] > k_highest_pack) {
        fields.refuse("packs", "must hold ranges [FIRST, LAST]");
      }
      packs.insert(*session, range[0].get<std::uint32_t>(), range[1].get<std::uint32_t>());
    }
  }
  return packs;
}

}  // namespace

std::string to_text(const CondemnedRound& round, const std::string& key, const Keyring& keyring) {
  const json text = {{"format", k_format},
                     {"version", k_version},
                     {"versions", round.versions},
                     {"packs", to_json(round.packs)},
                     {"objects", round.objects}};
  return authentic_text(text.dump(), key, keyring);
}

CondemnedRound parse_condemned(std::string_view text, const std::string& key,
                               const Keyring& keyring) {
  const Place place{key, ErrorKind::failed};
  const json parsed = parse_strict(authentic_line(text, key, keyring, key), place);
  const Fields fields(parsed, place);
  check_format(fields, k_format, k_version, place);
  return {texts(fields, "versions"), packs_of(fields), texts(fields, "objects")};
}

}  // namespace hamal::repository
