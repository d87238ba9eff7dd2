// A vCenter for the suites: tests/lab/vsphere.
#pragma once
#include <nlohmann/json.hpp>

#include <map>
#include <string>
#include <vector>

#include "hamal/config/config.hpp"
#include "hamal/net/http_client.hpp"
#include "held_server.hpp"
#include "servers.hpp"

namespace hamal::testing {

/// Builds the simulator when needed; why it cannot be had here, empty when it can.
std::string why_no_vsphere();

class Vsphere {
 public:
  /// Arguments as of the simulator: {"--vm", "web01:1M:off"}.
  explicit Vsphere(const std::vector<std::string>& arguments);

  std::string endpoint() const { return m_server.value("endpoint"); }
  std::string thumbprint() const { return m_server.value("thumbprint"); }
  std::string ca_file() const { return m_scratch.file("cert.pem"); }
  /// The [platform NAME] section for it.
  NamedSection section(const std::string& name) const;

  // What a test does to it (tests/lab/vsphere/settings.go and control.go).
  void set(const nlohmann::json& settings) { tell("settings", settings); }
  void rules(const nlohmann::json& rules) { tell("rules", rules); }
  void happen(const nlohmann::json& event) { tell("machine", event); }
  void forget_calls() { tell("log", nlohmann::json::object()); }
  nlohmann::json state();
  nlohmann::json machine(const std::string& name) { return state()["machines"][name]; }
  /// How often that was called since forget_calls().
  long calls(const std::string& method);

  /// The running disk of that number.
  std::string live(const std::string& vm, std::size_t disk);

 private:
  void tell(const std::string& path, const nlohmann::json& body);

  ScratchDirectory m_scratch;
  HeldServer m_server;
  CancelToken m_cancel;
  HttpClient m_http;
};

}  // namespace hamal::testing
