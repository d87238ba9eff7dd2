// What the console replies, parsed strictly: the fields that the contract demands must be there and
// be right; others, of a newer console, are ignored.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hamal/util/host_mapping.hpp"

namespace hamal::mass {

struct LogRequest {
  std::string id;
  std::uint64_t max_bytes = 0;
};

struct HeartbeatReply {
  std::chrono::system_clock::time_point server_time;
  std::optional<LogRequest> log_request;
};

/// Why the console did not do what it was asked.
struct Problem {
  std::string error;    ///< a word; empty when the body was none of ours
  std::string message;  ///< a sentence on one line, of any characters
};

// All throw Error(failed) that names the console's reply.
std::chrono::system_clock::time_point parse_registered(std::string_view body);
/// An IPv4 or IPv6 address.
std::string parse_seen_address(std::string_view body);
HeartbeatReply parse_heartbeat_reply(std::string_view body);
/// The whole set or none: one that is wrong in a place is not used in any.
std::vector<HostMapping> parse_host_mappings(std::string_view body);

/// Never throws: what stands between may answer in any words.
Problem parse_problem(std::string_view body) noexcept;

}  // namespace hamal::mass
