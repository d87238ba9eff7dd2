#include "hamal/state/checkpoint_json.hpp"

#include <nlohmann/json.hpp>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

constexpr int k_version = 1;
constexpr const char* k_format = "hamal-checkpoint";

[[noreturn]] void bad(const std::string& name, const std::string& what) {
  throw Error(ErrorKind::usage, what, name,
              "expected the output of: hamal-sync checkpoint show --json");
}

std::string text_field(const nlohmann::json& object, const char* key, const std::string& name) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) {
    bad(name, std::string("not a checkpoint: \"") + key + "\" is missing or not a string");
  }
  return found->get<std::string>();
}

std::uint64_t number_field(const nlohmann::json& object, const char* key, const std::string& name) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) {
    bad(name, std::string("not a checkpoint: \"") + key + "\" is missing or not a whole number");
  }
  return found->get<std::uint64_t>();
}

nlohmann::ordered_json object_of(const Checkpoint& checkpoint) {
  nlohmann::ordered_json object = {
      {"format", k_format},
      {"version", k_version},
      {"platform", checkpoint.identity.platform},
      {"vm_id", checkpoint.identity.vm_id},
      {"vm_name", checkpoint.vm_name},
      {"disk", checkpoint.identity.disk_id},
      {"target", checkpoint.identity.target},
      {"target_uri", checkpoint.target_uri},
      {"change_id", checkpoint.change_id},
      {"snapshot_id", checkpoint.snapshot_id},
      {"generation", checkpoint.generation},
      {"size", checkpoint.size},
      {"committed", checkpoint.committed},
  };
  if (!checkpoint.released.empty()) {
    object["released"] = checkpoint.released;
  }
  object["state"] = "committed";
  return object;
}

std::string line_of(const nlohmann::ordered_json& object) {
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string to_json(const Checkpoint& checkpoint) {
  return line_of(object_of(checkpoint));
}

std::string to_json(const Checkpoint& checkpoint, const InProgress& mark, bool can_roll_back) {
  auto object = object_of(checkpoint);
  object["state"] = "in progress";
  object["in_progress"] = {{"started", mark.started}, {"can_roll_back", can_roll_back}};
  return line_of(object);
}

Checkpoint parse_checkpoint(std::string_view json, const std::string& name) {
  const auto object = nlohmann::json::parse(json, nullptr, false);
  if (object.is_discarded() || !object.is_object()) {
    bad(name, "not a JSON object");
  }
  if (text_field(object, "format", name) != k_format) {
    bad(name, "not a checkpoint: its format is \"" + object["format"].get<std::string>() + "\"");
  }
  if (const auto version = number_field(object, "version", name); version != k_version) {
    bad(name, "written by a newer hamal: version " + std::to_string(version) + ", this one reads " +
                  std::to_string(k_version));
  }
  Checkpoint checkpoint;
  checkpoint.identity.platform = text_field(object, "platform", name);
  checkpoint.identity.vm_id = text_field(object, "vm_id", name);
  checkpoint.vm_name = text_field(object, "vm_name", name);
  checkpoint.identity.disk_id = text_field(object, "disk", name);
  checkpoint.identity.target = text_field(object, "target", name);
  checkpoint.target_uri = text_field(object, "target_uri", name);
  checkpoint.change_id = text_field(object, "change_id", name);
  checkpoint.snapshot_id = text_field(object, "snapshot_id", name);
  checkpoint.generation = number_field(object, "generation", name);
  checkpoint.size = number_field(object, "size", name);
  checkpoint.committed = text_field(object, "committed", name);
  if (object.contains("released")) {
    checkpoint.released = text_field(object, "released", name);
  }
  return checkpoint;
}

}  // namespace hamal
