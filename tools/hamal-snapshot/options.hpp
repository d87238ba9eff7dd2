// What hamal-snapshot was asked to do.
#pragma once
#include <chrono>
#include <optional>
#include <string>

#include "common/common_options.hpp"
#include "common/held_verdict.hpp"
#include "common/vm_operand.hpp"
#include "hamal/platform/platform.hpp"

namespace hamal {

enum class SnapshotCommand { vms, create, list, finish, remove, remove_stale };

struct SnapshotRequest {
  CommonOptions common;
  SnapshotCommand command = SnapshotCommand::vms;
  VmOperand vm;             ///< vms: the platform alone; list and remove_stale: the vm may be empty
  SnapshotOptions options;  ///< create
  Fresh fresh = Fresh::no;  ///< create
  std::string document;     ///< finish: a file, or "-"
  Outcome outcome = Outcome::failed;
  std::string snapshot_id;  ///< remove
  bool dry_run = false;     ///< remove_stale
  /// remove_stale; nullopt: snapshot_max_hold
  std::optional<std::chrono::milliseconds> older_than;
  std::chrono::milliseconds wait{0};  ///< for a vm that another run holds
};

SnapshotRequest parse_snapshot_options(int argc, const char* const* argv);

}  // namespace hamal
