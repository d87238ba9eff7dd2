// hamal-repo stats.
#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "common/output.hpp"
#include "common/table.hpp"
#include "hamal-repo/commands.hpp"
#include "hamal-repo/report.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

struct Kind {
  const char* prefix;
  const char* name;
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;
};

}  // namespace

int run_stats(const RepoRequest& request, Session& session) {
  const auto repository = open_repository(request.repository, session);
  std::array<Kind, 5> kinds{{{"packs/", "packs"},
                             {"layers/", "layers"},
                             {"versions/", "versions"},
                             {"sessions/", "sessions"},
                             {"compactions/", "compactions"}}};
  for (Kind& kind : kinds) {
    repository->store().list(kind.prefix, [&](const ObjectInfo& object) {
      ++kind.objects;
      kind.bytes += object.size;
    });
  }
  std::uint64_t versions = 0;
  VersionSizes sum;
  const auto vms = repository->vms();
  for (const auto& vm : vms) {
    for (const auto& version : repository->visible_versions(vm)) {
      const VersionSizes sizes = sizes_of(version);
      ++versions;
      sum.logical += sizes.logical;
      sum.changed += sizes.changed;
      sum.stored += sizes.stored;
      sum.shared += sizes.shared;
    }
  }
  if (session.options().format == ReportFormat::json) {
    nlohmann::json text = {{"repository", repository->id()}, {"vms", vms.size()},
                           {"versions", versions},           {"logical_bytes", sum.logical},
                           {"changed_bytes", sum.changed},   {"stored_bytes", sum.stored},
                           {"shared_bytes", sum.shared},     {"objects", nlohmann::json::object()}};
    for (const Kind& kind : kinds) {
      text["objects"][kind.name] = {{"count", kind.objects}, {"bytes", kind.bytes}};
    }
    write_stdout(text.dump() + "\n", session.cancel());
    return 0;
  }
  std::vector<std::vector<std::string>> rows{{"OBJECTS", "COUNT", "SIZE"}};
  for (const Kind& kind : kinds) {
    rows.push_back({kind.name, std::to_string(kind.objects), format_size(kind.bytes)});
  }
  write_stdout(fmt::format("repository  {}\n{} vms, {} versions\nof disks    {}\nchanged     {}\n"
                           "stored      {}\nshared      {}\n\n{}",
                           repository->id(), vms.size(), versions, format_size(sum.logical),
                           format_size(sum.changed), format_size(sum.stored),
                           format_size(sum.shared), format_table(rows)),
               session.cancel());
  return 0;
}

}  // namespace hamal
