// The command lines by which one vm is synced: what hamal-period runs, and what --dry-run prints.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "hamal/period/job.hpp"

namespace hamal::period {

using Argv = std::vector<std::string>;

struct VmName {
  std::string platform;
  std::string id;
  std::string name;
};

/// What of this proxy a vm's run may take.
struct Share {
  unsigned disks = 1;                  ///< at once
  std::uint64_t memory = 0;            ///< bytes
  std::uint64_t bytes_per_second = 0;  ///< 0: no limit
};

/// Who reads hamal-sync's progress: people, in the logs, or SyncProgress.
enum class ProgressReader { people, program };

struct CommandLines {
  std::string document;  ///< path: `create` writes it, the others read it
  Argv create;
  Argv read;  ///< its output is the input of `sync`
  Argv sync;
  Argv commit;  ///< empty: the target is no repository
  Argv finish_committed;
  Argv finish_failed;
  Argv prune;  ///< empty: everything is kept
};

/// `config` is the path for --config, empty for the default one.
CommandLines command_lines(const Job& job, const VmName& vm, const Share& share,
                           const std::string& document, const std::string& config,
                           ProgressReader reader = ProgressReader::people);

/// One word for a POSIX shell.
std::string shell_quoted(const std::string& word);
std::string shell_quoted(const Argv& argv);
/// All of it, for a shell: the same commands under the same conditions.
std::string shell_script(const CommandLines& lines);

/// What may be part of a file's name: percent-encoded, and cut with a digest behind when it is
/// long.
std::string safe_file_name(const std::string& text);
/// vm-NAME_Agent-UUID.log: the vm's id when that is a UUID, else one made of platform and id
/// (version 5), the same every time.
std::string vm_log_name(const VmName& vm);

}  // namespace hamal::period
