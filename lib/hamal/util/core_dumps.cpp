#include "hamal/util/core_dumps.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>

namespace hamal {

void forbid_core_dumps() noexcept {
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  // That ends with exec, a limit is inherited. One of 0 does not count where core_pattern is a
  // pipe; one of 1 is too little for a file, and ends the pipe as well.
  constexpr rlim_t k_none = 1;
  rlimit limit{};
  if (::getrlimit(RLIMIT_CORE, &limit) == 0) {
    limit.rlim_cur = std::min(k_none, limit.rlim_max);
    ::setrlimit(RLIMIT_CORE, &limit);
  }
}

}  // namespace hamal
