// Renews the leases that a process holds, and knows when they must be taken for lost.
//
//   request begins ──────────► the database's now() ── ttl ──────────────► another may take it
//        └── usable(ttl) by our own clock ──────────► lost: nothing more is written
//
// Our clock starts before the request, so whatever the network and the scheduler do, it ends before
// the database's does. It is CLOCK_BOOTTIME: a host that was suspended, or a process that was
// stopped, finds its lease lost at the first look, before it is told by anybody. What is left of
// the ttl then is for the writes that are under way.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "hamal/state/lease.hpp"

namespace hamal {

/// Thread-safe.
class LeaseKeeper {
 public:
  /// Asks the database; false when the lease is another's. Throws Error when it cannot be asked.
  /// Called from one thread at a time.
  using Renew = std::function<bool(const LeaseKey&, const LeaseToken&, std::chrono::milliseconds)>;
  /// Told once per outage why the database could not be asked.
  using Problem = std::function<void(const std::string&)>;
  using BootClock = std::function<std::chrono::nanoseconds()>;

  LeaseKeeper(Renew renew, std::chrono::milliseconds ttl, Problem problem, BootClock clock);
  /// Ends the renewing; releases nothing.
  ~LeaseKeeper();
  LeaseKeeper(const LeaseKeeper&) = delete;
  LeaseKeeper& operator=(const LeaseKeeper&) = delete;

  /// How long after the beginning of a request a lease is believed.
  static std::chrono::milliseconds usable(std::chrono::milliseconds ttl) { return ttl - ttl / 5; }

  /// `begun`: the boot time before the request that took or renewed it.
  void keep(const LeaseKey& key, const LeaseToken& token, std::chrono::nanoseconds begun);
  void forget(const LeaseKey& key);

  /// Throws Error(busy) when any lease that is kept is lost. Cheap: asked before every write.
  void check() const;
  bool is_lost(const LeaseKey& key) const;

  /// What the thread does every third of the ttl. False when the database could not be asked.
  bool renew_all();

 private:
  struct Kept {
    LeaseToken token;
    std::chrono::nanoseconds until{0};
    bool taken = false;  ///< the database says so
  };
  void work();
  void note(const LeaseKey& key, const LeaseToken& token, bool ours,
            std::chrono::nanoseconds begun);
  void set_earliest();  // under the mutex
  bool is_lost(const Kept& kept) const;

  const Renew m_renew;
  const std::chrono::milliseconds m_ttl;
  const Problem m_problem;
  const BootClock m_clock;
  mutable std::mutex m_mutex;
  std::mutex m_renewing;
  std::condition_variable m_wake;
  std::map<LeaseKey, Kept> m_kept;
  std::atomic<std::int64_t> m_earliest;  ///< boot time, ns, at which the first is lost
  bool m_troubled = false;
  bool m_stop = false;
  std::thread m_thread;  // started with the first lease
};

}  // namespace hamal
