// A vm goes on from its newest snapshot unless it is reverted. So where the base's snapshot, or the
// one that was made on, is still in the tree it is an ancestor of every later snapshot, and what
// lies between them is younger than the base. The servers' times alone are compared with each
// other.
#include "hamal/platform/vmware/lineage.hpp"

#include <algorithm>

#include "hamal/util/time.hpp"

namespace hamal::vmware {
namespace {

const Snapshot* by_object(const Machine& machine, const std::string& object) {
  const auto found = std::find_if(machine.snapshots.begin(), machine.snapshots.end(),
                                  [&](const Snapshot& one) { return one.object.id == object; });
  return found == machine.snapshots.end() ? nullptr : &*found;
}

bool is_older(const Snapshot& snapshot, const std::string& than) {
  const auto a = parse_rfc3339(snapshot.created);
  const auto b = parse_rfc3339(than);
  return a && b && *a < *b;
}

}  // namespace

std::string why_not_descended(const Machine& machine, const Snapshot& now, const ChangeId& base) {
  if (base.vm != machine.object.id) {
    return "the vm was registered anew since the base: it was " + base.vm;
  }
  const Snapshot* const base_now = by_object(machine, base.snapshot);
  const std::string& anchor = base_now == nullptr ? base.on : base.snapshot;
  if (base_now != nullptr && base_now->created != base.created) {
    return "the base's snapshot " + base.snapshot + " is another one now";
  }
  const bool must_pass = !anchor.empty() && by_object(machine, anchor) != nullptr;
  // Without an anchor nothing says where the base was: its ancestors may have been older than it.
  const bool ends_anywhere = !anchor.empty() && !must_pass;
  const Snapshot* at = &now;
  // No chain is longer than there are snapshots: a server's loop ends here.
  for (std::size_t steps = 0; at != nullptr && steps <= machine.snapshots.size(); ++steps) {
    if (must_pass && at->object.id == anchor) {
      return {};
    }
    if (!ends_anywhere && at != &now && is_older(*at, base.created)) {
      return "the vm was reverted since the base: it goes on from snapshot \"" + at->name +
             "\", which is older and was not under the base";
    }
    at = at->parent.empty() ? nullptr : by_object(machine, at->parent);
  }
  return must_pass ? "the vm was reverted since the base, whose snapshot or its parent " + anchor +
                         " is no ancestor of this one"
                   : std::string();
}

}  // namespace hamal::vmware
