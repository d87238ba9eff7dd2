#include "hamal/state/lease_keeper.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds k_longest_retry{1000};

constexpr std::int64_t k_never = std::numeric_limits<std::int64_t>::max();

}  // namespace

LeaseKeeper::LeaseKeeper(Renew renew, milliseconds ttl, Problem problem, BootClock clock)
    : m_renew(std::move(renew)),
      m_ttl(ttl),
      m_problem(std::move(problem)),
      m_clock(std::move(clock)),
      m_earliest(k_never) {}

LeaseKeeper::~LeaseKeeper() {
  {
    const std::lock_guard lock(m_mutex);
    m_stop = true;
  }
  m_wake.notify_all();
  if (m_thread.joinable()) {
    m_thread.join();
  }
}

void LeaseKeeper::keep(const LeaseKey& key, const LeaseToken& token, nanoseconds begun) {
  const std::lock_guard lock(m_mutex);
  m_kept[key] = {.token = token, .until = begun + usable(m_ttl)};
  set_earliest();
  if (!m_thread.joinable()) {
    m_thread = std::thread([this] { work(); });
  }
}

void LeaseKeeper::forget(const LeaseKey& key) {
  const std::lock_guard lock(m_mutex);
  m_kept.erase(key);
  set_earliest();
}

void LeaseKeeper::set_earliest() {
  std::int64_t earliest = k_never;
  for (const auto& [key, kept] : m_kept) {
    earliest = std::min<std::int64_t>(earliest, kept.taken ? 0 : kept.until.count());
  }
  m_earliest.store(earliest, std::memory_order_relaxed);
}

bool LeaseKeeper::is_lost(const Kept& kept) const {
  return kept.taken || m_clock() >= kept.until;
}

bool LeaseKeeper::is_lost(const LeaseKey& key) const {
  const std::lock_guard lock(m_mutex);
  const auto found = m_kept.find(key);
  return found == m_kept.end() || is_lost(found->second);
}

void LeaseKeeper::check() const {
  if (m_clock().count() < m_earliest.load(std::memory_order_relaxed)) {
    return;
  }
  const std::lock_guard lock(m_mutex);
  for (const auto& [key, kept] : m_kept) {
    if (is_lost(kept)) {
      throw Error(
          ErrorKind::busy,
          kept.taken ? "the lease of this machine was lost: another proxy has taken it"
                     : "the lease of this machine was lost: it could not be renewed in time",
          "vm " + key.platform + "/" + key.vm_id, "nothing more is written; the next run goes on");
    }
  }
}

void LeaseKeeper::note(const LeaseKey& key, const LeaseToken& token, bool ours, nanoseconds begun) {
  const std::lock_guard lock(m_mutex);
  const auto found = m_kept.find(key);
  if (found == m_kept.end() || found->second.token != token) {
    return;
  }
  // Lost is lost: whoever waits for the end of it must not begin to write again.
  if (!ours || is_lost(found->second)) {
    found->second.taken = true;
  } else {
    found->second.until = begun + usable(m_ttl);
  }
  set_earliest();
}

bool LeaseKeeper::renew_all() {
  const std::lock_guard renewing(m_renewing);
  std::vector<std::pair<LeaseKey, LeaseToken>> all;
  {
    const std::lock_guard lock(m_mutex);
    for (const auto& [key, kept] : m_kept) {
      if (!kept.taken) {
        all.emplace_back(key, kept.token);
      }
    }
  }
  try {
    for (const auto& [key, token] : all) {
      const nanoseconds begun = m_clock();
      note(key, token, m_renew(key, token, m_ttl), begun);
    }
    m_troubled = false;
    return true;
  } catch (const Error& error) {
    if (!m_troubled) {
      m_problem(error.what());
    }
    m_troubled = true;
    return false;
  }
}

void LeaseKeeper::work() {
  milliseconds pause = m_ttl / 3;
  std::unique_lock lock(m_mutex);
  while (!m_stop) {
    m_wake.wait_for(lock, pause, [this] { return m_stop; });
    if (m_stop) {
      return;
    }
    lock.unlock();
    pause = renew_all() ? m_ttl / 3 : std::min(m_ttl / 10, k_longest_retry);
    lock.lock();
  }
}

}  // namespace hamal
