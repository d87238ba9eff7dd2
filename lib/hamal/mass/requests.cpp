#include "hamal/mass/requests.hpp"

namespace hamal::mass {
namespace {

std::string path_of(const std::string& proxy, const std::string& rest) {
  return "/proxies/" + proxy + rest;
}

ConsoleRequest request(std::string what, std::string method, std::string path,
                       std::string body = {}) {
  ConsoleRequest made;
  made.what = std::move(what);
  made.method = std::move(method);
  made.path = std::move(path);
  made.body = std::move(body);
  return made;
}

}  // namespace

ConsoleRequest registration_request(const std::string& proxy, const Registration& registration) {
  return request("the registration", "PUT", path_of(proxy, ""), to_json(registration));
}

ConsoleRequest seen_address_request(const std::string& proxy, std::chrono::milliseconds timeout) {
  ConsoleRequest made = request("the public address", "GET", path_of(proxy, "/seen-address"));
  made.timeout = timeout;
  return made;
}

ConsoleRequest heartbeat_request(const std::string& proxy, const Heartbeat& heartbeat) {
  ConsoleRequest made =
      request("the heartbeat", "POST", path_of(proxy, "/heartbeats"), to_json(heartbeat));
  made.repeat = Repeat::never;
  return made;
}

ConsoleRequest host_mappings_request(const std::string& proxy) {
  return request("the host mappings", "GET", path_of(proxy, "/host-mappings"));
}

ConsoleRequest log_bundle_request(const std::string& proxy, const std::string& id,
                                  std::string archive) {
  ConsoleRequest made =
      request("the log bundle", "PUT", path_of(proxy, "/log-bundles/" + id), std::move(archive));
  made.content_type = "application/zstd";
  return made;
}

ConsoleRequest tasks_request(const std::string& proxy) {
  return request("the question for tasks", "GET", path_of(proxy, "/tasks"));
}

ConsoleRequest progress_request(const std::string& proxy, const std::string& task,
                                const TaskProgress& progress) {
  return request("the progress of task " + task, "PUT",
                 path_of(proxy, "/tasks/" + task + "/progress"), to_json(progress));
}

ConsoleRequest result_request(const std::string& proxy, const std::string& task,
                              const std::string& key, std::string body) {
  ConsoleRequest made = request("the result of task " + task, "PUT",
                                path_of(proxy, "/tasks/" + task + "/result"), std::move(body));
  made.headers.push_back({"Idempotency-Key", key});
  return made;
}

}  // namespace hamal::mass
