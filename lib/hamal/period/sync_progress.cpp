#include "hamal/period/sync_progress.hpp"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "hamal/util/units.hpp"

namespace hamal::period {
namespace {

std::uint64_t number(const nlohmann::json& object, const char* field) {
  const auto found = object.find(field);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

}  // namespace

std::optional<std::string> SyncProgress::take(std::string_view line) {
  if (!line.starts_with("{\"event\":")) {
    return std::nullopt;
  }
  try {
    const auto json = nlohmann::json::parse(line);
    const auto object = json.at("object").get<std::string>();
    const auto phase = json.at("phase").get<std::string>();
    const Disk disk{.done = number(json, "done"), .total = number(json, "total")};
    if (phase == "copying") {  // other phases count something else, or nothing
      m_disks[object] = disk;
    }
    return fmt::format("{} {} {}{}", object, phase, format_size(disk.done),
                       disk.total == 0 ? std::string() : "/" + format_size(disk.total));
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

RunProgress SyncProgress::sum() const {
  RunProgress sum{.phase = RunPhase::copy, .read_bytes = 0, .total_bytes = 0};
  bool known = true;
  for (const auto& [object, disk] : m_disks) {
    sum.read_bytes += disk.done;
    sum.total_bytes += disk.total;
    known = known && disk.total != 0;
  }
  sum.total_bytes = known ? sum.total_bytes : 0;
  return sum;
}

}  // namespace hamal::period
