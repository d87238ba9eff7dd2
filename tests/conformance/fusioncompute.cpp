#include "fusioncompute.hpp"

#include <algorithm>
#include <stdexcept>

#include "hamal/util/subprocess.hpp"

namespace hamal::testing {
namespace {

using nlohmann::json;

HttpOptions trusting(const std::string& thumbprint) {
  HttpOptions options;
  options.thumbprint = thumbprint;
  return options;
}

std::vector<std::string> command(const ScratchDirectory& scratch,
                                 const std::vector<std::string>& machines) {
  std::vector<std::string> argv{"python3",
                                std::string(HAMAL_SOURCE_DIR) + "/tests/lab/fusioncompute/sim.py",
                                "serve", scratch.path().string()};
  argv.insert(argv.end(), machines.begin(), machines.end());
  return argv;
}

}  // namespace

std::string why_no_fusioncompute() {
  static const int there =
      run_process({"/bin/sh", "-c", "command -v python3 && command -v openssl"}).exit_code;
  return there == 0 ? std::string() : "python3 or openssl is not installed";
}

FusionCompute::FusionCompute(const std::vector<std::string>& machines)
    : m_server(command(m_scratch, machines)),
      m_http(trusting(m_server.value("thumbprint")), m_cancel) {}

NamedSection FusionCompute::section(const std::string& name) const {
  NamedSection section;
  section.name = name;
  section.values = {{"type", "fusion_compute"},
                    {"endpoint", endpoint()},
                    {"user", "hamal"},
                    {"secret", "secret & <more>"},
                    {"thumbprint", m_server.value("thumbprint")},
                    {"file_path", m_scratch.file("{volume}@{snapshot}.img")}};
  return section;
}

void FusionCompute::tell(const std::string& what, const json& body) {
  const std::string text = body.dump();
  HttpRequest request;
  request.method = "PUT";
  request.url = endpoint() + "/_ctl/" + what;
  request.body = std::as_bytes(std::span(text));
  const HttpReply reply = m_http.perform(request);
  if (reply.status != 200) {
    throw std::runtime_error(what + " " + text + ": " + reply.body);
  }
}

json FusionCompute::state() {
  HttpRequest request;
  request.method = "GET";
  request.url = endpoint() + "/_ctl/state";
  return json::parse(m_http.perform(request).body);
}

long FusionCompute::calls(const std::string& text) {
  const json calls = state()["calls"];
  return std::count_if(calls.begin(), calls.end(), [&](const json& call) {
    return call.get<std::string>().find(text) != std::string::npos;
  });
}

std::string FusionCompute::live(const std::string& vm, std::size_t disk) {
  return machine(vm)["disks"][disk]["live"].get<std::string>();
}

}  // namespace hamal::testing
