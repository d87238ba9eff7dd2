#include "hamal/sync/own_target.hpp"

#include "hamal/util/error.hpp"

namespace hamal {

std::vector<std::string> require_own_target(State& state, const DiskIdentity& disk,
                                            const std::string& uri, Force force) {
  std::vector<std::string> overridden;
  const auto found = [&](const std::string& what, const std::string& hint) {
    if (force == Force::no) {
      throw Error(ErrorKind::wrong_target, what, uri, hint);
    }
    overridden.push_back(what);
  };
  const auto is_others = [&disk](const DiskIdentity& other) {
    return other.target == disk.target && other != disk;
  };
  for (const auto& mark : state.list_in_progress()) {
    if (is_others(mark.identity)) {
      found("a run of the disk " + mark.identity.platform + ":" + mark.identity.vm_id + "/" +
                mark.identity.disk_id + " was interrupted while it changed this target",
            "choose another target, or take it with --force");
    }
  }
  for (const auto& other : state.list_checkpoints()) {
    if (is_others(other.identity)) {
      found("the target holds the disk " + other.identity.platform + ":" + other.vm_name + "/" +
                other.identity.disk_id + " of generation " + std::to_string(other.generation),
            "choose another target, or give that one up: hamal-sync checkpoint forget, or --force");
    }
  }
  return overridden;
}

}  // namespace hamal
