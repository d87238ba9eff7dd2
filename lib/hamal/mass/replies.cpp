#include "hamal/mass/replies.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "hamal/json/strict_json.hpp"
#include "hamal/mass/reply_fields.hpp"
#include "hamal/mass/settings.hpp"
#include "hamal/util/text.hpp"

namespace hamal::mass {
namespace {

constexpr std::size_t k_longest_message = 500;
constexpr std::size_t k_most_mappings = 4096;
constexpr std::size_t k_most_addresses = 16;

HostMapping mapping_of(const Fields& fields) {
  HostMapping mapping{to_lower(fields.id("host")), {}};
  if (!is_host_name(mapping.host)) {
    fields.refuse("host", "is no host name: " + in_quotes(mapping.host));
  }
  for (const auto& item : fields.require_array("addresses")) {
    if (!item.is_string() || !is_ip_address(item.get_ref<const std::string&>())) {
      fields.refuse("addresses", "holds what is no address");
    }
    mapping.addresses.push_back(item.get<std::string>());
  }
  if (mapping.addresses.size() > k_most_addresses) {
    fields.refuse("addresses", fmt::format("are more than {}", k_most_addresses));
  }
  return mapping;
}

}  // namespace

std::chrono::system_clock::time_point parse_registered(std::string_view body) {
  const Place place{"the console's reply to the registration"};
  const nlohmann::json json = parse_strict(body, place);
  return time_field(Fields(json, place), "server_time");
}

std::string parse_seen_address(std::string_view body) {
  const Place place{"the console's reply with the public address"};
  const nlohmann::json json = parse_strict(body, place);
  const Fields fields(json, place);
  std::string address = fields.id("address");
  if (!is_ip_address(address)) {
    fields.refuse("address", "is no address: " + in_quotes(address));
  }
  return address;
}

HeartbeatReply parse_heartbeat_reply(std::string_view body) {
  const Place place{"the console's reply to the heartbeat"};
  const nlohmann::json json = parse_strict(body, place);
  const Fields fields(json, place);
  HeartbeatReply reply;
  reply.server_time = time_field(fields, "server_time");
  if (fields.has("log_request")) {
    const Fields wanted(fields.require_object("log_request"), place, "log_request.");
    reply.log_request = LogRequest{wanted.id("id"), wanted.number("max_bytes")};
    if (!is_id(reply.log_request->id)) {
      wanted.refuse("id", "is no id: " + in_quotes(reply.log_request->id));
    }
  }
  return reply;
}

std::vector<HostMapping> parse_host_mappings(std::string_view body) {
  const Place place{"the console's host mappings"};
  const nlohmann::json json = parse_strict(body, place);
  const Fields fields(json, place);
  const nlohmann::json& list = array_field(fields, "mappings", k_most_mappings);
  std::vector<HostMapping> mappings;
  for (std::size_t i = 0; i < list.size(); ++i) {
    mappings.push_back(mapping_of(Fields(list[i], place, fmt::format("mappings[{}].", i))));
  }
  std::sort(mappings.begin(), mappings.end(),
            [](const HostMapping& a, const HostMapping& b) { return a.host < b.host; });
  const auto twice = std::adjacent_find(
      mappings.begin(), mappings.end(),
      [](const HostMapping& a, const HostMapping& b) { return a.host == b.host; });
  if (twice != mappings.end()) {
    fields.refuse("mappings", "has this host twice: " + twice->host);
  }
  return mappings;
}

Problem parse_problem(std::string_view body) noexcept {
  try {
    const Place place{"the console's refusal"};
    const nlohmann::json json = parse_strict(body, place);
    const Fields fields(json, place);
    std::string message = escape_control(fields.text("message"));
    if (message.size() > k_longest_message) {
      message = message.substr(0, k_longest_message) + "…";
    }
    return {fields.id("error"), message};
  } catch (const std::exception&) {
    return {};
  }
}

}  // namespace hamal::mass
