#include "hamal/state/lease_keeper.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <limits>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds k_longest_retry{1000};
constexpr milliseconds k_shortest_lock{100};
constexpr milliseconds k_longest_lock{1000};
constexpr milliseconds k_shortest_reply{500};
constexpr milliseconds k_longest_reply{5000};

constexpr std::int64_t k_never = std::numeric_limits<std::int64_t>::max();

constexpr const char* k_taken = "another proxy has taken it";
constexpr const char* k_expired = "it could not be renewed in time";

}  // namespace

LeaseKeeper::LeaseKeeper(Renew renew, milliseconds ttl, Tell tell, BootClock clock)
    : m_renew(std::move(renew)),
      m_ttl(ttl),
      m_tell(std::move(tell)),
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

Patience LeaseKeeper::patience(milliseconds ttl) {
  const milliseconds reply = std::clamp(ttl / 10, k_shortest_reply, k_longest_reply);
  return {.lock = std::clamp(ttl / 60, k_shortest_lock, k_longest_lock),
          .reply = reply,
          .outage = reply};
}

void LeaseKeeper::keep(const LeaseKey& key, const LeaseToken& token, nanoseconds begun) {
  const std::lock_guard lock(m_mutex);
  m_kept[key] = {.token = token, .until = begun + usable(m_ttl), .due = begun + m_ttl / 3};
  set_earliest();
  m_wake.notify_all();
  if (!m_thread.joinable()) {
    m_thread = std::thread([this] { work(); });
  }
}

void LeaseKeeper::forget(const LeaseKey& key) {
  const std::lock_guard lock(m_mutex);
  m_kept.erase(key);
  set_earliest();
}

bool LeaseKeeper::is_given_up(const Kept& kept) {
  return kept.standing == Standing::taken || kept.standing == Standing::expired;
}

void LeaseKeeper::set_earliest() {
  std::int64_t earliest = k_never;
  for (const auto& [key, kept] : m_kept) {
    earliest = std::min<std::int64_t>(earliest, is_given_up(kept) ? 0 : kept.until.count());
  }
  m_earliest.store(earliest, std::memory_order_relaxed);
}

bool LeaseKeeper::is_lost(const Kept& kept) const {
  return is_given_up(kept) || m_clock() >= kept.until;
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
      throw Error(ErrorKind::busy,
                  fmt::format("the lease of this machine was lost: {}",
                              kept.standing == Standing::taken ? k_taken : k_expired),
                  "vm " + key.platform + "/" + key.vm_id,
                  "nothing more is written; the next run goes on");
    }
  }
}

std::map<LeaseKey, LeaseKeeper::Kept>::iterator LeaseKeeper::find(const Found& lease) {
  const auto found = m_kept.find(lease.first);
  // Forgotten, and perhaps taken again, while the database was asked.
  return found != m_kept.end() && found->second.token == lease.second ? found : m_kept.end();
}

void LeaseKeeper::note(const Found& lease, bool ours, nanoseconds begun) {
  Event event = Event::lost;
  const char* why = k_taken;
  {
    const std::lock_guard lock(m_mutex);
    const auto found = find(lease);
    if (found == m_kept.end()) {
      return;
    }
    Kept& kept = found->second;
    const bool was_late = kept.standing == Standing::late;
    // Lost is lost: whoever waits for the end of it must not begin to write again.
    if (ours && is_lost(kept)) {
      kept.standing = Standing::expired;
      why = k_expired;
    } else if (!ours) {
      kept.standing = Standing::taken;
    } else {
      kept = {.token = kept.token, .until = begun + usable(m_ttl), .due = begun + m_ttl / 3};
      event = Event::renewed;
      why = "";
    }
    set_earliest();
    if (event == Event::renewed && !was_late) {
      return;
    }
  }
  m_tell(lease.first, event, why);
}

void LeaseKeeper::note_failure(const Found& lease, const std::string& why) {
  Event event = Event::late;
  {
    const std::lock_guard lock(m_mutex);
    const auto found = find(lease);
    if (found == m_kept.end()) {
      return;
    }
    Kept& kept = found->second;
    const bool was_late = kept.standing == Standing::late;
    kept.due = m_clock() + std::min(m_ttl / 10, k_longest_retry);
    kept.standing = is_lost(kept) ? Standing::expired : Standing::late;
    event = is_lost(kept) ? Event::lost : Event::late;
    set_earliest();
    if (event == Event::late && was_late) {
      return;
    }
  }
  m_tell(lease.first, event, why);
}

std::optional<LeaseKeeper::Found> LeaseKeeper::take_due(nanoseconds now) {
  const std::lock_guard lock(m_mutex);
  auto first = m_kept.end();
  // Those that are late last, then the one that has waited longest.
  const auto rank = [](const Kept& kept) {
    return std::pair(kept.standing == Standing::late, kept.due);
  };
  for (auto at = m_kept.begin(); at != m_kept.end(); ++at) {
    if (!is_given_up(at->second) && at->second.due <= now &&
        (first == m_kept.end() || rank(at->second) < rank(first->second))) {
      first = at;
    }
  }
  return first == m_kept.end() ? std::nullopt
                               : std::optional(Found(first->first, first->second.token));
}

std::optional<nanoseconds> LeaseKeeper::next_due() const {
  std::optional<nanoseconds> next;
  for (const auto& [key, kept] : m_kept) {
    if (!is_given_up(kept)) {
      next = std::min(next.value_or(kept.due), kept.due);
    }
  }
  return next;
}

void LeaseKeeper::renew(const Found& lease) {
  const nanoseconds begun = m_clock();
  try {
    note(lease, m_renew(lease.first, lease.second, m_ttl), begun);
  } catch (const Error& error) {
    note_failure(lease, error.what());
  }
}

std::optional<nanoseconds> LeaseKeeper::renew_due() {
  const std::lock_guard renewing(m_renewing);
  // Chosen anew each time: while one that is late is waited for, another becomes due.
  while (const auto lease = take_due(m_clock())) {
    renew(*lease);
    const std::lock_guard lock(m_mutex);
    if (m_stop) {
      break;
    }
  }
  const std::lock_guard lock(m_mutex);
  return next_due();
}

void LeaseKeeper::work() {
  std::unique_lock lock(m_mutex);
  while (!m_stop) {
    const auto next = next_due();
    if (!next) {
      m_wake.wait(lock);
    } else if (const nanoseconds left = *next - m_clock(); left.count() > 0) {
      m_wake.wait_for(lock, left);
    } else {
      lock.unlock();
      renew_due();
      lock.lock();
    }
  }
}

}  // namespace hamal
