#include "hamal/repository/session_object.hpp"

#include <nlohmann/json.hpp>

#include "hamal/util/error.hpp"

namespace hamal::repository {
namespace {

using Json = nlohmann::ordered_json;
constexpr const char* k_format = "hamal-session";

[[noreturn]] void refuse(const std::string& key, const std::string& what) {
  throw Error(ErrorKind::failed, "is no session: " + what, key,
              "see hamal-repository(5), SESSIONS; `hamal-repo verify` looks at everything");
}

std::string text_of(const Json& object, const char* field, const std::string& key) {
  const auto found = object.find(field);
  if (found == object.end() || !found->is_string()) {
    refuse(key, std::string(field) + " is missing or no text");
  }
  return found->get<std::string>();
}

}  // namespace

std::string to_text(const SessionObject& session) {
  const Json object = {{"format", k_format},
                       {"version", 1},
                       {"session", to_hex(session.id)},
                       {"slot", session.slot},
                       {"started", session.started},
                       {"host", session.host}};
  return object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

SessionObject parse_session_object(std::string_view text, const std::string& key) {
  const Json object = Json::parse(text, nullptr, false);
  if (!object.is_object()) {
    refuse(key, "not a JSON object");
  }
  if (text_of(object, "format", key) != k_format) {
    refuse(key, "of another format");
  }
  const auto version = object.find("version");
  if (version == object.end() || !version->is_number_integer() || *version != 1) {
    refuse(key, "of another version");
  }
  SessionObject session;
  const auto id = parse_session_id(text_of(object, "session", key));
  if (!id) {
    refuse(key, "session is no id");
  }
  session.id = *id;
  session.slot = text_of(object, "slot", key);
  session.started = text_of(object, "started", key);
  session.host = text_of(object, "host", key);
  return session;
}

}  // namespace hamal::repository
