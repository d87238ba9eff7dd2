#include "hamal/platform/vmware/snapshots.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "hamal/platform/vmware/task.hpp"
#include "hamal/util/random_id.hpp"

namespace hamal::vmware {
namespace {

constexpr std::string_view k_prefix = "hamal-";
constexpr std::size_t k_mark_digits = 8;
constexpr std::size_t k_random_digits = 16;
/// How long the tree of snapshots may lag behind the task that removed one of them.
constexpr std::chrono::milliseconds k_tree_lag{60'000};
constexpr int k_tree_pause_ms = 250;

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

bool is_gone(const VimFault& fault) {
  return fault.fault() == "ManagedObjectNotFound";
}

/// Whether nobody can say what became of the call.
bool is_unclear(const Error& error) {
  const auto* const fault = dynamic_cast<const VimFault*>(&error);
  return fault == nullptr ? error.kind() == ErrorKind::failed && error.transient()
                          : fault->fault() == "NotAuthenticated";
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

const Snapshot* find_snapshot(const Machine& machine, const std::string& id) {
  const auto found = std::find_if(machine.snapshots.begin(), machine.snapshots.end(),
                                  [&](const Snapshot& one) { return hamal_id(one) == id; });
  return found == machine.snapshots.end() ? nullptr : &*found;
}

Machine Snapshots::look(const Machine& machine) {
  return machine_of(retrieve(m_client, machine.object, machine_paths()));
}

bool Snapshots::await_creation(const Machine& machine) {
  bool waited = false;
  for (const ManagedObject& task : machine.recent_tasks) {
    try {
      const ObjectProperties info = retrieve(m_client, task, {"info.descriptionId", "info.state"});
      const std::string state = info.text("info.state");
      if (info.text("info.descriptionId") == "VirtualMachine.createSnapshot" &&
          (state == "queued" || state == "running")) {
        waited = true;
        wait_for_task(m_client, task, "the snapshot of " + machine.name, m_settings.task_timeout);
      }
    } catch (const VimFault& fault) {
      // Its end is seen in the tree; one that is forgotten has ended long ago.
      m_log.debug("{}: a task ended: {}", machine.name, fault.what());
    }
  }
  return waited;
}

bool Snapshots::was_created(const Machine& machine, const std::string& id) {
  await_creation(look(machine));
  return find_snapshot(look(machine), id) != nullptr;
}

void Snapshots::create(const Machine& machine, const std::string& id, Quiesced quiesced) {
  VimRequest request("CreateSnapshot_Task", machine.object);
  request.text("name", id)
      .text("description", id + " made by hamal while it replicates this vm. It removes it itself.")
      .flag("memory", false)
      .flag("quiesce", quiesced == Quiesced::yes);
  const std::string what = "the snapshot of " + machine.name;
  try {
    run_task(m_client, request, Repeat::no, what, m_settings.task_timeout);
    return;
  } catch (const Error& error) {
    if (!is_unclear(error)) {
      throw;
    }
    m_log.warning("{}: no reply to the creation of {}: {}", machine.name, id, error.what());
  }
  if (!was_created(machine, id)) {
    run_task(m_client, request, Repeat::no, what, m_settings.task_timeout);
  }
}

void Snapshots::remove(const Machine& machine, const std::string& id) {
  Machine now = look(machine);
  if (await_creation(now)) {
    now = look(machine);
  }
  const Snapshot* const found = find_snapshot(now, id);
  if (found != nullptr) {
    ask_removal(now, *found, id);
    now = await_removal(machine, id);
  }
  if (now.consolidation_needed) {
    consolidate(machine);
  }
}

void Snapshots::ask_removal(const Machine& machine, const Snapshot& found, const std::string& id) {
  VimRequest request("RemoveSnapshot_Task", found.object);
  request.flag("removeChildren", false).flag("consolidate", true);
  try {
    run_task(m_client, request, Repeat::yes, "the removal of " + id, m_settings.task_timeout);
  } catch (const VimFault& fault) {
    if (!is_gone(fault)) {
      throw;
    }
    m_log.debug("{}: {} went by itself: {}", machine.name, id, fault.what());
  }
}

Machine Snapshots::await_removal(const Machine& machine, const std::string& id) {
  const auto end = std::chrono::steady_clock::now() + std::min(m_settings.task_timeout, k_tree_lag);
  for (;;) {
    Machine now = look(machine);
    if (find_snapshot(now, id) == nullptr) {
      return now;
    }
    if (std::chrono::steady_clock::now() >= end) {
      throw Error(ErrorKind::failed,
                  "vSphere says that snapshot " + id + " was removed, and still has it",
                  machine.name, "see the vm's events in vCenter; the next run tries again",
                  Transience::transient);
    }
    m_client.cancel().sleep_ms(k_tree_pause_ms);
  }
}

void Snapshots::consolidate(const Machine& machine) {
  m_log.info("{}: consolidating disks that a removed snapshot left", machine.name);
  run_task(m_client, VimRequest("ConsolidateVMDisks_Task", machine.object), Repeat::yes,
           "the consolidation of " + machine.name, m_settings.task_timeout);
  if (look(machine).consolidation_needed) {
    throw Error(ErrorKind::failed, "the vm's disks still need consolidation", machine.name,
                "see the vm's events in vCenter: a backup or another host may hold a disk open");
  }
}

}  // namespace hamal::vmware
