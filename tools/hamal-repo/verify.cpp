// hamal-repo verify.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "common/output.hpp"
#include "hamal-repo/commands.hpp"
#include "hamal/repository/damaged.hpp"
#include "hamal/repository/verify.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

using repository::Damage;
using repository::VerifyReport;

nlohmann::json to_json(const Damage& damage) {
  nlohmann::json ranges = nlohmann::json::array();
  for (const Extent& range : damage.ranges) {
    ranges.push_back({{"offset", range.offset}, {"length", range.length}});
  }
  return {
      {"platform", damage.vm.platform}, {"vm_id", damage.vm.vm_id}, {"vm_name", damage.vm_name},
      {"version", damage.generation},   {"disk", damage.disk},      {"object", damage.object},
      {"problem", damage.problem},      {"bytes", damage.bytes},    {"ranges", std::move(ranges)}};
}

std::string to_json(const VerifyReport& report, repository::VerifyDepth depth) {
  nlohmann::json damages = nlohmann::json::array();
  for (const Damage& damage : report.damages) {
    damages.push_back(to_json(damage));
  }
  const nlohmann::json text = {{"depth", depth == repository::VerifyDepth::full ? "full" : "quick"},
                               {"versions", report.versions},
                               {"layers", report.layers},
                               {"packs", report.packs},
                               {"read_bytes", report.read_bytes},
                               {"records_decoded", report.decoded},
                               {"damages", std::move(damages)},
                               {"damaged_objects", report.damaged_objects}};
  return text.dump() + "\n";
}

std::string to_text(const Damage& damage) {
  const std::string vm = damage.vm_name.empty() ? damage.vm.vm_id : damage.vm_name;
  if (damage.disk.empty()) {
    return fmt::format("DAMAGED  {} version {}: {} {}\n", vm, damage.generation, damage.object,
                       damage.problem);
  }
  constexpr std::size_t k_shown = 4;
  std::string ranges;
  for (std::size_t i = 0; i < std::min(damage.ranges.size(), k_shown); ++i) {
    ranges += fmt::format("{}{}+{}", i == 0 ? "" : ", ", damage.ranges[i].offset,
                          damage.ranges[i].length);
  }
  if (damage.ranges.size() > k_shown) {
    ranges += ", …";
  }
  return fmt::format("DAMAGED  {} version {} disk {}: {} cannot be restored (at {}): {} {}\n", vm,
                     damage.generation, damage.disk, format_size(damage.bytes), ranges,
                     damage.object, damage.problem);
}

std::string to_text(const VerifyReport& report, repository::VerifyDepth depth) {
  std::string text;
  for (const Damage& damage : report.damages) {
    text += to_text(damage);
  }
  text +=
      fmt::format("{} versions, {} layers, {} packs", report.versions, report.layers, report.packs);
  if (depth == repository::VerifyDepth::full) {
    text += fmt::format(", {} read{}", format_size(report.read_bytes),
                        report.decoded ? "" : " (sealed: their checksums, not their content)");
  }
  if (report.damages.empty()) {
    for (const std::string& object : report.damaged_objects) {
      text = fmt::format("DAMAGED  {}, where no version reads it\n", object) + text;
    }
  }
  return text + (report.damaged_objects.empty() ? ": all is well\n" : ": DAMAGED\n");
}

repository::PackSet packs_of(const VerifyReport& report) {
  repository::PackSet packs;
  for (const std::string& key : report.damaged_objects) {
    if (const auto pack = repository::parse_pack_key(key)) {
      packs.insert(*pack);
    }
  }
  return packs;
}

}  // namespace

int run_verify(const RepoRequest& request, Session& session) {
  const auto repository = open_repository(request.repository, session);
  const VerifyReport report =
      repository::verify({*repository, find_vms(*repository, request.vm), request.depth,
                          session.progress(), session.cancel()});
  session.progress().done("verify");
  if (request.mark) {
    repository::mark_damaged(*repository, packs_of(report));
  }
  for (const Damage& damage : report.damages) {
    session.log().error("{} version {} disk {}: {} {}", damage.vm.vm_id, damage.generation,
                        damage.disk, damage.object, damage.problem);
  }
  const bool json = session.options().format == ReportFormat::json;
  write_stdout(json ? to_json(report, request.depth) : to_text(report, request.depth),
               session.cancel());
  return report.damaged_objects.empty() ? 0 : 1;
}

}  // namespace hamal
