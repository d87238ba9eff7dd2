#include "hamal/mass/tasks.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <set>

#include "hamal/mass/reply_fields.hpp"
#include "hamal/mass/settings.hpp"
#include "hamal/util/text.hpp"

namespace hamal::mass {
namespace {

constexpr std::size_t k_most_tasks = 1000;
constexpr std::size_t k_longest_name = 1024;

std::string name_field(const Fields& fields, const char* name) {
  std::string text = fields.id(name);
  if (text.size() > k_longest_name) {
    fields.refuse(name, fmt::format("is longer than {} bytes", k_longest_name));
  }
  if (escape_control(text) != text) {
    fields.refuse(name, "holds control characters");
  }
  return text;
}

void check_known(const nlohmann::json& json, const Place& place) {
  constexpr std::array k_fields{"id", "kind", "platform", "vm", "target", "quiesce", "expires"};
  for (const auto& [field, value] : json.items()) {
    if (std::find(k_fields.begin(), k_fields.end(), field) == k_fields.end()) {
      place.refuse("the field " + in_quotes(field) + " is not known to this version");
    }
  }
}

Task parse_task(const nlohmann::json& json, const std::string& id) {
  const Place place{"the task"};
  const Fields fields(json, place);
  check_known(json, place);
  if (const std::string kind = fields.text("kind"); kind != "sync") {
    fields.refuse("kind", "is not sync, and there is no other: " + in_quotes(kind));
  }
  Task task;
  task.id = id;
  task.platform = name_field(fields, "platform");
  task.vm = name_field(fields, "vm");
  task.target = name_field(fields, "target");
  if (fields.has("quiesce")) {
    task.quiesce = fields.text("quiesce");
    constexpr std::array k_words{"no", "try", "require"};
    if (std::find(k_words.begin(), k_words.end(), task.quiesce) == k_words.end()) {
      fields.refuse("quiesce", "is not no, try or require: " + in_quotes(task.quiesce));
    }
  }
  if (fields.has("expires")) {
    task.expires = time_field(fields, "expires");
  }
  return task;
}

std::optional<std::string> id_of(const nlohmann::json& json) {
  const auto id = json.is_object() ? json.find("id") : json.end();
  if (!json.is_object() || id == json.end() || !id->is_string() ||
      !is_id(id->get_ref<const std::string&>())) {
    return std::nullopt;
  }
  return id->get<std::string>();
}

}  // namespace

TaskList parse_tasks(std::string_view body) {
  const Place place{"the console's tasks"};
  const nlohmann::json json = parse_strict(body, place);
  const Fields fields(json, place);
  TaskList list;
  list.server_time = time_field(fields, "server_time");
  std::set<std::string> seen;
  for (const nlohmann::json& item : array_field(fields, "tasks", k_most_tasks)) {
    const auto id = id_of(item);
    if (!id) {
      const auto replace = nlohmann::json::error_handler_t::replace;
      list.nameless.push_back(in_quotes(item.dump(-1, ' ', false, replace)));
      continue;
    }
    if (!seen.insert(*id).second) {
      continue;  // delivered twice
    }
    TaskEntry entry{.id = *id, .task = {}, .problem = {}};
    try {
      entry.task = parse_task(item, *id);
    } catch (const Error& error) {
      entry.problem = error.what();
    }
    list.entries.push_back(std::move(entry));
  }
  return list;
}

}  // namespace hamal::mass
