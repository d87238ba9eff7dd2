#include "hamal/platform/openstack/json_fields.hpp"

#include <fmt/core.h>

namespace hamal::openstack {

const Json* member(const Json& object, const char* key, const Place& place) {
  if (!object.is_object()) {
    place.refuse(fmt::format("what should have \"{}\" is no JSON object", key));
  }
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string text_of(const Json& object, const char* key, const Place& place) {
  const Json* const value = member(object, key, place);
  if (value == nullptr) {
    return {};
  }
  if (value->is_number_integer()) {
    return value->dump();
  }
  if (!value->is_string()) {
    place.refuse(fmt::format("\"{}\" is not a text", key));
  }
  return value->get<std::string>();
}

std::string require_text(const Json& object, const char* key, const Place& place) {
  std::string text = text_of(object, key, place);
  if (text.empty()) {
    place.refuse(fmt::format("\"{}\" is missing", key));
  }
  return text;
}

bool flag_of(const Json& object, const char* key, const Place& place) {
  const Json* const value = member(object, key, place);
  if (value == nullptr) {
    return false;
  }
  if (value->is_boolean()) {
    return value->get<bool>();
  }
  const std::string text = text_of(object, key, place);
  return text == "true" || text == "True";
}

std::int64_t number_of(const Json& object, const char* key, std::int64_t fallback,
                       const Place& place) {
  const Json* const value = member(object, key, place);
  if (value == nullptr) {
    return fallback;
  }
  // One above the largest int64_t would wrap.
  if (!value->is_number_integer() ||
      (value->is_number_unsigned() && value->get<std::uint64_t>() > INT64_MAX)) {
    place.refuse(fmt::format("\"{}\" is not a whole number", key));
  }
  return value->get<std::int64_t>();
}

const Json& list_of(const Json& object, const char* key, const Place& place) {
  static const Json none = Json::array();
  const Json* const value = member(object, key, place);
  if (value == nullptr) {
    return none;
  }
  if (!value->is_array()) {
    place.refuse(fmt::format("\"{}\" is not a list", key));
  }
  return *value;
}

const Json& require_object(const Json& object, const char* key, const Place& place) {
  const Json* const value = member(object, key, place);
  if (value == nullptr || !value->is_object()) {
    place.refuse(fmt::format("\"{}\" is missing", key), "is this the address of OpenStack?");
  }
  return *value;
}

const Json& require_list(const Json& object, const char* key, const Place& place) {
  if (member(object, key, place) == nullptr) {
    place.refuse(fmt::format("\"{}\" is missing", key), "is this the address of OpenStack?");
  }
  return list_of(object, key, place);
}

}  // namespace hamal::openstack
