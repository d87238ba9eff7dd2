#include "hamal/platform/openstack/volume_snapshots.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "hamal/json/strict_json.hpp"
#include "hamal/platform/rbd_names.hpp"
#include "hamal/util/parallel.hpp"
#include "hamal/util/units.hpp"

namespace hamal::openstack {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr unsigned k_at_once = 16;
constexpr int k_first_pause_ms = 100;
constexpr int k_longest_pause_ms = 2000;
constexpr std::string_view k_rbd_prefix = "snapshot-";
constexpr const char* k_id_key = "hamal_snapshot";
constexpr const char* k_server_key = "hamal_server";

std::string metadata_of(const VolumeSnapshot& snapshot, const char* key) {
  const auto found = snapshot.metadata.find(key);
  return found == snapshot.metadata.end() ? "" : found->second;
}

/// Sleeps longer each time, until the end.
class Pause {
 public:
  explicit Pause(std::chrono::milliseconds timeout) : m_end(Clock::now() + timeout) {}
  bool is_over() const { return Clock::now() >= m_end; }
  void sleep(const CancelToken& cancel) {
    cancel.sleep_ms(m_next);
    m_next = std::min(m_next * 2, k_longest_pause_ms);
  }

 private:
  Clock::time_point m_end;
  int m_next = k_first_pause_ms;
};

std::string path_of(const std::string& snapshot) {
  return "/snapshots/" + percent_encode(snapshot);
}

}  // namespace

std::string rbd_name_of(const std::string& snapshot) {
  return std::string(k_rbd_prefix) + snapshot;
}

std::string volume_snapshot_of(const std::string& rbd_name) {
  return rbd_name.starts_with(k_rbd_prefix) ? rbd_name.substr(k_rbd_prefix.size()) : "";
}

std::string VolumeSnapshots::request(const std::string& server, const std::string& volume,
                                     const std::string& id) {
  const Json body{
      {"snapshot",
       {{"volume_id", volume},
        {"name", held_name(id)},
        {"description", "hamal " + id + ": it replicates this volume, and removes it itself"},
        {"metadata", {{k_id_key, id}, {k_server_key, server}}},
        // A volume that is in use. Newer services ignore it.
        {"force", true}}}};
  const ApiCall call{.method = "POST",
                     .path = "/snapshots",
                     .body = body.dump(),
                     .what = "make a snapshot of the volume " + volume};
  return parse_snapshot(m_client.call(call), m_client.object_of(call)).id;
}

VolumeSnapshot VolumeSnapshots::look(const std::string& snapshot) {
  const ApiCall call{.path = path_of(snapshot), .what = "show the snapshot " + snapshot};
  return parse_snapshot(m_client.call(call), m_client.object_of(call));
}

std::string VolumeSnapshots::reason_of(const std::string& snapshot) {
  const ApiCall call{.path = "/messages?resource_uuid=" + percent_encode(snapshot),
                     .what = "say why it failed"};
  try {
    return parse_message(m_client.call(call), m_client.object_of(call));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::failed) {
      throw;
    }
    m_log.debug("no reason of {}: {}", snapshot, error.what());
    return {};
  }
}

Error VolumeSnapshots::not_in_time(const VolumeSnapshot& snapshot) const {
  return {ErrorKind::failed,
          fmt::format("is still \"{}\" after {}", snapshot.status,
                      format_duration(std::chrono::duration_cast<std::chrono::seconds>(m_timeout))),
          fmt::format("snapshot {} of the volume {}", snapshot.id, snapshot.volume),
          "see whether the service cinder-volume of that volume is up; task_timeout says how long "
          "to wait",
          Transience::transient};
}

VolumeSnapshot VolumeSnapshots::await(const std::string& id) {
  Pause pause(m_timeout);
  for (;;) {
    VolumeSnapshot now = look(id);
    if (now.status == "available") {
      return now;
    }
    if (now.status != "creating") {
      const std::string reason = reason_of(id);
      throw Error(ErrorKind::failed,
                  fmt::format("Cinder could not make it, it is \"{}\"{}", now.status,
                              reason.empty() ? "" : ": " + reason),
                  fmt::format("snapshot of the volume {}", now.volume),
                  "see the log of cinder-volume", Transience::transient);
    }
    if (pause.is_over()) {
      throw not_in_time(now);
    }
    pause.sleep(m_client.cancel());
  }
}

std::vector<VolumeSnapshot> VolumeSnapshots::create(const std::string& server,
                                                    const std::vector<std::string>& volumes,
                                                    const std::string& id) {
  std::vector<VolumeSnapshot> made(volumes.size());
  for_each_parallel(volumes.size(), k_at_once,
                    [&](std::size_t i) { made[i].id = request(server, volumes[i], id); });
  for (VolumeSnapshot& one : made) {
    one = await(one.id);
  }
  return made;
}

std::vector<OurSnapshot> VolumeSnapshots::of_server(const std::string& server) {
  const auto all = m_client.list(ApiCall{.path = "/snapshots/detail", .what = "list the snapshots"},
                                 parse_snapshots);
  std::vector<OurSnapshot> ours;
  for (const VolumeSnapshot& one : all) {
    const auto name = parse_snapshot_name(one.name);
    if (name && metadata_of(one, k_id_key) == name->id &&
        metadata_of(one, k_server_key) == server) {
      ours.push_back({one, name->id, name->mark, name->base});
    }
  }
  return ours;
}

void VolumeSnapshots::keep_as_base(const std::string& snapshot, const std::string& id) {
  const Json body{
      {"snapshot",
       {{"name", base_name(id)},
        {"description", "hamal " + id +
                            ": changes of this volume count from here. hamal removes it "
                            "after its next run"}}}};
  m_client.call({.method = "PUT",
                 .path = path_of(snapshot),
                 .body = body.dump(),
                 .what = "rename the snapshot " + snapshot});
}

Removal VolumeSnapshots::remove(const VolumeSnapshot& snapshot) {
  Pause pause(m_timeout);
  try {
    // One that is being made cannot be removed.
    VolumeSnapshot now = look(snapshot.id);
    while (now.status == "creating") {
      if (pause.is_over()) {
        throw not_in_time(now);
      }
      pause.sleep(m_client.cancel());
      now = look(snapshot.id);
    }
    if (now.status != "deleting") {
      m_client.call({.method = "DELETE",
                     .path = path_of(snapshot.id),
                     .what = "delete the snapshot " + snapshot.id});
    }
    // Cinder has set it to "deleting" before it answered; what is "available" again stays.
    for (;;) {
      now = look(snapshot.id);
      if (now.status == "available") {
        return Removal::busy;
      }
      if (now.status != "deleting") {
        const std::string reason = reason_of(snapshot.id);
        throw Error(ErrorKind::failed,
                    fmt::format("Cinder could not delete it, it is \"{}\"{}", now.status,
                                reason.empty() ? "" : ": " + reason),
                    fmt::format("snapshot {} of the volume {}", snapshot.id, snapshot.volume),
                    "see the log of cinder-volume; an administrator may have to reset its state");
      }
      if (pause.is_over()) {
        throw not_in_time(now);
      }
      pause.sleep(m_client.cancel());
    }
  } catch (const Error& error) {
    if (has_status(error, 404)) {
      return Removal::gone;
    }
    throw;
  }
}

}  // namespace hamal::openstack
