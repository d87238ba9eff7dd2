#include "hamal-period/period_lock.hpp"

namespace hamal {

FileLock lock_period(const Session& session, const std::string& platform, const std::string& vm_id,
                     const std::string& run_id) {
  const std::string name = vm_lock_name(platform, vm_id);
  return {session.lock_path("period", name), "vm " + name, LockHolder{run_id, session.tool()},
          std::chrono::milliseconds(0), session.cancel()};
}

}  // namespace hamal
