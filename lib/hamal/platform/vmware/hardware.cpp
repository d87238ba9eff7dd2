#include "hamal/platform/vmware/hardware.hpp"

#include <nlohmann/json.hpp>

namespace hamal::vmware {
namespace {

using Json = nlohmann::json;  // sorted, as the document's parser has it

std::int64_t number_of(const ObjectProperties& properties, const std::string& path) {
  const std::string text = properties.text(path);
  return text.empty() || text.size() > 18 ||
                 text.find_first_not_of("0123456789") != std::string::npos
             ? 0
             : std::stoll(text);
}

}  // namespace

std::string hardware_of(VimClient& client, const Machine& machine, const std::vector<Disk>& disks,
                        const std::vector<LeftOut>& left_out) {
  const ObjectProperties more = retrieve(
      client, machine.object,
      {"config.hardware.numCPU", "config.hardware.memoryMB", "config.guestId", "config.firmware"});
  Json hardware{{"object", machine.object.id},
                {"version", machine.version},
                {"cpus", number_of(more, "config.hardware.numCPU")},
                {"memory_mb", number_of(more, "config.hardware.memoryMB")},
                {"guest", more.text("config.guestId")},
                {"firmware", more.text("config.firmware")},
                {"power", machine.power}};
  for (const Disk& disk : disks) {
    hardware["disks"].push_back({{"id", disk.id()},
                                 {"label", disk.label},
                                 {"file", disk.file},
                                 {"mode", disk.mode},
                                 {"backing", disk.backing}});
  }
  for (const LeftOut& one : left_out) {
    hardware["left_out"].push_back(
        {{"id", one.disk.id()}, {"label", one.disk.label}, {"reason", one.reason}});
  }
  return hardware.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace hamal::vmware
