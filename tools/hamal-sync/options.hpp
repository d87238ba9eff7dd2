// What hamal-sync can be asked to do.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "common/common_options.hpp"
#include "hamal/sync/sync_run.hpp"

namespace hamal {

enum class SyncCommand {
  sync,
  compare,
  list_checkpoints,
  show_checkpoints,
  forget_checkpoints,
  release,
  roll_back
};

struct SyncRequest {
  CommonOptions common;
  SyncCommand command = SyncCommand::sync;
  std::string stream;              ///< "-" or a file; empty in the direct form
  std::string source;              ///< endpoint URI of the direct form
  std::string target;              ///< URI or pattern
  std::vector<std::string> maps;   ///< DISK=URI
  std::vector<std::string> disks;  ///< ids or indices; empty: all of them
  Incremental incremental = Incremental::automatic;
  Resize resize = Resize::refuse;
  Force force = Force::no;
  TakeOver take_over = TakeOver::no;
  bool dry_run = false;
  std::string at;  ///< of a repository: the version; empty: the newest
  std::optional<unsigned> readers;
  std::optional<unsigned> parallel_disks;
  std::optional<std::uint64_t> memory_limit;  ///< bytes
  std::uint64_t bytes_per_second = 0;         ///< 0: no limit
  std::string metrics_file;                   ///< empty: none
  std::chrono::milliseconds wait{0};
  std::string vm;  ///< checkpoint commands, release and rollback: filters
};

/// Touches no file. Throws HelpRequested or Error(usage).
SyncRequest parse_sync_options(int argc, const char* const* argv);

}  // namespace hamal
