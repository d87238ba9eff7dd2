// Our change id of a disk: vSphere's, and the snapshot and the moment it is of. vSphere's alone is
// not enough: after the vm is reverted to a snapshot the same ids are given again, for other
// contents.
//
//   52 de … 7b 01/3;vm=vm-36;snapshot=snapshot-1001;created=2026-11-30T17:05:33.1Z;on=;others=0;
//   event=4711;event_at=2026-11-30T17:05:30Z
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "hamal/platform/vmware/machine.hpp"

namespace hamal::vmware {

/// The newest event of a vm at some moment; key 0: not known.
struct EventMark {
  std::int64_t key = 0;
  std::string at;  ///< as the server writes it
};

struct ChangeId {
  std::string tracked;   ///< vSphere's: EPOCH/SEQUENCE
  std::string vm;        ///< the object's id: another one when the vm was registered anew
  std::string snapshot;  ///< the object's id
  std::string created;   ///< of the snapshot, as the server writes it
  std::string on;        ///< the snapshot it was made on; empty: none
  unsigned others = 0;   ///< snapshots that the vm had besides
  EventMark before;      ///< what had happened when it was asked for
};

/// Empty when vSphere gives none, or a word of it cannot be told from ours.
std::string to_string(const ChangeId& id);
/// nullopt for what to_string() would not have written.
std::optional<ChangeId> parse_change_id(const std::string& text);

/// What can be said of a disk's change id at a snapshot of the vm; `disk` is of the snapshot's
/// configuration.
ChangeId change_id_of(const Machine& machine, const Snapshot& snapshot, const Disk& disk,
                      const EventMark& before);
/// Whether both are of one disk at one snapshot, and not of two that vSphere gives one id.
bool same_moment(const ChangeId& a, const ChangeId& b);

}  // namespace hamal::vmware
