// The order makes a crash harmless wherever it comes: the record of the intent, the request, the
// record of what it is called, use, release, gone, no record. A crash between the second and the
// third leaves a resource without a name: it is in the way until its lease has run out, which is
// waited for like any other conflict.
#include "hamal/platform/fusioncompute/prepared_resource.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "hamal/platform/fusioncompute/task.hpp"
#include "hamal/util/error.hpp"

namespace hamal::fusioncompute {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds k_longest{7200};
constexpr std::chrono::seconds k_gone{30};
constexpr const char* k_task_type = "CBTBackup";  // and the snapshot's is CBTbackup

std::string last_part(const std::string& uri) {
  return uri.substr(uri.rfind('/') + 1);
}

bool is_full(const VrmError& error) {
  return error.is(VrmCode::host_connections) || error.is(VrmCode::host_connections_too);
}

/// Whether it is gone in the end.
bool release(VrmClient& client, const std::string& uri) {
  try {
    client.call("DELETE", uri, {}, Repeat::yes);
  } catch (const VrmError&) {  // NOLINT: what became of it is seen below
  }
  Pause pause(k_gone);
  do {
    try {
      client.get(uri);
    } catch (const VrmError&) {
      return true;
    }
    pause.sleep(client.cancel());
  } while (!pause.is_over());
  return false;
}

}  // namespace

PreparedResource::PreparedResource(std::shared_ptr<VrmClient> client, const Settings& settings,
                                   const FrozenDisk& frozen, const PlatformContext& context)
    : m_client(std::move(client)),
      m_settings(settings),
      m_frozen(frozen),
      m_context(context),
      m_record(context.config.defaults.hamal_lib_dir, settings.platform, frozen.volume.volume_uri,
               context.cancel) {
  try {
    prepare();
  } catch (const VrmError&) {
    // Answered: there is none, or it is known by its name.
    if (m_uri.empty()) {
      m_record.forget();
    } else {
      end();
    }
    throw;
  } catch (...) {
    if (!m_uri.empty()) {
      end();
    }
    throw;
  }
  m_renewer = std::thread([this] { renew(); });
}

void PreparedResource::prepare() {
  const std::string what = "the backup resource of " + m_frozen.object();
  const Patience patience{m_settings.task_timeout, "task_timeout"};
  const nlohmann::json wish{
      {"delay", m_settings.vna.lease.count()},
      {"taskType", k_task_type},
      {"ip", m_settings.vna.local_ip},
      {"snapUrn2", m_frozen.snapshot.urn},
      {"volCBTCreateTime", m_frozen.volume.tracking_begun},
      {"transMode", m_settings.vna.transport == Transport::lan ? "lan" : "lanssl"}};
  const std::string path = m_frozen.volume.volume_uri + "/backupresources";
  Pause pause(patience.timeout);
  for (bool told = false;;) {
    m_begun = Clock::now();
    try {
      const StartedTask task =
          parse_started(m_client->call("POST", path, wish.dump(), Repeat::no), "POST " + path);
      m_uri = path + "/" + last_part(task.task_uri);
      m_record.set_uri(m_uri);
      wait_for_task(*m_client, task.task_uri, what, patience);
      break;
    } catch (const VrmError& error) {
      if ((!error.is_conflict() && !is_full(error)) || pause.is_over()) {
        throw;
      }
      if (!std::exchange(told, true)) {
        m_context.log.warning("{} waits: {}", what, error.what());
      }
    }
    pause.sleep(m_client->cancel());
  }
  await_address();
}

void PreparedResource::await_address() {
  Pause pause(m_settings.task_timeout);
  for (;;) {
    m_address = parse_resource(m_client->get(m_uri), "GET " + m_uri);
    if (!m_address.host.empty() && m_address.port != 0 && !m_address.token.empty()) {
      return;
    }
    if (pause.is_over()) {
      throw Error(ErrorKind::failed, "the backup resource has no address", m_uri,
                  "see the host's state in FusionCompute", Transience::transient);
    }
    pause.sleep(m_client->cancel());
  }
}

bool PreparedResource::renew_once(Clock::time_point& ends) {
  const auto now = Clock::now();
  const auto left = std::chrono::duration_cast<std::chrono::seconds>(m_begun + k_longest - now);
  const auto delay = std::min(m_settings.vna.lease, left);
  if (delay.count() < 60 || now + delay <= ends) {
    return false;
  }
  m_client->call("PUT", m_uri, nlohmann::json{{"delay", delay.count()}}.dump(), Repeat::yes);
  ends = now + delay;
  return true;
}

void PreparedResource::renew() {
  Clock::time_point ends = m_begun + m_settings.vna.lease;
  // Its thirds are short enough for a call that is lost.
  const auto pause = m_settings.vna.lease / 3;
  std::unique_lock lock(m_mutex);
  while (!m_wake.wait_for(lock, pause, [this] { return m_ending; })) {
    lock.unlock();
    try {
      if (!renew_once(ends)) {
        m_context.log.info("{}: the backup resource lasts no longer: a new one follows",
                           m_frozen.object());
        return;
      }
    } catch (const Error& error) {
      if (m_client->cancel().requested()) {
        return;
      }
      m_context.log.warning("{}: the backup resource is not renewed: {}", m_frozen.object(),
                            error.what());
    }
    lock.lock();
  }
}

PreparedResource::~PreparedResource() {
  if (m_renewer.joinable()) {
    {
      const std::lock_guard lock(m_mutex);
      m_ending = true;
    }
    m_wake.notify_all();
    m_renewer.join();
  }
  end();
}

void PreparedResource::end() noexcept {
  try {
    // A client that is stopped says nothing any more.
    const CancelToken uninterrupted;
    std::optional<VrmClient> own;
    if (m_client->cancel().requested()) {
      own.emplace(m_settings.endpoint, uninterrupted);
    }
    if (release(own ? *own : *m_client, m_uri)) {
      m_record.forget();
    } else {
      m_context.log.warning("{}: the backup resource does not go: the next run looks again",
                            m_frozen.object());
    }
  } catch (const std::exception& error) {
    m_context.log.warning("{}: the backup resource is not released: {}", m_frozen.object(),
                          error.what());
  }
}

void release_leftovers(VrmClient& client, const Settings& settings, const std::vector<Disk>& disks,
                       const PlatformContext& context) {
  std::vector<std::string> volumes;
  for (const Disk& disk : disks) {
    volumes.push_back(disk.volume_uri);
  }
  for (const Leftover& one :
       find_leftovers(context.config.defaults.hamal_lib_dir, settings.platform, volumes)) {
    if (one.resource_uri.empty()) {
      context.log.warning(
          "a run was killed while it asked for a backup resource: if there is one it ends with its "
          "lease, at most {} s from then",
          settings.vna.lease.count());
      forget(one);
      continue;
    }
    try {
      const bool gone = release(client, one.resource_uri);
      context.log.warning("a killed run left the backup resource {}: {}", one.resource_uri,
                          gone ? "released" : "it does not go yet");
      if (gone) {
        forget(one);
      }
    } catch (const Error& error) {
      context.cancel.check();
      context.log.warning("a killed run left the backup resource {}: {}", one.resource_uri,
                          error.what());
    }
  }
}

}  // namespace hamal::fusioncompute
