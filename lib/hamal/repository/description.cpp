#include "hamal/repository/description.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "hamal/json/strict_json.hpp"
#include "hamal/repository/authentic_text.hpp"
#include "hamal/repository/names.hpp"

namespace hamal::repository {
namespace {

using nlohmann::json;

constexpr std::string_view k_format = "hamal-repository";
constexpr std::uint64_t k_version = 1;
constexpr std::uint64_t k_max_description = 1U << 20;

std::string digits(const Fields& fields, const char* field) {
  std::string text = fields.text(field);
  if (!parse_digest(text)) {
    fields.refuse(field, "must be 64 hexadecimal digits");
  }
  return text;
}

std::vector<Recipient> parse_recipients(const Fields& fields, const Place& place) {
  std::vector<Recipient> recipients;
  for (const json& one : fields.require_array("recipients")) {
    const Fields of(one, place, fmt::format("recipients[{}].", recipients.size()));
    Recipient recipient{digits(of, "fingerprint"), of.id("public_key"), of.id("index_key")};
    for (const Recipient& other : recipients) {
      if (other.fingerprint == recipient.fingerprint) {
        of.refuse("fingerprint", "is there twice");
      }
    }
    recipients.push_back(std::move(recipient));
  }
  return recipients;
}

}  // namespace

std::string to_text(const Description& description, const Keyring& keyring) {
  json text = {{"format", k_format},
               {"version", k_version},
               {"id", description.id},
               {"encrypted", description.encrypted}};
  if (description.encrypted) {
    text["index_key_check"] = description.index_key_check;
    json& recipients = text["recipients"] = json::array();
    for (const Recipient& recipient : description.recipients) {
      recipients.push_back({{"fingerprint", recipient.fingerprint},
                            {"public_key", recipient.public_key},
                            {"index_key", recipient.index_key}});
    }
  }
  return authentic_text(text.dump(), k_description_key, keyring);
}

std::string read_description(ObjectStore& store) {
  try {
    return store.get(k_description_key, k_max_description);
  } catch (const ObjectMissing&) {
    throw Error(ErrorKind::usage, "holds no repository", store.uri(),
                "make one: hamal-repo init " + store.uri());
  }
}

Description parse_description(std::string_view text, const std::string& object) {
  const Place place{object, ErrorKind::failed};
  const json parsed = parse_strict(text.substr(0, text.find('\n')), place);
  const Fields fields(parsed, place);
  check_format(fields, k_format, k_version, place);
  Description description;
  description.id = fields.id("id");
  if (!parse_session_id(description.id)) {
    fields.refuse("id", "must be 32 hexadecimal digits");
  }
  description.encrypted = fields.optional_flag("encrypted");
  if (description.encrypted) {
    description.index_key_check = digits(fields, "index_key_check");
    description.recipients = parse_recipients(fields, place);
  }
  return description;
}

void check_description(std::string_view text, const Keyring& keyring, const std::string& object) {
  authentic_line(text, k_description_key, keyring, object);
}

}  // namespace hamal::repository
