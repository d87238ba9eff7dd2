// The vms whose targets another proxy writes in place: they are left to it.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "common/session.hpp"
#include "hamal/period/schedule.hpp"

namespace hamal {

/// As of construction. Where the state is not shared there are none.
class OtherProxies {
 public:
  explicit OtherProxies(Session& session);

  /// The one proxy, other than this, that has written all targets of this job's vm last, when they
  /// are no repository; empty: there is none. That is so too when they are of different proxies:
  /// then the run fails, and says what to do about which. `disks` are those that the vm has now;
  /// empty: all that are known count.
  std::string writer_of(const period::Job& job, const std::string& vm_id,
                        const std::vector<VmDisk>& disks = {}) const;

 private:
  struct Written {
    DiskIdentity disk;
    std::string uri;    ///< empty: it was not recorded
    std::string other;  ///< empty: it is this proxy's
  };
  std::vector<Written> m_written;  // in place; sorted by platform and vm_id
};

/// "left to proxy …", and what to do when that one is dead.
std::string left_to(const std::string& proxy);

/// Whether a vm that is left to another proxy has been due for longer than `grace`, although nobody
/// has its lease: as if that proxy were dead.
bool is_forsaken(Session& session, const period::Job& job, const RunRecord& run,
                 period::TimePoint now, std::chrono::milliseconds grace);

/// What a proxy that lives may take to begin what is due: some passes.
std::chrono::milliseconds patience_with_others(const Config& config);

}  // namespace hamal
