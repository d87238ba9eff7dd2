// The plan, and the order of rounds; a round itself is in prune_round.cpp.
#include "hamal/repository/prune.hpp"

#include <algorithm>

#include "hamal/repository/prune_round.hpp"
#include "hamal/stream/snapshot_document.hpp"
#include "hamal/util/parallel.hpp"

namespace hamal::repository {
namespace {

// So often another prune may take the number of the next round.
constexpr unsigned k_most_rounds = 8;

/// A version whose time nobody can read is not dropped for its age.
std::vector<std::string> reasons_of(const RetentionPolicy& policy,
                                    const std::vector<Manifest>& versions) {
  std::vector<std::chrono::system_clock::time_point> times;
  std::vector<std::size_t> known;
  std::vector<std::string> reasons(versions.size(), "of an unknown time");
  for (std::size_t i = 0; i < versions.size(); ++i) {
    auto time = parse_rfc3339(versions[i].created);
    if (!time) {
      time = parse_rfc3339(versions[i].committed);
    }
    if (time) {
      times.push_back(*time);
      known.push_back(i);
    }
  }
  auto of_known = reasons_to_keep(policy, times);
  for (std::size_t i = 0; i < known.size(); ++i) {
    reasons[known[i]] = std::move(of_known[i]);
  }
  return reasons;
}

/// Disks that the snapshot has and the version has not.
std::set<std::string> disks_not_included(const Manifest& version) {
  std::set<std::string> ids;
  try {
    for (const SnapshotDisk& disk : parse_snapshot_document(version.document, "").disks) {
      ids.insert(disk.id);
    }
  } catch (const Error&) {
    return {};  // of a platform that knows more than we do: nothing is said of its disks
  }
  for (const DiskVersion& disk : version.disks) {
    ids.erase(disk.id);
  }
  return ids;
}

/// The next incremental of every disk of the machine as it is now counts from the newest version
/// that includes the disk, which need not be the newest version: a disk may have failed there.
void keep_checkpoints(const std::vector<Manifest>& versions, std::vector<std::string>& reasons) {
  if (versions.empty()) {
    return;
  }
  if (reasons.back().empty()) {
    reasons.back() = "newest";
  }
  std::set<std::string> missing = disks_not_included(versions.back());
  for (std::size_t i = versions.size(); i-- > 0 && !missing.empty();) {
    for (const DiskVersion& disk : versions[i].disks) {
      if (missing.erase(disk.id) > 0 && reasons[i].empty()) {
        reasons[i] = "checkpoint of " + disk.id;
      }
    }
  }
}

/// Also adds what stays up.
void plan_versions(const KeepingContext& context, const PruneOptions& options, NeedWalk& walk,
                   PrunePlan& plan, std::set<std::string>& dropped) {
  const auto plan_vm = [&](const VmName& vm, const std::vector<Manifest>& versions) {
    std::vector<std::string> reasons(versions.size(), "of another vm");
    if (options.vms.empty() || options.vms.contains(vm)) {
      reasons = options.keep.empty() ? std::vector<std::string>(versions.size(), "not asked for")
                                     : reasons_of(options.keep, versions);
      keep_checkpoints(versions, reasons);
    }
    for (std::size_t i = 0; i < versions.size(); ++i) {
      const VersionName name{vm, versions[i].generation, slot_key(vm, versions[i].generation)};
      if (options.drop.contains(name.key)) {
        reasons[i].clear();
      }
      if (reasons[i].empty()) {
        dropped.insert(name.key);
      } else {
        context.cancel.check();
        walk.add(versions[i]);
      }
      plan.versions.push_back({name, versions[i].created, std::move(reasons[i])});
    }
  };
  const Condemned before = context.repository.condemned();
  for_each_vm(context, before.versions, plan_vm);
}

template <typename Sizes, typename Goes>
void add_sizes(PrunePlan& plan, const Sizes& sizes, const Goes& goes) {
  for (const auto& [name, size] : sizes) {
    (goes.contains(name) ? plan.freed_bytes : plan.kept_bytes) += size;
  }
}

void extend_locks(const KeepingContext& context, const PruneOptions& options, PruneReport& report) {
  ObjectStore& store = context.repository.store();
  const StoreTime until = store.now() + options.extend_locks;
  const Need need = current_need(context);
  std::vector<std::string> keys(need.objects.begin(), need.objects.end());
  for (const PackName& pack : need.packs) {
    keys.push_back(pack_key(pack));
  }
  for_each_vm(context, context.repository.condemned().versions,
              [&](const VmName& vm, const std::vector<Manifest>& versions) {
                for (const Manifest& version : versions) {
                  keys.push_back(slot_key(vm, version.generation));
                }
              });
  std::vector<char> extended(keys.size());
  for_each_parallel(keys.size(), context.threads, [&](std::size_t i) {
    const auto now = store.locked_until(keys[i]);
    if (!now || *now < until) {
      store.lock_until(keys[i], until);
      extended[i] = 1;
    }
  });
  report.extended += static_cast<std::uint64_t>(std::count(extended.begin(), extended.end(), 1));
}

}  // namespace

PrunePlan plan_prune(const KeepingContext& context, const PruneOptions& options) {
  Repository& repository = context.repository;
  PrunePlan plan;
  plan.pending_rounds = read_round_numbers(repository.store()).pending;
  const auto moves = repository.read_moves();
  NeedWalk walk(repository, moves);
  std::set<std::string> dropped;
  plan_versions(context, options, walk, plan, dropped);
  for (const std::string& key : options.drop) {
    if (!dropped.contains(key)) {
      throw Error(ErrorKind::usage, "is no version that could be dropped", key,
                  "hamal-repo list shows what is there");
    }
  }
  Inventory inventory(context);
  plan.round = candidates(inventory, *moves, walk.need(), std::move(dropped));
  add_sizes(plan, inventory.packs(), plan.round.packs);
  add_sizes(plan, inventory.layers(), plan.round.objects);
  return plan;
}

namespace {

enum class Outcome { done, waits, again };

Outcome try_prune(const KeepingContext& context, const PruneOptions& options,
                  const RoundNumbers& numbers, PruneReport& report) {
  for (const std::uint64_t number : numbers.pending) {
    if (!finish_round(context, options, number, report)) {
      return Outcome::waits;
    }
  }
  const PrunePlan plan = plan_prune(context, options);
  if (plan.round == CondemnedRound{}) {
    return Outcome::done;
  }
  if (!put_condemned(context, numbers.next, plan.round)) {
    return Outcome::again;  // another prune was faster
  }
  return finish_round(context, options, numbers.next, report) ? Outcome::done : Outcome::waits;
}

}  // namespace

PruneReport prune(const KeepingContext& context, const PruneOptions& options) {
  PruneReport report;
  ObjectStore& store = context.repository.store();
  for (unsigned i = 0; i < k_most_rounds; ++i) {
    const RoundNumbers numbers = read_round_numbers(store);
    auto outcome = Outcome::again;
    try {
      outcome = try_prune(context, options, numbers, report);
    } catch (const ObjectMissing&) {
      // Another prune drops what this one was looking at; or something is lost.
      wait_list_lag(context);
      if (read_round_numbers(store) == numbers) {
        throw;
      }
    }
    if (outcome == Outcome::again) {
      continue;
    }
    if (outcome == Outcome::done && options.extend_locks.count() > 0) {
      extend_locks(context, options, report);
    }
    return report;
  }
  throw Error(ErrorKind::busy, "other prunes keep beginning rounds", store.uri(),
              "let one host at a time prune a repository");
}

}  // namespace hamal::repository
