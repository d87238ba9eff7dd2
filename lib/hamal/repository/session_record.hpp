// What this host remembers of the session it has begun for a vm, so that the next process goes on
// with it: a directory per vm under hamal_lib_dir/repository/REPOSITORY/sessions/.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "hamal/repository/names.hpp"

namespace hamal::repository {

struct SessionRecord {
  SessionId id{};
  VmName vm;
  std::string vm_name;
  std::string snapshot_id;
  std::uint64_t generation = 0;
  std::string started;  ///< RFC 3339
};

/// `directory` is hamal_lib_dir/repository/REPOSITORY.
std::filesystem::path session_directory(const std::filesystem::path& directory, const VmName& vm);
/// nullopt when there is none, or one that cannot be read: it costs an upload, never correctness.
std::optional<SessionRecord> read_session_record(const std::filesystem::path& session);
/// Durable on return; makes the directory.
void write_session_record(const std::filesystem::path& session, const SessionRecord& record);
/// The record first, then the journals.
void remove_session_record(const std::filesystem::path& session);

/// All sessions on record under hamal_lib_dir, of every repository: their snapshots must stay.
std::vector<SessionRecord> open_sessions(const std::filesystem::path& hamal_lib_dir);

}  // namespace hamal::repository
