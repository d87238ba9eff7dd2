// {"version":1,"lost":{DISK:{BITMAP:REASON}}}
#include "hamal/platform/qemu/platform_data.hpp"

namespace hamal::qemu {
namespace {

constexpr unsigned k_version = 1;

Error broken(const std::string& object, const std::string& problem) {
  return {ErrorKind::usage, "platform_data: " + problem, object,
          "use the snapshot document as `hamal-snapshot create` printed it"};
}

}  // namespace

std::string to_json(const PlatformData& data) {
  return Json{{"version", k_version}, {"lost", data.lost}}.dump(-1, ' ', true,
                                                                Json::error_handler_t::replace);
}

PlatformData parse_platform_data(const std::string& json, const std::string& object) {
  const Json parsed = Json::parse(json, nullptr, false);
  if (!parsed.is_object()) {
    throw broken(object, "not a JSON object");
  }
  PlatformData data;
  // A document rebuilt from a stream's header carries an empty one.
  if (parsed.empty()) {
    return data;
  }
  const auto version = parsed.find("version");
  if (version == parsed.end() || *version != k_version) {
    throw broken(object, "of another version of hamal");
  }
  const auto lost = parsed.find("lost");
  if (lost == parsed.end()) {
    throw broken(object, "\"lost\" is missing");
  }
  try {
    lost->get_to(data.lost);
  } catch (const Json::exception&) {
    throw broken(object, "\"lost\" is not a map of bitmaps and reasons by disk");
  }
  return data;
}

}  // namespace hamal::qemu
