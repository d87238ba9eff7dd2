#include "hamal/repository/condemned.hpp"

#include <nlohmann/json.hpp>

#include "hamal/json/strict_json.hpp"
#include "hamal/repository/authentic_text.hpp"

namespace hamal::repository {
namespace {

using nlohmann::json;

constexpr std::string_view k_format = "hamal-condemned";
constexpr std::uint64_t k_version = 1;

// By session, in ranges of numbers: a session's packs mostly go together.
json to_json(const std::set<PackName>& packs) {
  json all = json::object();
  for (auto pack = packs.begin(); pack != packs.end();) {
    const PackName first = *pack;
    std::uint32_t last = first.number;
    for (++pack; pack != packs.end() && pack->session == first.session && pack->number == last + 1;
         ++pack) {
      last = pack->number;
    }
    all[to_hex(first.session)].push_back({first.number, last});
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

std::set<PackName> packs_of(const Fields& fields) {
  constexpr std::uint64_t k_most = 1U << 24;  // half an exabyte of packs
  std::set<PackName> packs;
  for (const auto& [hex, ranges] : fields.require_object("packs").items()) {
    const auto session = parse_session_id(hex);
    if (!session || !ranges.is_array()) {
      fields.refuse("packs", "must hold a list of ranges by session");
    }
    for (const json& range : ranges) {
      if (!range.is_array() || range.size() != 2 || !range[0].is_number_unsigned() ||
          !range[1].is_number_unsigned() || range[0] > range[1] || range[1] > 0xffffffffU) {
        fields.refuse("packs", "must hold ranges [FIRST, LAST]");
      }
      const auto last = range[1].get<std::uint64_t>();
      for (auto number = range[0].get<std::uint64_t>(); number <= last; ++number) {
        packs.insert({*session, static_cast<std::uint32_t>(number)});
        if (packs.size() > k_most) {
          fields.refuse("packs", "names more packs than there can be");
        }
      }
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
