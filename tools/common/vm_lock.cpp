#include "common/vm_lock.hpp"

namespace hamal {

VmLock::VmLock(Session& session, const std::string& platform, const std::string& vm_id,
               std::chrono::milliseconds wait, const CancelToken& cancel)
    : m_lease(lease_vm(session, {platform, vm_id}, wait, cancel)),
      m_lock(session.lock_path("vm", vm_lock_name(platform, vm_id)),
             "vm " + vm_lock_name(platform, vm_id), LockHolder{session.run_id(), session.tool()},
             wait, cancel) {}

}  // namespace hamal
