// One run of a vm at a time: a kernel lock among the processes of this host, a lease among the
// proxies that share the state (design rule 9).
#pragma once
#include <chrono>
#include <memory>
#include <string>

#include "common/vm_lease.hpp"
#include "hamal/util/file_lock.hpp"

namespace hamal {

/// Held from construction to destruction. The session outlives it.
class VmLock {
 public:
  /// Waits up to `wait`. Throws Error(busy) that names the holder.
  VmLock(Session& session, const std::string& platform, const std::string& vm_id,
         std::chrono::milliseconds wait, const CancelToken& cancel);

 private:
  // First: who waits for another proxy keeps nobody from the vm, least of all the tools that were
  // handed its lease.
  std::unique_ptr<VmLease> m_lease;
  FileLock m_lock;
};

}  // namespace hamal
