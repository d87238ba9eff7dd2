// A FusionCompute for the suites: tests/lab/fusioncompute.
#pragma once
#include <nlohmann/json.hpp>

#include <string>
#include <vector>

#include "hamal/config/config.hpp"
#include "hamal/net/http_client.hpp"
#include "held_server.hpp"
#include "servers.hpp"

namespace hamal::testing {

/// Why the simulator cannot be had here, empty when it can.
std::string why_no_fusioncompute();

class FusionCompute {
 public:
  /// As of the simulator: {"web01:1M,2M"}.
  explicit FusionCompute(const std::vector<std::string>& machines);

  std::string endpoint() const { return m_server.value("endpoint"); }
  /// The [platform NAME] section for it; disks are read as files.
  NamedSection section(const std::string& name) const;

  // What a test does to it (tests/lab/fusioncompute/README.md).
  void set(const nlohmann::json& settings) { tell("settings", settings); }
  void faults(const nlohmann::json& faults) { tell("faults", faults); }
  void happen(const nlohmann::json& event) { tell("machine", event); }
  void forget_calls() { tell("calls", nlohmann::json::object({{"all", true}})); }
  nlohmann::json state();
  nlohmann::json machine(const std::string& name) { return state()["machines"][name]; }
  /// How often a call that contains that was made since forget_calls().
  long calls(const std::string& text);
  /// The running disk of that number, from 0.
  std::string live(const std::string& vm, std::size_t disk);

 private:
  void tell(const std::string& what, const nlohmann::json& body);

  ScratchDirectory m_scratch;
  HeldServer m_server;
  CancelToken m_cancel;
  HttpClient m_http;
};

}  // namespace hamal::testing
