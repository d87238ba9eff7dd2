#include "hamal/repository/prune_round.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "hamal/repository/hash.hpp"
#include "hamal/util/parallel.hpp"

namespace hamal::repository {
namespace {

constexpr std::uint64_t k_max_round = 256U << 20;
constexpr int k_poll_ms = 5000;
// Their keys are in memory: a verdict can name a hundred million.
constexpr std::size_t k_packs_at_a_time = 4096;

std::optional<CondemnedRound> read_round(const KeepingContext& context, const std::string& key) {
  Repository& repository = context.repository;
  try {
    return parse_condemned(repository.store().get(key, k_max_round), key, repository.keyring());
  } catch (const ObjectMissing&) {
    return std::nullopt;
  }
}

/// What is in the store afterwards: `round`, or what another prune put before.
CondemnedRound settle(const KeepingContext& context, const std::string& key, CondemnedRound round) {
  Repository& repository = context.repository;
  const std::string text = to_text(round, key, repository.keyring());
  if (repository.store().put_if_absent(key, bytes_of(text))) {
    return round;
  }
  return parse_condemned(repository.store().get(key, k_max_round), key, repository.keyring());
}

void put_tombstone(const KeepingContext& context, const std::string& key) {
  const Tombstone tombstone{Tombstone::Why::dropped, rfc3339(context.clock.wall())};
  const std::string text = to_text(tombstone, key, context.repository.keyring());
  context.repository.store().put(key, bytes_of(text));
}

class Round {
 public:
  Round(const KeepingContext& context, const PruneOptions& options, std::uint64_t number,
        PruneReport& report)
      : m_context(context),
        m_options(options),
        m_store(context.repository.store()),
        m_number(number),
        m_report(report) {}

  bool finish() {
    auto verdict = read_round(m_context, verdict_key(m_number));
    if (!verdict) {
      const auto condemned = read_round(m_context, condemned_key(m_number));
      if (!condemned) {
        throw Error(ErrorKind::failed, "a prune round has no beginning", condemned_key(m_number),
                    "hamal-repo verify says what suffers");
      }
      if (!await_sessions()) {
        return false;
      }
      wait_list_lag(m_context);
      verdict =
          settle(m_context, verdict_key(m_number), verdict_of(*condemned, current_need(m_context)));
    }
    execute(*verdict);
    // A list that is behind must not show what was deleted to somebody who knows that it is done.
    wait_list_lag(m_context);
    m_store.put_if_absent(done_key(m_number), {});
    m_context.log.info("prune round {} done: {} versions dropped, {} packs deleted", m_number,
                       verdict->versions.size(), verdict->packs.size());
    return true;
  }

 private:
  bool await_sessions() {
    auto awaited = read_round(m_context, awaited_key(m_number));
    if (!awaited) {
      CondemnedRound open;
      wait_list_lag(m_context);
      std::vector<std::string> keys;
      m_store.list("sessions/", [&](const ObjectInfo& object) {
        if (session_of_key(object.key)) {
          keys.push_back(object.key);
        }
      });
      std::vector<char> over(keys.size());
      for_each_parallel(keys.size(), m_context.threads,
                        [&](std::size_t i) { over[i] = is_over(keys[i]) ? 1 : 0; });
      for (std::size_t i = 0; i < keys.size(); ++i) {
        if (over[i] == 0) {
          open.objects.insert(keys[i]);
        }
      }
      awaited = settle(m_context, awaited_key(m_number), std::move(open));
    }
    const auto until = m_context.clock.steady() + m_options.wait;
    for (;;) {
      const std::string open = first_open(awaited->objects);
      if (open.empty()) {
        return true;
      }
      if (m_context.clock.steady() >= until) {
        m_report.waits = still_running(open);
        return false;
      }
      m_context.cancel.sleep_ms(k_poll_ms);
    }
  }

  /// Ends those that are silent.
  std::string first_open(std::set<std::string>& keys) {
    for (auto key = keys.begin(); key != keys.end();) {
      if (!is_over(*key) && !end_if_silent(*key)) {
        return *key;
      }
      key = keys.erase(key);
    }
    return {};
  }

  bool is_over(const std::string& key) {
    try {
      return m_store.head(read_session(m_store, key).slot).has_value();
    } catch (const ObjectMissing&) {
      return true;  // only a session whose slot is filled is ever deleted
    }
  }

  bool end_if_silent(const std::string& key) {
    const SessionObject session = read_session(m_store, key);
    auto sign = m_store.head(beat_key(session.id));
    if (!sign) {
      sign = m_store.head(key);
    }
    if (!sign || m_store.now() - sign->modified < m_options.abort_after) {
      return false;
    }
    const Tombstone tombstone{Tombstone::Why::aborted, rfc3339(m_context.clock.wall())};
    const std::string text = to_text(tombstone, session.slot, m_context.repository.keyring());
    if (m_store.put_if_absent(session.slot, bytes_of(text))) {
      ++m_report.aborted;
      m_context.log.warning("session {} of {} on {} gave no sign of life for long: ended",
                            to_hex(session.id), session.started, session.host);
    }
    return true;
  }

  Error still_running(const std::string& key) {
    std::string who;
    try {
      const SessionObject session = read_session(m_store, key);
      who = fmt::format(" (of {}, begun {}, for {})", session.host, session.started, session.slot);
    } catch (const ObjectMissing&) {
      // It ended just now.
    }
    return {ErrorKind::busy, "a run that began before the prune has not ended" + who, key,
            "run prune again later: it goes on from here. A run that is dead is given up when it "
            "was silent for the time of --abort-after"};
  }

  void execute(const CondemnedRound& verdict) {
    std::vector<std::string> tombstones;
    std::vector<std::string> last;  // sessions and what is like them
    std::vector<std::string> layers;
    for (const std::string& key : verdict.objects) {
      if (parse_numbered_key(key, "compactions")) {
        tombstones.push_back(key);
      } else {
        (key.starts_with("layers/") ? layers : last).push_back(key);
      }
    }
    each(tombstones, [&](const std::string& key) { put_tombstone(m_context, key); });
    each({verdict.versions.begin(), verdict.versions.end()},
         [&](const std::string& key) { put_tombstone(m_context, key); });
    const auto remove = [&](const std::string& key) { m_store.remove(key); };
    std::vector<std::string> packs;
    const auto remove_packs = [&] {
      m_report.packs += each(packs, remove);
      packs.clear();
    };
    verdict.packs.for_each([&](const PackName& pack) {
      packs.push_back(pack_key(pack));
      if (packs.size() == k_packs_at_a_time) {
        m_context.cancel.check();
        remove_packs();
      }
    });
    remove_packs();
    m_report.objects += each(layers, remove) + each(last, remove);
    m_report.dropped.insert(verdict.versions.begin(), verdict.versions.end());
  }

  /// Returns how many were not held by an object lock.
  std::uint64_t each(const std::vector<std::string>& keys,
                     const std::function<void(const std::string&)>& act) {
    std::atomic<std::uint64_t> locked{0};
    for_each_parallel(keys.size(), m_context.threads, [&](std::size_t i) {
      try {
        act(keys[i]);
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::failed || error.transient() || !is_locked(keys[i])) {
          throw;
        }
        ++locked;
      }
    });
    m_report.locked += locked;
    return keys.size() - locked;
  }

  bool is_locked(const std::string& key) {
    try {
      return m_store.locked_until(key).has_value();
    } catch (const ObjectMissing&) {
      return false;
    }
  }

  const KeepingContext& m_context;
  const PruneOptions& m_options;
  ObjectStore& m_store;
  std::uint64_t m_number;
  PruneReport& m_report;
};

}  // namespace

RoundNumbers read_round_numbers(ObjectStore& store) {
  std::set<std::uint64_t> done;
  std::set<std::uint64_t> begun;
  const auto read = [&](const std::string& folder, std::set<std::uint64_t>& numbers) {
    store.list(folder + "/", [&](const ObjectInfo& object) {
      if (const auto number = parse_numbered_key(object.key, folder)) {
        numbers.insert(*number);
      }
    });
  };
  // In this order a round that ends meanwhile is looked at once more, and none is overlooked.
  read("done", done);
  read("condemned", begun);
  RoundNumbers numbers;
  std::set_difference(begun.begin(), begun.end(), done.begin(), done.end(),
                      std::back_inserter(numbers.pending));
  for (const auto* all : {&done, &begun}) {
    if (!all->empty()) {
      numbers.next = std::max(numbers.next, *all->rbegin() + 1);
    }
  }
  return numbers;
}

bool put_condemned(const KeepingContext& context, std::uint64_t number,
                   const CondemnedRound& round) {
  const std::string key = condemned_key(number);
  return context.repository.store().put_if_absent(
      key, bytes_of(to_text(round, key, context.repository.keyring())));
}

bool finish_round(const KeepingContext& context, const PruneOptions& options, std::uint64_t number,
                  PruneReport& report) {
  return Round(context, options, number, report).finish();
}

Need current_need(const KeepingContext& context) {
  Repository& repository = context.repository;
  const Condemned condemned = repository.condemned();
  NeedWalk walk(repository, repository.read_moves());
  for_each_vm(context, condemned.versions,
              [&](const VmName& /*vm*/, const std::vector<Manifest>& versions) {
                for (const Manifest& version : versions) {
                  context.cancel.check();
                  walk.add(version);
                }
              });
  return walk.need();
}

CondemnedRound verdict_of(CondemnedRound condemned, const Need& need) {
  // What a session put that is needed after all is told by its object to be shareable, as before.
  for (const PackName& pack : need.packs) {
    condemned.objects.erase(session_key(pack.session));
  }
  for (const std::string& key : need.objects) {
    if (const auto session = session_of_key(key)) {
      condemned.objects.erase(session_key(*session));
    }
  }
  for (const PackName& pack : need.packs) {
    condemned.packs.erase(pack);
  }
  std::erase_if(condemned.objects,
                [&](const std::string& key) { return need.objects.contains(key); });
  return condemned;
}

}  // namespace hamal::repository
