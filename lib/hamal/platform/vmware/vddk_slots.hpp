// Connections of VDDK, counted: an ESXi host serves few of them, and a vCenter passes few on. One
// is a file that is locked while it is used, by whatever process of this proxy.
#pragma once
#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "hamal/report/log.hpp"
#include "hamal/util/cancel.hpp"
#include "hamal/util/file_lock.hpp"

namespace hamal::vmware {

struct SlotWish {
  std::string server;  ///< HOST[:PORT] of the endpoint
  std::string host;    ///< the ESXi host's id there
  unsigned of_host = 1;
  unsigned through_server = 0;  ///< 0: the server is the host itself
  std::string object;           ///< "web01/2000": who is told to those who wait for it
};

class VddkSlots;

/// Free again with its end.
class VddkSlot {
 public:
  VddkSlot(VddkSlot&&) noexcept = default;
  VddkSlot& operator=(VddkSlot&&) noexcept = default;
  VddkSlot(const VddkSlot&) = delete;
  VddkSlot& operator=(const VddkSlot&) = delete;
  ~VddkSlot() = default;

 private:
  friend class VddkSlots;
  VddkSlot() = default;
  std::vector<FileLock> m_locks;
  std::shared_ptr<void> m_counted;
};

/// Thread-safe. Whoever has a slot must not ask for another one before it is free: they would wait
/// for each other.
class VddkSlots {
 public:
  /// `directory` holds the locks. `patience`: how long others are waited for. References outlive
  /// it.
  VddkSlots(std::filesystem::path directory, std::chrono::milliseconds patience, Logger& log,
            const CancelToken& cancel);
  /// Waits for one of the host's and one of the server's. Says in the log who has them; when none
  /// became free for as long as `patience`, while this object's users had none either, it throws a
  /// transient Error, and again at once when it is asked for the same disk.
  VddkSlot take(const SlotWish& wish) const;

 private:
  std::filesystem::path m_directory;
  std::chrono::milliseconds m_patience;
  Logger& m_log;
  const CancelToken& m_cancel;
  struct Shared {
    std::mutex mutex;
    unsigned held = 0;
    std::set<std::string> given_up;  ///< objects that have waited long enough
  };

  std::shared_ptr<Shared> m_shared;
};

}  // namespace hamal::vmware
