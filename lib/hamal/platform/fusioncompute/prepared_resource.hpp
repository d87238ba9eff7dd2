// A backup resource while it is used: prepared, renewed by a thread of its own, released.
#pragma once
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "hamal/platform/fusioncompute/disk_reader.hpp"
#include "hamal/platform/fusioncompute/resource_records.hpp"

namespace hamal::fusioncompute {

/// Its members may be called by one thread. What it is given outlives it.
class PreparedResource {
 public:
  /// Waits for what is in the way, and for the preparation. Whoever makes one has a slot of the
  /// host. Throws Error.
  PreparedResource(std::shared_ptr<VrmClient> client, const Settings& settings,
                   const FrozenDisk& frozen, const PlatformContext& context);
  /// Releases it and waits until it is gone, for some seconds, whatever the cancel token says; what
  /// is left then the next run releases.
  ~PreparedResource();
  PreparedResource(const PreparedResource&) = delete;
  PreparedResource& operator=(const PreparedResource&) = delete;

  const BackupResource& address() const noexcept { return m_address; }

 private:
  void prepare();
  void await_address();
  void renew();
  void end() noexcept;
  bool renew_once(std::chrono::steady_clock::time_point& ends);

  std::shared_ptr<VrmClient> m_client;
  Settings m_settings;
  FrozenDisk m_frozen;
  PlatformContext m_context;
  ResourceRecord m_record;
  std::string m_uri;
  BackupResource m_address;
  std::chrono::steady_clock::time_point m_begun;
  std::mutex m_mutex;
  std::condition_variable m_wake;
  bool m_ending = false;
  std::thread m_renewer;
};

/// Releases what dead processes of this proxy left for these volumes, which would be in the way of
/// the next snapshot. Never throws a hamal::Error: what cannot be released ends with its lease.
void release_leftovers(VrmClient& client, const Settings& settings, const std::vector<Disk>& disks,
                       const PlatformContext& context);

}  // namespace hamal::fusioncompute
