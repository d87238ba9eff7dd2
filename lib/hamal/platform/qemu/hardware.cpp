#include "hamal/platform/qemu/hardware.hpp"

#include <fmt/format.h>

#include <optional>
#include <string_view>

namespace hamal::qemu {
namespace {

/// nullopt when QEMU refuses: a description that is incomplete is better than no snapshot.
std::optional<Json> ask(QmpClient& qmp, const std::string& command,
                        const Json& arguments = Json::object()) {
  try {
    return qmp.execute(command, arguments);
  } catch (const QmpError&) {
    return std::nullopt;
  }
}

std::optional<Json> property(QmpClient& qmp, const std::string& path, const std::string& name) {
  return ask(qmp, "qom-get", {{"path", path}, {"property", name}});
}

/// Devices given on the command line, added later, and made by QEMU itself: what has a network
/// address is a card.
Json network_cards(QmpClient& qmp) {
  Json cards = Json::array();
  for (const std::string path :
       {"/machine/peripheral", "/machine/peripheral-anon", "/machine/unattached"}) {
    const auto devices = ask(qmp, "qom-list", {{"path", path}});
    for (const Json& device : devices.value_or(Json::array())) {
      constexpr std::string_view k_child = "child<";
      const std::string type = json_string_or_empty(device, "type", path);
      if (!type.starts_with(k_child)) {
        continue;
      }
      const auto mac = property(qmp, path + "/" + json_string(device, "name", path), "mac");
      if (mac && mac->is_string()) {
        cards.push_back({{"device", type.substr(k_child.size(), type.size() - k_child.size() - 1)},
                         {"mac", *mac}});
      }
    }
  }
  return cards;
}

}  // namespace

std::string hardware_of(QmpClient& qmp) {
  Json hardware = Json::object();
  const QmpGreeting version = qmp.version();
  hardware["qemu"] = fmt::format("{}.{}", version.major, version.minor);
  if (const auto target = ask(qmp, "query-target"); target && target->is_object()) {
    hardware["arch"] = json_string_or_empty(*target, "arch", "query-target");
  } else {
    return hardware.dump();  // qemu-storage-daemon
  }
  if (const auto type = property(qmp, "/machine", "type"); type && type->is_string()) {
    hardware["machine"] = *type;
  }
  if (const auto cpus = ask(qmp, "query-cpus-fast"); cpus && cpus->is_array()) {
    hardware["cpus"] = cpus->size();
  }
  if (const auto memory = ask(qmp, "query-memory-size-summary"); memory && memory->is_object()) {
    hardware["memory_bytes"] = json_unsigned(*memory, "base-memory", "query-memory-size-summary");
  }
  hardware["network"] = network_cards(qmp);
  return hardware.dump();
}

}  // namespace hamal::qemu
