#include "hamal/repository/description.hpp"

#include <nlohmann/json.hpp>

#include "hamal/json/strict_json.hpp"
#include "hamal/repository/names.hpp"

namespace hamal::repository {
namespace {

constexpr std::string_view k_format = "hamal-repository";
constexpr std::uint64_t k_version = 1;

}  // namespace

std::string to_text(const Description& description) {
  const nlohmann::json text = {{"format", k_format},
                               {"version", k_version},
                               {"id", description.id},
                               {"encrypted", description.encrypted}};
  return text.dump() + "\n";
}

Description parse_description(std::string_view text, const std::string& object) {
  const Place place{object, ErrorKind::failed};
  const nlohmann::json parsed = parse_strict(text, place);
  const Fields fields(parsed, place);
  check_format(fields, k_format, k_version, place);
  Description description;
  description.id = fields.id("id");
  if (!parse_session_id(description.id)) {
    fields.refuse("id", "must be 32 hexadecimal digits");
  }
  description.encrypted = fields.optional_flag("encrypted");
  return description;
}

}  // namespace hamal::repository
