// The vms whose targets another proxy writes in place: they are left to it.
#pragma once
#include <string>
#include <vector>

#include "common/session.hpp"
#include "hamal/period/job.hpp"

namespace hamal {

/// As of construction. Where the state is not shared there are none.
class OtherProxies {
 public:
  explicit OtherProxies(Session& session);

  /// The proxy that has written a target of this job's vm last, when it is not this one and the
  /// target is no repository; empty: none has.
  std::string writer_of(const period::Job& job, const std::string& vm_id) const;

 private:
  struct Written {
    std::string platform;
    std::string vm_id;
    std::string target;
    std::string uri;  ///< empty: it was not recorded
    std::string proxy;
  };
  std::vector<Written> m_written;  // by others, in place; sorted by platform and vm_id
};

}  // namespace hamal
