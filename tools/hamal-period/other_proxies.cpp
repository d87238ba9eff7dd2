#include "hamal-period/other_proxies.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "hamal/sync/own_proxy.hpp"
#include "hamal/util/text.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

/// "file:/srv/{vm}-{disk}.raw" → "file:/srv/*-*.raw"
std::string glob_of(const std::string& target) {
  std::string glob;
  for (std::size_t at = 0; at < target.size(); ++at) {
    const std::size_t end = target[at] == '{' ? target.find('}', at) : std::string::npos;
    if (end == std::string::npos) {
      glob += target[at];
    } else {
      glob += '*';
      at = end;
    }
  }
  return glob;
}

constexpr std::chrono::minutes k_least_patience{10};

auto key_of(const DiskIdentity& disk) {
  return std::tie(disk.platform, disk.vm_id, disk.disk_id, disk.target);
}

struct ByDisk {
  bool operator()(const DiskIdentity& a, const DiskIdentity& b) const {
    return key_of(a) < key_of(b);
  }
};

struct Known {
  std::optional<Checkpoint> checkpoint;
  std::optional<InProgress> mark;
};

}  // namespace

OtherProxies::OtherProxies(Session& session) {
  State& state = session.state();
  if (!state.shared()) {
    return;
  }
  std::map<DiskIdentity, Known, ByDisk> all;
  for (Checkpoint& checkpoint : state.list_checkpoints()) {
    all[checkpoint.identity].checkpoint = std::move(checkpoint);
  }
  for (InProgress& mark : state.list_in_progress()) {
    all[mark.identity].mark = std::move(mark);
  }
  for (const auto& [disk, known] : all) {
    m_written.push_back({.disk = disk,
                         .uri = known.checkpoint ? known.checkpoint->target_uri : std::string(),
                         .other = other_proxy(known.checkpoint, known.mark, session.proxy_id())});
  }
}

std::string OtherProxies::writer_of(const period::Job& job, const std::string& vm_id,
                                    const std::vector<VmDisk>& disks) const {
  if (m_written.empty() || job.into_repository()) {
    return {};
  }
  const std::string glob = glob_of(job.target);
  const auto first =
      std::lower_bound(m_written.begin(), m_written.end(), std::tie(job.platform, vm_id),
                       [](const Written& written, const auto& key) {
                         return std::tie(written.disk.platform, written.disk.vm_id) < key;
                       });
  std::string writer;
  for (auto at = first;
       at != m_written.end() && at->disk.platform == job.platform && at->disk.vm_id == vm_id;
       ++at) {
    const bool is_there =
        disks.empty() || std::any_of(disks.begin(), disks.end(), [&](const VmDisk& disk) {
          return disk.id == at->disk.disk_id;
        });
    if (!is_there || (!period::matches_pattern(glob, at->uri) &&
                      !period::matches_pattern(glob, at->disk.target))) {
      continue;
    }
    if (at->other.empty() || (!writer.empty() && writer != at->other)) {
      return {};
    }
    writer = at->other;
  }
  return writer;
}

std::string left_to(const std::string& proxy) {
  return "left to proxy " + escape_control(proxy) +
         ", which wrote its target; if that one is dead: hamal-sync --take-over";
}

bool is_forsaken(Session& session, const period::Job& job, const RunRecord& run,
                 period::TimePoint now, std::chrono::milliseconds grace) {
  const period::Due due = judge(job, &run, now);
  if (!due.now) {
    return false;
  }
  period::TimePoint since = due.when;
  // What did not end is due at once, for who knows how long.
  if (run.state == period::k_running || run.state == period::k_interrupted) {
    const auto started = parse_rfc3339(run.started);
    since = parse_rfc3339(run.ended).value_or(started.value_or(now));
  }
  if (since + grace > now) {
    return false;
  }
  const auto lease = session.state().leases().find_lease({run.platform, run.vm_id});
  return !lease || lease->left.count() <= 0;
}

std::chrono::milliseconds patience_with_others(const Config& config) {
  return std::max<std::chrono::milliseconds>(3 * config.period.interval, k_least_patience);
}

}  // namespace hamal
