#include "hamal/repository/compaction.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "hamal/repository/compaction_copy.hpp"
#include "hamal/repository/hash.hpp"
#include "hamal/repository/need.hpp"
#include "hamal/repository/prune_inventory.hpp"

namespace hamal::repository {
namespace {

constexpr std::chrono::seconds k_beat{60};
constexpr std::uint64_t k_max_compaction = 1U << 30;

/// Says every minute that the session lives, when somebody remembers to call it.
class Beat {
 public:
  Beat(const KeepingContext& context, const SessionId& session)
      : m_context(context), m_key(beat_key(session)) {}
  void now_and_then() {
    const auto now = m_context.clock.steady();
    if (!m_last || now - *m_last >= k_beat) {
      m_context.repository.store().put(m_key, {});
      m_last = now;
    }
  }

 private:
  const KeepingContext& m_context;
  std::string m_key;
  std::optional<std::chrono::steady_clock::time_point> m_last;
};

using EachSparse = std::function<void(const PackName&, const std::vector<RecordSet::Record>&)>;

/// Packs of which less than the bound is needed, none of them condemned. `busy` is called often.
void find_sparse(const KeepingContext& context, const CompactionOptions& options,
                 const Condemned& condemned, CompactionReport& report,
                 const std::function<void()>& busy, const EachSparse& each) {
  Repository& repository = context.repository;
  RecordSet records(options.scratch);
  NeedWalk walk(repository, repository.read_moves(),
                [&](const RecordPlace& place) { records.add(place); });
  for_each_vm(context, condemned.versions,
              [&](const VmName& /*vm*/, const std::vector<Manifest>& versions) {
                for (const Manifest& version : versions) {
                  context.cancel.check();
                  busy();
                  walk.add(version);
                }
              });
  std::map<PackName, std::uint64_t> sizes;
  repository.store().list("packs/", [&](const ObjectInfo& object) {
    if (const auto pack = parse_pack_key(object.key)) {
      sizes.emplace(*pack, object.size);
    }
  });
  report.packs = sizes.size();
  std::uint64_t taken = 0;
  records.for_each_pack([&](const PackName& pack, const std::vector<RecordSet::Record>& live) {
    const auto size = sizes.find(pack);
    std::uint64_t bytes = 0;
    for (const auto& record : live) {
      bytes += record.length;
    }
    if (size == sizes.end() || condemned.packs.contains(pack) ||
        bytes * 100 >= size->second * options.sparse_percent) {
      return;
    }
    if (taken + live.size() > options.most_records) {
      report.more = true;
      return;
    }
    taken += live.size();
    ++report.sparse_packs;
    report.sparse_bytes += size->second;
    busy();
    each(pack, live);
  });
}

std::uint64_t next_number(ObjectStore& store) {
  std::uint64_t next = 1;
  store.list("compactions/", [&](const ObjectInfo& object) {
    if (const auto number = parse_numbered_key(object.key, "compactions")) {
      next = std::max(next, *number + 1);
    }
  });
  return next;
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

Error taken_slot(const std::string& slot) {
  return {ErrorKind::busy, "another compaction, or a prune, has taken the slot", slot,
          "run compact again"};
}

/// Whether the slot holds what this session published, in a call whose reply was lost.
bool is_own(const KeepingContext& context, const std::string& slot, const SessionId& session) {
  const std::string bytes = context.repository.store().get(slot, k_max_compaction);
  return !bytes.starts_with('{') &&
         parse_compaction(bytes, slot, context.repository.keyring()).session == session;
}

}  // namespace

CompactionReport plan_compaction(const KeepingContext& context, const CompactionOptions& options) {
  CompactionReport report;
  find_sparse(
      context, options, context.repository.condemned(), report, [] {},
      [&](const PackName& /*pack*/, const std::vector<RecordSet::Record>& records) {
        for (const auto& record : records) {
          report.live_bytes += record.length;
        }
      });
  return report;
}

CompactionReport compact(const KeepingContext& context, const CompactionOptions& options) {
  Repository& repository = context.repository;
  ObjectStore& store = repository.store();
  const SessionId session = options.new_session();
  const std::string slot = compaction_key(next_number(store));
  store.put_if_absent(
      session_key(session),
      bytes_of(to_text(SessionObject{session, slot, rfc3339(context.clock.wall()), host_name()})));
  Beat beat(context, session);
  const Condemned condemned = repository.condemned();
  // Compactions follow each other: this one must know all before it.
  if (compaction_key(next_number(store)) != slot) {
    throw taken_slot(slot);
  }
  CompactionReport report;
  RecordCopier copier(context, session, report);
  find_sparse(
      context, options, condemned, report, [&] { beat.now_and_then(); },
      [&](const PackName& pack, const std::vector<RecordSet::Record>& records) {
        copier.copy(pack, records);
      });
  const Compaction moved = copier.finish();
  if (moved.packs.empty()) {
    // The slot is filled all the same: nothing waits for this session.
    const Tombstone nothing{Tombstone::Why::dropped, rfc3339(context.clock.wall())};
    store.put_if_absent(slot, bytes_of(to_text(nothing, slot, repository.keyring())));
    return report;
  }
  if (!store.put_if_absent(slot, bytes_of(to_bytes(moved, slot, repository.keyring()))) &&
      !is_own(context, slot, session)) {
    throw taken_slot(slot);
  }
  context.log.info("compaction {}: {} packs emptied, {} bytes moved into {} packs", slot,
                   report.sparse_packs, report.live_bytes, report.new_packs);
  return report;
}

}  // namespace hamal::repository
