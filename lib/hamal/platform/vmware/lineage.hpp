// Whether a snapshot's contents descend from those of an earlier one, whose change id is the base.
#pragma once
#include <string>

#include "hamal/platform/vmware/change_id.hpp"

namespace hamal::vmware {

/// Why the tree of snapshots says that the vm was reverted since the base; empty: it does not say
/// so, which is no proof that it was not. `now` is in the machine's tree.
std::string why_not_descended(const Machine& machine, const Snapshot& now, const ChangeId& base);

}  // namespace hamal::vmware
