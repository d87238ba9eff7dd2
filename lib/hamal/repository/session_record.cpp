#include "hamal/repository/session_record.hpp"

#include <nlohmann/json.hpp>
#include <system_error>

#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal::repository {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;
constexpr const char* k_record = "session.json";

}  // namespace

fs::path session_directory(const fs::path& directory, const VmName& vm) {
  return directory / "sessions" / escape_key_part(vm.platform) / escape_key_part(vm.vm_id);
}

std::optional<SessionRecord> read_session_record(const fs::path& session) {
  std::error_code error;
  if (!fs::exists(session / k_record, error)) {
    return std::nullopt;
  }
  try {
    const Json object = Json::parse(read_file(session / k_record));
    const auto id = parse_session_id(object.at("session").get<std::string>());
    if (!id) {
      return std::nullopt;
    }
    return SessionRecord{
        *id,
        {object.at("platform").get<std::string>(), object.at("vm_id").get<std::string>()},
        object.at("vm_name").get<std::string>(),
        object.at("snapshot_id").get<std::string>(),
        object.at("generation").get<std::uint64_t>(),
        object.at("started").get<std::string>()};
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

void write_session_record(const fs::path& session, const SessionRecord& record) {
  make_private_directories(session);
  const Json object = {{"session", to_hex(record.id)},      {"platform", record.vm.platform},
                       {"vm_id", record.vm.vm_id},          {"vm_name", record.vm_name},
                       {"snapshot_id", record.snapshot_id}, {"generation", record.generation},
                       {"started", record.started}};
  write_file_atomically(session / k_record,
                        object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

void remove_session_record(const fs::path& session) {
  std::error_code error;  // what stays is found and judged by its session's id
  fs::remove(session / k_record, error);
  fs::remove_all(session, error);
}

std::vector<SessionRecord> open_sessions(const fs::path& hamal_lib_dir) {
  std::vector<SessionRecord> found;
  std::error_code error;
  const fs::path root = hamal_lib_dir / "repository";
  if (!fs::is_directory(root, error)) {
    return found;
  }
  for (const auto& repository : fs::directory_iterator(root, error)) {
    const fs::path sessions = repository.path() / "sessions";
    if (!fs::is_directory(sessions, error)) {
      continue;
    }
    for (const auto& platform : fs::directory_iterator(sessions, error)) {
      for (const auto& vm : fs::directory_iterator(platform.path(), error)) {
        if (auto record = read_session_record(vm.path())) {
          found.push_back(*std::move(record));
        }
      }
    }
  }
  return found;
}

}  // namespace hamal::repository
