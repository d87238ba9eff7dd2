// Our snapshots of a vm: made, found by name, removed.
//
// A snapshot's id is its name, hamal-MARK-RANDOM, which is known before it is made: so a snapshot
// whose creation was never answered is found again. The description begins with the same word, in
// case somebody renames it.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "hamal/platform/vmware/machine.hpp"
#include "hamal/platform/vmware/settings.hpp"
#include "hamal/report/log.hpp"

namespace hamal::vmware {

std::string new_snapshot_id(const std::string& mark);
/// The id of one of hamal's; empty: somebody else's.
std::string hamal_id(const Snapshot& snapshot);
/// Whether the id is of the installation of that mark.
bool is_of(std::string_view id, const std::string& mark);
const Snapshot* find_snapshot(const Machine& machine, const std::string& id);

enum class Quiesced { no, yes };

/// One vm's snapshots, over one session. Not thread-safe.
class Snapshots {
 public:
  Snapshots(VimClient& client, const Settings& settings, Logger& log)
      : m_client(client), m_settings(settings), m_log(log) {}

  /// Waits for the end of it. When the reply is lost, looks whether the server did it before it is
  /// asked again, once. Throws VimFault, and leaves what there is to remove() by id.
  void create(const Machine& machine, const std::string& id, Quiesced quiesced);
  /// Without its children, consolidated; nothing when it is not there (any more). Waits for a
  /// creation that is still going on, and returns when the tree has it no more: that a task
  /// succeeded does not say so. Disks that are left to be consolidated are, also those of an
  /// earlier removal.
  void remove(const Machine& machine, const std::string& id);
  /// Consolidates disks that an earlier removal left behind. Throws when that does not help.
  void consolidate(const Machine& machine);
  /// Waits for the end of a snapshot that is being made, so that it is seen in the tree; false:
  /// there is none. `machine` is as it is now.
  bool await_creation(const Machine& machine);
  /// As it is now.
  Machine look(const Machine& machine);

 private:
  bool was_created(const Machine& machine, const std::string& id);
  void ask_removal(const Machine& machine, const Snapshot& found, const std::string& id);
  Machine await_removal(const Machine& machine, const std::string& id);

  VimClient& m_client;
  const Settings& m_settings;
  Logger& m_log;
};

}  // namespace hamal::vmware
