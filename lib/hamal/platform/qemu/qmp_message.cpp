// Parses and checks QMP messages.
#include "hamal/platform/qemu/qmp_message.hpp"

#include <fmt/format.h>

#include "hamal/util/error.hpp"
#include "hamal/util/text.hpp"

namespace hamal::qemu {
namespace {

// QEMU's own replies nest about ten deep; without a bound a hostile one exhausts memory.
constexpr int k_max_depth = 64;
constexpr std::size_t k_max_shown = 200;

Error malformed(const std::string& monitor, const std::string& problem) {
  return {ErrorKind::failed, "not a QMP reply: " + problem, monitor,
          "is this the monitor of a QEMU, in mode=control and without pretty=on?"};
}

Error wrong_reply(const std::string& where, const std::string& problem) {
  return {ErrorKind::failed, "QEMU's reply cannot be understood: " + problem, where,
          "this QEMU may be too new or too old; 7.1 to 9.x are known"};
}

bool has_member(const Json& object, const char* key, const std::string& where) {
  if (!object.is_object()) {
    throw wrong_reply(where, fmt::format("an object that may have \"{}\" was expected", key));
  }
  return object.contains(key);
}

std::string shown(std::string_view text) {
  return escape_control(text.substr(0, k_max_shown));
}

std::uint64_t reply_id(const Json& message) {
  const auto id = message.find("id");
  return id != message.end() && id->is_number_unsigned() ? id->get<std::uint64_t>() : 0;
}

QmpGreeting parse_greeting(const Json& greeting, const std::string& monitor) {
  const Json& version = json_member(json_member(greeting, "version", monitor), "qemu", monitor);
  const std::uint64_t major = json_unsigned(version, "major", monitor);
  const std::uint64_t minor = json_unsigned(version, "minor", monitor);
  if (major > 1000 || minor > 1000) {
    throw malformed(monitor, "a version no QEMU has");
  }
  return {static_cast<unsigned>(major), static_cast<unsigned>(minor)};
}

}  // namespace

QmpMessage parse_qmp_message(std::string_view line, const std::string& monitor) {
  const auto bounded = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > k_max_depth) {
      throw malformed(monitor, "nested too deeply");
    }
    return true;
  };
  Json message;
  try {
    message = Json::parse(line.begin(), line.end(), bounded);
  } catch (const Json::exception&) {
    throw malformed(monitor, "broken JSON: " + shown(line));
  }
  if (!message.is_object()) {
    throw malformed(monitor, "not an object: " + shown(line));
  }
  if (const auto greeting = message.find("QMP"); greeting != message.end()) {
    return parse_greeting(*greeting, monitor);
  }
  if (const auto event = message.find("event"); event != message.end()) {
    return QmpEvent{json_string(message, "event", monitor)};
  }
  if (const auto error = message.find("error"); error != message.end()) {
    return QmpFailure{reply_id(message), shown(json_string(*error, "class", monitor)),
                      escape_control(json_string(*error, "desc", monitor))};
  }
  if (const auto value = message.find("return"); value != message.end()) {
    const std::uint64_t id = reply_id(message);
    return QmpReturn{id, std::move(*value)};
  }
  throw malformed(monitor, "neither greeting, event, return nor error: " + shown(line));
}

const Json& json_array(const Json& value, const std::string& where) {
  if (!value.is_array()) {
    throw wrong_reply(where, "a list was expected");
  }
  return value;
}

const Json& json_member(const Json& object, const char* key, const std::string& where) {
  if (!object.is_object()) {
    throw wrong_reply(where, fmt::format("an object with \"{}\" was expected", key));
  }
  const auto found = object.find(key);
  if (found == object.end()) {
    throw wrong_reply(where, fmt::format("\"{}\" is missing", key));
  }
  return *found;
}

std::string json_string(const Json& object, const char* key, const std::string& where) {
  const Json& value = json_member(object, key, where);
  if (!value.is_string()) {
    throw wrong_reply(where, fmt::format("\"{}\" is not a text", key));
  }
  return value.get<std::string>();
}

std::uint64_t json_unsigned(const Json& object, const char* key, const std::string& where) {
  const Json& value = json_member(object, key, where);
  if (!value.is_number_unsigned()) {
    throw wrong_reply(where, fmt::format("\"{}\" is not a non-negative number", key));
  }
  return value.get<std::uint64_t>();
}

bool json_bool(const Json& object, const char* key, bool fallback, const std::string& where) {
  if (!has_member(object, key, where)) {
    return fallback;
  }
  const Json& value = object.at(key);
  if (!value.is_boolean()) {
    throw wrong_reply(where, fmt::format("\"{}\" is neither true nor false", key));
  }
  return value.get<bool>();
}

std::string json_string_or_empty(const Json& object, const char* key, const std::string& where) {
  return has_member(object, key, where) ? json_string(object, key, where) : "";
}

}  // namespace hamal::qemu
