#include "hamal/mass/replies.hpp"

#include <arpa/inet.h>

#include <array>

#include "hamal/json/strict_json.hpp"
#include "hamal/mass/reply_fields.hpp"
#include "hamal/mass/settings.hpp"
#include "hamal/util/text.hpp"

namespace hamal::mass {
namespace {

constexpr std::size_t k_longest_message = 500;

}  // namespace

bool is_address(const std::string& text) {
  std::array<unsigned char, 16> bytes{};
  return ::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1;
}

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
  if (!is_address(address)) {
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
