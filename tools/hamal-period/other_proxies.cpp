#include "hamal-period/other_proxies.hpp"

#include <algorithm>
#include <tuple>

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

}  // namespace

OtherProxies::OtherProxies(Session& session) {
  State& state = session.state();
  if (!state.shared()) {
    return;
  }
  const auto add = [&](const DiskIdentity& disk, const std::string& uri, const std::string& proxy) {
    if (!proxy.empty() && proxy != session.proxy_id()) {
      m_written.push_back({.platform = disk.platform,
                           .vm_id = disk.vm_id,
                           .target = disk.target,
                           .uri = uri,
                           .proxy = proxy});
    }
  };
  for (const Checkpoint& checkpoint : state.list_checkpoints()) {
    add(checkpoint.identity, checkpoint.target_uri, checkpoint.proxy);
  }
  for (const InProgress& mark : state.list_in_progress()) {
    add(mark.identity, {}, mark.proxy);
  }
  std::sort(m_written.begin(), m_written.end(), [](const Written& a, const Written& b) {
    return std::tie(a.platform, a.vm_id) < std::tie(b.platform, b.vm_id);
  });
}

std::string OtherProxies::writer_of(const period::Job& job, const std::string& vm_id) const {
  if (m_written.empty() || job.into_repository()) {
    return {};
  }
  const std::string glob = glob_of(job.target);
  const auto first =
      std::lower_bound(m_written.begin(), m_written.end(), std::tie(job.platform, vm_id),
                       [](const Written& written, const auto& key) {
                         return std::tie(written.platform, written.vm_id) < key;
                       });
  for (auto at = first; at != m_written.end() && at->platform == job.platform && at->vm_id == vm_id;
       ++at) {
    if (period::matches_pattern(glob, at->uri) || period::matches_pattern(glob, at->target)) {
      return at->proxy;
    }
  }
  return {};
}

}  // namespace hamal
