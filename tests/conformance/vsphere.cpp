#include "vsphere.hpp"

#include <algorithm>
#include <stdexcept>

#include "hamal/util/subprocess.hpp"

namespace hamal::testing {
namespace {

using nlohmann::json;

HttpOptions trusting(const std::string& ca_file) {
  HttpOptions options;
  options.ca_file = ca_file;
  return options;
}

std::vector<std::string> command(const ScratchDirectory& scratch,
                                 const std::vector<std::string>& arguments) {
  std::vector<std::string> argv{HAMAL_VSPHERE_SIM, "--dir", scratch.path().string()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return argv;
}

}  // namespace

std::string why_no_vsphere() {
  static const ProcessResult built = run_process(
      {std::string(HAMAL_SOURCE_DIR) + "/tests/lab/vsphere/build.sh", HAMAL_VSPHERE_SIM});
  if (built.exit_code != 0 && built.exit_code != 77) {
    throw std::runtime_error("the simulator cannot be built: " + built.stderr_text);
  }
  return built.exit_code == 0 ? std::string() : built.stderr_text;
}

Vsphere::Vsphere(const std::vector<std::string>& arguments)
    : m_server(command(m_scratch, arguments)), m_http(trusting(ca_file()), m_cancel) {}

NamedSection Vsphere::section(const std::string& name) const {
  NamedSection section;
  section.name = name;
  section.values = {{"type", "vmware"},
                    {"endpoint", endpoint()},
                    {"user", "hamal@vsphere.local"},
                    {"secret", "secret & <more>"},
                    {"ca_file", ca_file()},
                    {"enable_change_tracking", "True"}};
  return section;
}

void Vsphere::tell(const std::string& path, const json& body) {
  const std::string text = body.dump();
  HttpRequest request;
  request.method = "PUT";
  request.url = endpoint() + "/_ctl/" + path;
  request.body = std::as_bytes(std::span(text));
  const HttpReply reply = m_http.perform(request);
  if (reply.status != 200) {
    throw std::runtime_error(path + " " + text + ": " + reply.body);
  }
}

json Vsphere::state() {
  HttpRequest request;
  request.method = "GET";
  request.url = endpoint() + "/_ctl/state";
  return json::parse(m_http.perform(request).body);
}

long Vsphere::calls(const std::string& method) {
  const json log = state()["log"];
  return std::count(log.begin(), log.end(), json(method));
}

std::string Vsphere::live(const std::string& vm, std::size_t disk) {
  return machine(vm)["disks"][disk]["live"].get<std::string>();
}

}  // namespace hamal::testing
