#include "hamal/platform/fusioncompute/host_slots.hpp"

#include <fmt/format.h>

#include <utility>

#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal::fusioncompute {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int k_pause_ms = 200;
constexpr std::chrono::minutes k_say_again{5};

}  // namespace

HostSlots::HostSlots(std::filesystem::path directory, std::chrono::milliseconds patience,
                     Logger& log, const CancelToken& cancel)
    : m_directory(std::move(directory)),
      m_patience(patience),
      m_log(log),
      m_cancel(cancel),
      m_shared(std::make_shared<Shared>()) {}

std::filesystem::path HostSlots::file(const SlotWish& wish, unsigned slot) const {
  return m_directory / fmt::format("{}.{}", percent_encode(wish.host), slot);
}

std::optional<FileLock> HostSlots::take_free(const SlotWish& wish) const {
  for (unsigned slot = 0; slot < wish.of_host; ++slot) {
    try {
      return FileLock(file(wish, slot), "a connection to " + wish.host,
                      {.run_id = {}, .tool = "vna:" + wish.object}, std::chrono::milliseconds(0),
                      m_cancel);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::busy) {
        throw;
      }
    }
  }
  return std::nullopt;
}

std::string HostSlots::holders(const SlotWish& wish) const {
  std::string text;
  for (unsigned slot = 0; slot < wish.of_host; ++slot) {
    if (const std::string holder = read_lock_holder(file(wish, slot)); !holder.empty()) {
      text += (text.empty() ? "" : "; ") + holder;
    }
  }
  return text.empty() ? "other processes" : text;
}

HostSlot HostSlots::counted(FileLock lock, const SlotWish& wish) const {
  HostSlot slot(std::move(lock));
  const std::lock_guard guard(m_shared->mutex);
  m_shared->given_up.erase(wish.object);
  ++m_shared->held[wish.host];
  slot.m_counted = std::shared_ptr<void>(nullptr, [shared = m_shared, host = wish.host](void*) {
    const std::lock_guard other(shared->mutex);
    --shared->held[host];
  });
  return slot;
}

HostSlot HostSlots::take(const SlotWish& wish) const {
  auto begin = Clock::now();
  Clock::time_point next_word{};
  const auto seconds = m_patience.count() / 1000;
  for (;;) {
    if (auto lock = take_free(wish)) {
      return counted(std::move(*lock), wish);
    }
    if (Clock::now() >= next_word) {
      next_word = Clock::now() + k_say_again;
      m_log.warning(
          "{}: waits for a connection to the host {}, all {} are in use, by {}; for up "
          "to {} s",
          wish.object, wish.host, wish.of_host, holders(wish), seconds);
    }
    {
      const std::lock_guard guard(m_shared->mutex);
      if (m_shared->held[wish.host] > 0) {
        begin = Clock::now();  // our own disks end by themselves
      } else if (Clock::now() - begin >= m_patience || m_shared->given_up.contains(wish.object)) {
        m_shared->given_up.insert(wish.object);
        throw Error(ErrorKind::failed,
                    fmt::format("no connection to the host {} became free in {} s: all {} are in "
                                "use, by {}",
                                wish.host, seconds, wish.of_host, holders(wish)),
                    wish.object,
                    "run it again when they have ended, or raise vna_wait or vna_disks_per_host",
                    Transience::transient);
      }
    }
    m_cancel.sleep_ms(k_pause_ms);
  }
}

}  // namespace hamal::fusioncompute
