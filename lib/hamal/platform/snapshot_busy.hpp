// What a platform throws when a snapshot of ours cannot be removed now.
#pragma once
#include <string>
#include <utility>

#include "hamal/util/error.hpp"

namespace hamal {

/// Somebody has protected or cloned it: all else was done, and removing it may be tried again once
/// they have let go. No reason for a run not to begin.
class SnapshotBusy final : public Error {
 public:
  SnapshotBusy(std::string what, std::string object, std::string hint)
      : Error(ErrorKind::failed, std::move(what), std::move(object), std::move(hint),
              Transience::transient) {}
};

}  // namespace hamal
