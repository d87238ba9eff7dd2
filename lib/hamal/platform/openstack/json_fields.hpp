// Members of OpenStack's JSON, where null stands for what is not there.
#pragma once
#include "hamal/json/strict_json.hpp"

namespace hamal::openstack {

using Json = nlohmann::json;

/// nullptr: missing, or null. `object` must be an object.
const Json* member(const Json& object, const char* key, const Place& place);
/// Empty when missing; a number is taken as its digits (some ids were numbers once).
std::string text_of(const Json& object, const char* key, const Place& place);
/// Throws when missing or empty.
std::string require_text(const Json& object, const char* key, const Place& place);
/// False when missing. "true" and "True" too: some services write so.
bool flag_of(const Json& object, const char* key, const Place& place);
/// The fallback when missing; else a whole number, which may be negative.
std::int64_t number_of(const Json& object, const char* key, std::int64_t fallback,
                       const Place& place);
/// An empty one when missing.
const Json& list_of(const Json& object, const char* key, const Place& place);
/// Throws when missing.
const Json& require_object(const Json& object, const char* key, const Place& place);
const Json& require_list(const Json& object, const char* key, const Place& place);

}  // namespace hamal::openstack
