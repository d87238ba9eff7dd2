// hamal-sync - : the consumer of the pipe.
#include <fcntl.h>
#include <fmt/core.h>

#include "common/repository_access.hpp"
#include "common/snapshot_cycle.hpp"
#include "hamal-sync/commands.hpp"
#include "hamal/stream/detect.hpp"
#include "hamal/sync/plan.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal {
namespace {

VmLock lock_vm_of(const StreamHeader& header, const SyncRequest& request, Session& session) {
  session.log().set_vm(header.vm_name);
  return {session, header.platform, header.vm_id, request.wait, session.cancel()};
}

// The frozen disks as the header describes them, opened through the platform it names.
class HeaderSource {
 public:
  HeaderSource(const StreamHeader& header, Session& session)
      : m_header(header), m_platform(session.open_platform(header.platform)) {}

  SyncSource source() {
    return {[this](const StreamDisk& disk) { return m_platform->open_reader(snapshot_disk(disk)); },
            [this](const StreamDisk& disk) {
              m_platform->verify_snapshot(m_header.vm_id, m_header.snapshot_id,
                                          snapshot_disk(disk));
            }};
  }

 private:
  static SnapshotDisk snapshot_disk(const StreamDisk& disk) {
    SnapshotDisk frozen;
    frozen.id = disk.id;
    frozen.label = disk.label;
    frozen.size = disk.size;
    frozen.change_id = disk.change_id;
    frozen.source = disk.source;
    frozen.tracked = !disk.change_id.empty();
    return frozen;
  }

  const StreamHeader& m_header;
  std::unique_ptr<Platform> m_platform;
};

int sync_extent_stream(const SyncRequest& request, Session& session, ExtentStreamReader& stream,
                       RunMetrics& metrics) {
  const StreamHeader& header = stream.header();
  const auto targets = choose_targets(request, header, session);
  const auto lock = lock_vm_of(header, request, session);
  session.progress().phase(header.vm_name, "planning", 0);
  auto disks = collect_plans(stream, plan_directory(session, header), session.cancel());
  session.progress().done(header.vm_name);
  HeaderSource source(header, session);
  const SyncOptions options = sync_options(request, session.config(), header.platform_type);
  SyncResult result;
  if (const auto endpoint = common_repository(targets)) {
    OpenedRepository repository(*endpoint, session);
    const RepositoryPlace place = repository.place(options.memory_limit / 2);
    RepositoryTarget target(place, header);
    result =
        stage_sync(header, disks, target, source.source(), options, sync_context(request, session));
  } else {
    result =
        run_sync(header, disks, targets, source.source(), options, sync_context(request, session));
  }
  metrics.note(result);
  return report_result(result, session);
}

int sync_data_stream(const SyncRequest& request, Session& session, DataStreamReader& stream,
                     RunMetrics& metrics) {
  const StreamHeader& header = stream.header();
  const auto targets = choose_targets(request, header, session);
  const auto lock = lock_vm_of(header, request, session);
  StreamRecord first;
  auto disks = collect_plans(stream, plan_directory(session, header), session.cancel(), first);
  SyncOptions options = sync_options(request, session.config(), header.platform_type);
  options.interrupted = Interrupted::not_mended;  // the stream brings its own plan's bytes alone
  SyncResult result;
  if (const auto endpoint = common_repository(targets)) {
    OpenedRepository repository(*endpoint, session);
    const RepositoryPlace place = repository.place(options.memory_limit / 2);
    RepositoryTarget target(place, header);
    result = stage_data_stream(stream, std::move(first), disks, target, options,
                               sync_context(request, session));
  } else {
    result = run_data_stream(stream, std::move(first), disks, targets, options,
                             sync_context(request, session));
  }
  metrics.note(result);
  return report_result(result, session);
}

}  // namespace

int sync_from_stream(const SyncRequest& request, Session& session, RunMetrics& metrics) {
  if (!request.disks.empty()) {
    throw Error(ErrorKind::usage, "--disk chooses disks of --source", "",
                "hamal-cbt-read --disk chooses those of a stream");
  }
  const bool from_stdin = request.stream == "-";
  const UniqueFd file = from_stdin ? UniqueFd() : open_file(request.stream, O_RDONLY);
  const int fd = from_stdin ? STDIN_FILENO : file.get();
  const std::string name = from_stdin ? "standard input" : request.stream;
  std::string prefix;
  try {
    if (detect_stream(fd, prefix) == StreamKind::data) {
      DataStreamReader stream(fd, name, std::move(prefix));
      return sync_data_stream(request, session, stream, metrics);
    }
    ExtentStreamReader stream(fd, name, std::move(prefix));
    return sync_extent_stream(request, session, stream, metrics);
  } catch (const StreamFailed& failed) {
    // The producer's status is ours: the pipe's last command speaks for all of it.
    session.log().error("{}", failed.what());
    fmt::print(stderr, "{}: error: {}\n", session.tool(), failed.what());
    return failed.status();
  }
}

}  // namespace hamal
