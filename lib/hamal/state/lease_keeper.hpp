// Renews the leases that a process holds, and knows when they must be taken for lost.
//
//   request begins ──────────► the database's now() ── ttl ──────────────► another may take it
//        └── usable(ttl) by our own clock ──────────► lost: nothing more is written
//
// Our clock starts before the request, so whatever the network and the scheduler do, it ends before
// the database's does. It is CLOCK_BOOTTIME: a host that was suspended, or a process that was
// stopped, finds its lease lost at the first look, before it is told by anybody. What is left of
// the ttl then is for the writes that are under way.
//
// Each lease is renewed by itself, a third of the ttl after it was last. One that cannot be renewed
// (its row is locked, its reply does not come) is late: it is tried again soon, and always after
// those that are not, so that one at most is waited for before any other. What that costs is
// bounded by the connection (patience()), which is the keeper's own.
//
//   renewed ──failed──► late ──renewed──► renewed
//                        └── usable(ttl) is over ──► lost: nobody renews it any more
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "hamal/state/lease.hpp"
#include "hamal/state/patience.hpp"

namespace hamal {

/// Thread-safe.
class LeaseKeeper {
 public:
  /// Asks the database; false when the lease is another's. Throws Error when it cannot be asked.
  /// Called from one thread at a time.
  using Renew = std::function<bool(const LeaseKey&, const LeaseToken&, std::chrono::milliseconds)>;
  /// `late` once until it is `renewed` or `lost`.
  enum class Event { late, renewed, lost };
  /// Told what became of a lease, with the reason; by the thread that renews.
  using Tell = std::function<void(const LeaseKey&, Event, const std::string& why)>;
  using BootClock = std::function<std::chrono::nanoseconds()>;

  LeaseKeeper(Renew renew, std::chrono::milliseconds ttl, Tell tell, BootClock clock);
  /// Ends the renewing; releases nothing.
  ~LeaseKeeper();
  LeaseKeeper(const LeaseKeeper&) = delete;
  LeaseKeeper& operator=(const LeaseKeeper&) = delete;

  /// How long after the beginning of a request a lease is believed.
  static std::chrono::milliseconds usable(std::chrono::milliseconds ttl) { return ttl - ttl / 5; }
  /// Of the connection by which leases are renewed: so short that many that are stuck at once leave
  /// time for the others.
  static Patience patience(std::chrono::milliseconds ttl);

  /// `begun`: the boot time before the request that took or renewed it.
  void keep(const LeaseKey& key, const LeaseToken& token, std::chrono::nanoseconds begun);
  void forget(const LeaseKey& key);

  /// Throws Error(busy) when any lease that is kept is lost. Cheap: asked before every write.
  void check() const;
  bool is_lost(const LeaseKey& key) const;

  /// What the thread does: renews what is due, once each. Returns when the next one is; nullopt:
  /// nothing is kept that could be renewed.
  std::optional<std::chrono::nanoseconds> renew_due();

 private:
  enum class Standing { renewed, late, taken, expired };
  struct Kept {
    LeaseToken token;
    std::chrono::nanoseconds until{0};
    std::chrono::nanoseconds due{0};  ///< to be renewed
    Standing standing = Standing::renewed;
  };
  using Found = std::pair<LeaseKey, LeaseToken>;

  void work();
  void renew(const Found& lease);
  void note(const Found& lease, bool ours, std::chrono::nanoseconds begun);
  void note_failure(const Found& lease, const std::string& why);
  std::optional<Found> take_due(std::chrono::nanoseconds now);
  // Under the mutex.
  std::map<LeaseKey, Kept>::iterator find(const Found& lease);
  std::optional<std::chrono::nanoseconds> next_due() const;
  void set_earliest();
  static bool is_given_up(const Kept& kept);
  bool is_lost(const Kept& kept) const;

  const Renew m_renew;
  const std::chrono::milliseconds m_ttl;
  const Tell m_tell;
  const BootClock m_clock;
  mutable std::mutex m_mutex;
  std::mutex m_renewing;
  std::condition_variable m_wake;
  std::map<LeaseKey, Kept> m_kept;
  std::atomic<std::int64_t> m_earliest;  ///< boot time, ns, at which the first is lost
  bool m_stop = false;
  std::thread m_thread;  // started with the first lease
};

}  // namespace hamal
