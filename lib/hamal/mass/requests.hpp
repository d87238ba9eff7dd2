// The requests of the contract, not yet sent: method, path and body.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "hamal/mass/messages.hpp"
#include "hamal/net/http_client.hpp"

namespace hamal::mass {

/// Whether a request that may have arrived may be sent again.
enum class Repeat { never, allowed };

struct ConsoleRequest {
  std::string what;  ///< for messages: "the registration"
  std::string method;
  std::string path;  ///< below the base
  std::string content_type = "application/json";
  std::string body;
  std::vector<HttpHeader> headers;
  Repeat repeat = Repeat::allowed;
  /// Repetitions and pauses included; 0: default_request_timeout.
  std::chrono::milliseconds timeout{0};
};

ConsoleRequest registration_request(const std::string& proxy, const Registration& registration);
ConsoleRequest seen_address_request(const std::string& proxy, std::chrono::milliseconds timeout);
ConsoleRequest heartbeat_request(const std::string& proxy, const Heartbeat& heartbeat);
ConsoleRequest host_mappings_request(const std::string& proxy);
ConsoleRequest log_bundle_request(const std::string& proxy, const std::string& id,
                                  std::string archive);
ConsoleRequest tasks_request(const std::string& proxy);
ConsoleRequest progress_request(const std::string& proxy, const std::string& task,
                                const TaskProgress& progress);
/// `key` is the same for every attempt; `body` is a TaskResult's JSON.
ConsoleRequest result_request(const std::string& proxy, const std::string& task,
                              const std::string& key, std::string body);

}  // namespace hamal::mass
