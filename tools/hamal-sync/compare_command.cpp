// hamal-sync --compare: reads both sides, names what differs.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "common/output.hpp"
#include "hamal-sync/commands.hpp"
#include "hamal/sync/compare.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

std::string compare_json(const SyncRequest& request, const CompareResult& result) {
  nlohmann::ordered_json differences = nlohmann::ordered_json::array();
  for (const auto& extent : result.differences) {
    differences.push_back({{"offset", extent.offset}, {"length", extent.length}});
  }
  return nlohmann::ordered_json({{"format", "hamal-compare-result"},
                                 {"version", 1},
                                 {"source", request.source},
                                 {"target", request.target},
                                 {"same", result.same()},
                                 {"source_size", result.source_size},
                                 {"target_size", result.target_size},
                                 {"read_bytes", result.read_bytes},
                                 {"differing_bytes", result.differing_bytes},
                                 {"truncated", result.truncated},
                                 {"differences", differences}})
             .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
         "\n";
}

std::string compare_text(const CompareResult& result) {
  if (result.target_size < result.source_size) {
    return fmt::format("different: the source has {} bytes, the target {}\n", result.source_size,
                       result.target_size);
  }
  if (result.same()) {
    return fmt::format("identical ({} read of each side)\n", format_size(result.read_bytes));
  }
  std::string text = fmt::format("different: {} in {} ranges\n",
                                 format_size(result.differing_bytes), result.differences.size());
  for (const auto& extent : result.differences) {
    text += fmt::format("  offset {} length {}\n", extent.offset, extent.length);
  }
  if (result.truncated) {
    text += "  … and more\n";
  }
  return text;
}

}  // namespace

namespace {

/// A disk to read, and the platform that lets it be read.
struct ComparedDisk {
  std::unique_ptr<Platform> platform;
  std::unique_ptr<BlockReader> reader;
};

ComparedDisk open_version_disk(const SyncRequest& request, const std::string& repository,
                               Session& session) {
  if (request.vm.empty() || request.disks.size() != 1) {
    throw Error(ErrorKind::usage, "which disk of which vm is compared?", repository,
                "name one: --vm VM --disk DISK");
  }
  ComparedDisk disk;
  disk.platform = session.open_platform(repository, Marking::unneeded);
  SnapshotOptions options;
  options.at = request.at;
  const SnapshotDocument document = disk.platform->create_snapshot(request.vm, options);
  disk.reader = disk.platform->open_reader(document.disk(request.disks[0]));
  return disk;
}

ComparedDisk open_source(const SyncRequest& request, Session& session) {
  if (const std::string repository = restored_repository(request); !repository.empty()) {
    return open_version_disk(request, repository, session);
  }
  return {nullptr, open_block_reader(session.parse_endpoint(request.source), &session.cancel())};
}

}  // namespace

int compare_endpoints(const SyncRequest& request, Session& session) {
  const ComparedDisk opened = open_source(request, session);
  const auto& source = opened.reader;
  const auto target = open_block_reader(session.parse_endpoint(request.target), &session.cancel());
  const auto result =
      compare_disks({*source, *target,
                     request.readers.value_or(session.config().data_sync.pre_disk_readers_count),
                     request.target, session.progress(), session.cancel()});
  write_stdout(session.options().format == ReportFormat::json ? compare_json(request, result)
                                                              : compare_text(result),
               session.cancel());
  return static_cast<int>(result.same() ? ExitStatus::done : ExitStatus::failed);
}

}  // namespace hamal
