// What a QMP monitor says, one line at a time: foreign bytes, checked before anything is believed.
#pragma once
#include <compare>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <variant>

namespace hamal::qemu {

using Json = nlohmann::json;

/// The version that greets.
struct QmpGreeting {
  unsigned major = 0;
  unsigned minor = 0;
  friend auto operator<=>(const QmpGreeting&, const QmpGreeting&) = default;
};
/// `id` is 0 when the reply carries none (QEMU could not even parse the command).
struct QmpReturn {
  std::uint64_t id = 0;
  Json value;
};
struct QmpFailure {
  std::uint64_t id = 0;
  std::string error_class;
  std::string description;
};
struct QmpEvent {
  std::string name;
};
using QmpMessage = std::variant<QmpGreeting, QmpReturn, QmpFailure, QmpEvent>;

/// Throws Error(failed) naming `monitor` when the line is no QMP message.
QmpMessage parse_qmp_message(std::string_view line, const std::string& monitor);

/// Typed members of a reply; each throws Error(failed) that says which member is missing or of
/// another type. `where` names the reply.
const Json& json_array(const Json& value, const std::string& where);
const Json& json_member(const Json& object, const char* key, const std::string& where);
std::string json_string(const Json& object, const char* key, const std::string& where);
std::uint64_t json_unsigned(const Json& object, const char* key, const std::string& where);
/// The fallback when the member is absent, an error when it is not a boolean.
bool json_bool(const Json& object, const char* key, bool fallback, const std::string& where);
/// Empty when absent.
std::string json_string_or_empty(const Json& object, const char* key, const std::string& where);

}  // namespace hamal::qemu
