#include "hamal-cbt-read/source.hpp"

#include <numeric>
#include <optional>

#include "common/input.hpp"
#include "common/snapshot_cycle.hpp"
#include "common/vm_operand.hpp"
#include "hamal/block/endpoint.hpp"
#include "hamal/sync/read_changes.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
ReadSource open_source(const ReadRequest& request, Session& session) {
  ReadSource source;
  std::vector<std::string> wanted = request.disks;
  std::optional<Endpoint> endpoint;
  if (is_endpoint(request.operand)) {
    endpoint = parse_endpoint(request.operand);
  }
  if (is_repository_operand(request.operand)) {
    source.platform = session.open_platform(request.operand, Marking::unneeded);
    if (request.vm.empty()) {
      throw Error(ErrorKind::usage, "of which vm?", request.operand,
                  "name it: --vm VM; hamal-snapshot vms " + request.operand + " lists them");
    }
    SnapshotOptions options;
    options.at = request.at;
    source.document = source.platform->create_snapshot(request.vm, options);
  } else if (endpoint && endpoint->kind == EndpointKind::platform &&
             is_repository_platform(session.config(), endpoint->platform)) {
    source.platform = session.open_platform(endpoint->platform, Marking::unneeded);
    SnapshotOptions options;
    options.at = endpoint->snapshot;
    source.document = source.platform->create_snapshot(endpoint->vm, options);
    if (wanted.empty()) {
      wanted.push_back(endpoint->disk);
    }
  } else if (endpoint && endpoint->kind != EndpointKind::platform) {
    source.platform = session.open_platform(adhoc_platform(*endpoint), Marking::unneeded);
    // Naming the image itself is the operator's word that it is still: nothing is created.
    SnapshotOptions options;
    options.offline = Offline::yes;
    source.document = source.platform->create_snapshot(request.operand, options);
  } else {
    if (endpoint) {
      source.document = recorded_document(*endpoint, session);
      if (wanted.empty()) {
        wanted.push_back(endpoint->disk);
      }
    } else {
      source.document = read_snapshot_document(request.operand, session.cancel());
    }
    const bool configured = session.config().platforms.contains(source.document.platform);
    source.platform = session.open_platform(source.document.platform,
                                            configured ? Marking::needed : Marking::unneeded);
  }
  source.disks = find_disks(source.document, wanted);
  if (source.disks.empty()) {
    source.disks.resize(source.document.disks.size());
    std::iota(source.disks.begin(), source.disks.end(), std::size_t{0});
  }
  session.log().set_vm(source.document.vm_name);
  return source;
}

}  // namespace hamal
