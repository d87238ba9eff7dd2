#include "hamal/platform/vmware/vddk_slots.hpp"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal::vmware {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int k_pause_ms = 200;
constexpr std::chrono::minutes k_say_again{5};

/// Slots of one kind: "DIRECTORY/NAME.0" and so on.
struct Row {
  std::filesystem::path name;
  unsigned count;
  std::string of;  ///< for people

  std::filesystem::path file(unsigned slot) const {
    return name.string() + "." + std::to_string(slot);
  }
};

std::optional<FileLock> take_free(const Row& row, const std::string& object,
                                  const CancelToken& cancel) {
  for (unsigned slot = 0; slot < row.count; ++slot) {
    try {
      return FileLock(row.file(slot), "a VDDK connection", {.run_id = {}, .tool = "vddk:" + object},
                      std::chrono::milliseconds(0), cancel);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::busy) {
        throw;
      }
    }
  }
  return std::nullopt;
}

std::string holders(const Row& row) {
  std::string text;
  for (unsigned slot = 0; slot < row.count; ++slot) {
    const std::string holder = read_lock_holder(row.file(slot));
    if (!holder.empty()) {
      text += (text.empty() ? "" : "; ") + holder;
    }
  }
  return text.empty() ? "other processes" : text;
}

/// How long it was waited, and what was said of it.
class Wait {
 public:
  explicit Wait(const SlotWish& wish) : m_wish(wish) {}

  void say(const Row& row, std::chrono::milliseconds patience, Logger& log) {
    if (Clock::now() < m_next) {
      return;
    }
    m_next = Clock::now() + k_say_again;
    log.warning("{}: waits for a VDDK connection {}, all {} are in use, by {}; for up to {} s",
                m_wish.object, row.of, row.count, holders(row), patience.count() / 1000);
  }

  /// Our own disks end by themselves: waiting for them does not count.
  void restart() { m_begin = Clock::now(); }

  bool is_over(std::chrono::milliseconds patience) const {
    return Clock::now() - m_begin >= patience;
  }

  [[noreturn]] void give_up(const Row& row, std::chrono::milliseconds patience) const {
    throw Error(ErrorKind::failed,
                fmt::format("no VDDK connection {} became free in {} s: all {} are in use, by {}",
                            row.of, patience.count() / 1000, row.count, holders(row)),
                m_wish.object,
                "run it again when they have ended, or raise vddk_wait, or the limit: "
                "hamal-vmware(7), READING DISKS",
                Transience::transient);
  }

 private:
  const SlotWish& m_wish;
  Clock::time_point m_begin = Clock::now();
  Clock::time_point m_next{};
};

}  // namespace

VddkSlots::VddkSlots(std::filesystem::path directory, std::chrono::milliseconds patience,
                     Logger& log, const CancelToken& cancel)
    : m_directory(std::move(directory)),
      m_patience(patience),
      m_log(log),
      m_cancel(cancel),
      m_shared(std::make_shared<Shared>()) {}

VddkSlot VddkSlots::take(const SlotWish& wish) const {
  const std::filesystem::path directory = m_directory / percent_encode(wish.server);
  std::vector<Row> rows{{directory / percent_encode(wish.host), wish.of_host, "to " + wish.host}};
  if (wish.through_server > 0) {
    rows.push_back({directory / "through", wish.through_server, "through " + wish.server});
  }
  Wait wait(wish);
  for (;;) {
    VddkSlot slot;
    const Row* missing = nullptr;
    for (const Row& row : rows) {
      auto lock = take_free(row, wish.object, m_cancel);
      if (!lock) {
        // And what was taken is free again: nobody waits with one in hand.
        missing = &row;
        break;
      }
      slot.m_locks.push_back(std::move(*lock));
    }
    if (missing == nullptr) {
      const std::lock_guard lock(m_shared->mutex);
      m_shared->given_up.erase(wish.object);
      ++m_shared->held;
      slot.m_counted = std::shared_ptr<void>(nullptr, [shared = m_shared](void*) {
        const std::lock_guard other(shared->mutex);
        --shared->held;
      });
      return slot;
    }
    slot.m_locks.clear();
    wait.say(*missing, m_patience, m_log);
    {
      const std::lock_guard lock(m_shared->mutex);
      if (m_shared->held > 0) {
        wait.restart();
      } else if (wait.is_over(m_patience) || m_shared->given_up.contains(wish.object)) {
        m_shared->given_up.insert(wish.object);
        wait.give_up(*missing, m_patience);
      }
    }
    m_cancel.sleep_ms(k_pause_ms);
  }
}

}  // namespace hamal::vmware
