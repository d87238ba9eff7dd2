// Connections over the socket, counted: a host serves few of them. One is a file that is locked
// while it is used, by whatever process of this proxy.
#pragma once
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "hamal/report/log.hpp"
#include "hamal/util/cancel.hpp"
#include "hamal/util/file_lock.hpp"

namespace hamal::fusioncompute {

struct SlotWish {
  std::string host;      ///< its URN
  unsigned of_host = 1;  ///< how many there are
  std::string object;    ///< "web01/disk1": who is told to those who wait for it
};

class HostSlots;

/// Free again with its end.
class HostSlot {
 public:
  HostSlot(HostSlot&&) noexcept = default;
  HostSlot& operator=(HostSlot&&) noexcept = default;
  HostSlot(const HostSlot&) = delete;
  HostSlot& operator=(const HostSlot&) = delete;
  ~HostSlot() = default;

 private:
  friend class HostSlots;
  explicit HostSlot(FileLock lock) : m_lock(std::move(lock)) {}
  FileLock m_lock;
  std::shared_ptr<void> m_counted;
};

/// Thread-safe; copies share what they know. Whoever has a slot must not ask for another one of the
/// host before it is free: they would wait for each other.
class HostSlots {
 public:
  /// `directory` holds the locks. `patience`: how long others are waited for. References outlive
  /// it.
  HostSlots(std::filesystem::path directory, std::chrono::milliseconds patience, Logger& log,
            const CancelToken& cancel);
  /// Waits for one of the host's. Says in the log who has them; when none became free for as long
  /// as `patience`, while this object's users had none of that host either, it throws a transient
  /// Error, and again at once when it is asked for the same disk.
  HostSlot take(const SlotWish& wish) const;

 private:
  struct Shared {
    std::mutex mutex;
    std::map<std::string, unsigned> held;  ///< by host
    std::set<std::string> given_up;        ///< objects that have waited long enough
  };
  HostSlot counted(FileLock lock, const SlotWish& wish) const;
  std::optional<FileLock> take_free(const SlotWish& wish) const;
  std::filesystem::path file(const SlotWish& wish, unsigned slot) const;
  std::string holders(const SlotWish& wish) const;

  std::filesystem::path m_directory;
  std::chrono::milliseconds m_patience;
  Logger& m_log;
  const CancelToken& m_cancel;
  std::shared_ptr<Shared> m_shared;
};

}  // namespace hamal::fusioncompute
