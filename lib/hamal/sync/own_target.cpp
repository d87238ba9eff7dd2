#include "hamal/sync/own_target.hpp"

#include "hamal/util/error.hpp"

namespace hamal {

std::vector<GivenUp> require_own_target(State& state, const DiskIdentity& disk,
                                        const std::string& uri, Force force) {
  std::vector<GivenUp> given_up;
  const auto found = [&](const GivenUp& other, const std::string& hint) {
    if (force == Force::no) {
      throw Error(ErrorKind::wrong_target, other.words, uri, hint);
    }
    given_up.push_back(other);
  };
  const auto is_others = [&disk](const DiskIdentity& other) {
    return other.target == disk.target && other != disk;
  };
  for (const auto& mark : state.list_in_progress()) {
    if (is_others(mark.identity)) {
      found({.disk = mark.identity,
             .words = "a run of the disk " + mark.identity.platform + ":" + mark.identity.vm_id +
                      "/" + mark.identity.disk_id + " was interrupted while it changed this target",
             .proxy = mark.proxy},
            "choose another target, or take it with --force");
    }
  }
  for (const auto& other : state.list_checkpoints()) {
    if (is_others(other.identity)) {
      found({.disk = other.identity,
             .words = "the target holds the disk " + other.identity.platform + ":" + other.vm_name +
                      "/" + other.identity.disk_id + " of generation " +
                      std::to_string(other.generation),
             .proxy = other.proxy},
            "choose another target, or give that one up: hamal-sync checkpoint forget, or --force");
    }
  }
  return given_up;
}

}  // namespace hamal
