// What the snapshot document says of the machine, for whoever must build it again.
#pragma once
#include <string>
#include <vector>

#include "hamal/platform/vmware/machine.hpp"

namespace hamal::vmware {

struct LeftOut {
  Disk disk;
  std::string reason;
};

/// A JSON object. `disks` are those of the snapshot, `left_out` those that it does not hold.
std::string hardware_of(VimClient& client, const Machine& machine, const std::vector<Disk>& disks,
                        const std::vector<LeftOut>& left_out);

}  // namespace hamal::vmware
