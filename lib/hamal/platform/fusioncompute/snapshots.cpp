#include "hamal/platform/fusioncompute/snapshots.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "hamal/util/random_id.hpp"

namespace hamal::fusioncompute {
namespace {

constexpr std::string_view k_prefix = "hamal-";
constexpr std::size_t k_mark_digits = 8;
constexpr std::size_t k_random_digits = 16;
constexpr std::string_view k_disks = "disks=";

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_id(std::string_view text) {
  return text.size() == k_prefix.size() + k_mark_digits + 1 + k_random_digits &&
         text.starts_with(k_prefix) && text[k_prefix.size() + k_mark_digits] == '-' &&
         is_hex(text.substr(k_prefix.size(), k_mark_digits)) &&
         is_hex(text.substr(k_prefix.size() + k_mark_digits + 1));
}

std::string mark_of(const std::string& id) {
  return id.empty() ? id : id.substr(k_prefix.size(), k_mark_digits);
}

/// Whether the later one does not count on from the earlier one, on any volume.
bool is_outrun(const SnapshotDetail& earlier, const SnapshotDetail& later) {
  return std::any_of(earlier.volumes.begin(), earlier.volumes.end(), [&](const auto& then) {
    return then.change_number != 0 &&
           std::any_of(later.volumes.begin(), later.volumes.end(), [&](const auto& now) {
             return now.volume_urn == then.volume_urn &&
                    now.tracking_begun == then.tracking_begun && now.change_number != 0 &&
                    now.change_number <= then.change_number;
           });
  });
}

/// Whether nobody can say what became of the call.
bool is_unclear(const Error& error) {
  return dynamic_cast<const VrmError*>(&error) == nullptr &&
         dynamic_cast<const TaskTimeout*>(&error) == nullptr && error.kind() == ErrorKind::failed &&
         error.transient();
}

}  // namespace

std::string new_snapshot_id(const std::string& mark) {
  return fmt::format("{}{}-{}", k_prefix, mark, random_hex(k_random_digits));
}

std::string hamal_id(const Snapshot& snapshot) {
  if (is_id(snapshot.name)) {
    return snapshot.name;
  }
  const std::string word = snapshot.description.substr(0, snapshot.description.find(' '));
  return is_id(word) ? word : std::string();
}

bool is_of(std::string_view id, const std::string& mark) {
  return is_id(id) && id.substr(k_prefix.size(), k_mark_digits) == mark;
}

std::string description_of(const std::string& id, const std::vector<Disk>& disks) {
  std::string list;
  for (const Disk& disk : disks) {
    list += fmt::format("{}{}", list.empty() ? "" : ",", disk.sequence);
  }
  return fmt::format("{} {}{} made by hamal, which removes it itself.", id, k_disks, list);
}

std::vector<std::string> disks_in(const Snapshot& snapshot) {
  std::vector<std::string> ids;
  const std::size_t at = snapshot.description.find(k_disks);
  if (at == std::string::npos) {
    return ids;
  }
  std::string number;
  for (std::size_t i = at + k_disks.size(); i <= snapshot.description.size(); ++i) {
    const char c = i < snapshot.description.size() ? snapshot.description[i] : ' ';
    if (c >= '0' && c <= '9') {
      number += c;
      continue;
    }
    if (!number.empty()) {
      ids.push_back("disk" + number);
      number.clear();
    }
    if (c != ',') {
      break;
    }
  }
  return ids;
}

const Snapshot* find_snapshot(const std::vector<Snapshot>& all, const std::string& id) {
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const Snapshot& one) { return hamal_id(one) == id; });
  return found == all.end() ? nullptr : &*found;
}

bool is_ancestor(const std::vector<Snapshot>& all, const std::string& urn,
                 const Snapshot& snapshot) {
  std::string at = snapshot.parent;
  for (std::size_t steps = 0; steps <= all.size() && !at.empty(); ++steps) {
    if (at == urn) {
      return true;
    }
    const auto parent =
        std::find_if(all.begin(), all.end(), [&](const Snapshot& one) { return one.urn == at; });
    at = parent == all.end() ? std::string() : parent->parent;
  }
  return false;
}

std::vector<Snapshot> Snapshots::list() {
  const std::string path = m_machine.uri + "/snapshots";
  return parse_snapshots(m_client.get(path), "GET " + path);
}

SnapshotDetail Snapshots::detail(const Snapshot& snapshot) {
  return parse_snapshot(m_client.get(snapshot.uri), "GET " + snapshot.uri);
}

Patience Snapshots::create_patience() const {
  return {m_settings.create_timeout, "create_snap_task_timeout"};
}

bool Snapshots::was_created(const std::string& id) {
  Pause pause(m_settings.create_timeout);
  for (;;) {
    const std::vector<Snapshot> all = list();
    const Snapshot* const found = find_snapshot(all, id);
    if (found == nullptr || found->status == "ready") {
      return found != nullptr;
    }
    if (pause.is_over()) {
      throw Error(ErrorKind::failed, "the snapshot " + id + " stays " + found->status,
                  m_machine.name, "see the vm's tasks in FusionCompute", Transience::transient);
    }
    pause.sleep(m_client.cancel());
  }
}

void Snapshots::start(const std::string& body, const std::string& what) {
  const std::string path = m_machine.uri + "/snapshots";
  retry_conflicts(m_client, m_log, what, create_patience(), [&] {
    const StartedTask task =
        parse_started(m_client.call("POST", path, body, Repeat::no), "POST " + path);
    wait_for_task(m_client, task.task_uri, what, create_patience());
  });
}

void Snapshots::create(const std::string& id, const std::string& description,
                       Consistent consistent) {
  const std::string body = nlohmann::json{{"name", id},
                                          {"description", description},
                                          {"type", "CBTbackup"},
                                          {"needMemoryShot", false},
                                          {"isConsistent", consistent == Consistent::yes}}
                               .dump();
  const std::string what = "the snapshot of " + m_machine.name;
  try {
    start(body, what);
    return;
  } catch (const Error& error) {
    if (!is_unclear(error) || m_client.cancel().requested()) {
      throw;
    }
    m_log.warning("{}: no reply to the creation of {}: {}", m_machine.name, id, error.what());
  }
  if (!was_created(id)) {
    start(body, what);
  }
}

std::optional<SnapshotDetail> Snapshots::seek_detail(const Snapshot& snapshot) {
  try {
    return detail(snapshot);
  } catch (const VrmError& error) {
    if (!error.is_missing()) {
      throw;
    }
    return std::nullopt;
  }
}

void Snapshots::remove_outrun(const std::vector<Snapshot>& all, const Snapshot& newer) {
  const std::string mark = mark_of(hamal_id(newer));
  std::optional<SnapshotDetail> now;
  for (const Snapshot& older : all) {
    if (!is_of(hamal_id(older), mark) || !is_ancestor(all, older.urn, newer)) {
      continue;
    }
    if (!now && !(now = seek_detail(newer))) {
      return;
    }
    const auto then = seek_detail(older);
    if (then && is_outrun(*then, *now)) {
      m_log.warning(
          "{}: chgID began anew after {}, as after a restart of the host: it is removed, since no "
          "change can be counted from it",
          m_machine.name, hamal_id(older));
      remove(hamal_id(older));
    }
  }
}

void Snapshots::remove(const std::string& id) {
  const Patience patience{m_settings.delete_timeout, "delete_snap_task_timeout"};
  const std::string what = "the removal of " + id;
  retry_conflicts(m_client, m_log, what, patience, [&] {
    const std::vector<Snapshot> all = list();
    const Snapshot* const found = find_snapshot(all, id);
    if (found == nullptr) {
      return;
    }
    remove_outrun(all, *found);
    try {
      const StartedTask task = parse_started(m_client.call("DELETE", found->uri, {}, Repeat::yes),
                                             "DELETE " + found->uri);
      wait_for_task(m_client, task.task_uri, what, patience);
    } catch (const VrmError& error) {
      if (!error.is_missing()) {
        throw;
      }
    }
  });
}

}  // namespace hamal::fusioncompute
