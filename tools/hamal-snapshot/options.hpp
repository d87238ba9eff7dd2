// What hamal-snapshot was asked to do.
#pragma once
#include <chrono>
#include <string>

#include "common/common_options.hpp"
#include "common/vm_operand.hpp"
#include "hamal/platform/platform.hpp"

namespace hamal {

enum class SnapshotCommand { vms, create, list, finish, remove };

struct SnapshotRequest {
  CommonOptions common;
  SnapshotCommand command = SnapshotCommand::vms;
  VmOperand vm;             ///< vms: the platform alone; list: the vm may be empty
  SnapshotOptions options;  ///< create
  std::string document;     ///< finish: a file, or "-"
  Outcome outcome = Outcome::failed;
  std::string snapshot_id;            ///< delete
  std::chrono::milliseconds wait{0};  ///< for a vm that another run holds
};

SnapshotRequest parse_snapshot_options(int argc, const char* const* argv);

}  // namespace hamal
