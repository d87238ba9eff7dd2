#include "hamal/platform/vmware/session_slot.hpp"

#include <fmt/core.h>

#include <filesystem>
#include <map>
#include <mutex>

#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal::vmware {
namespace {

constexpr int k_pause_ms = 200;

/// Those of this process, by the path of their server's slots.
struct OwnSlots {
  std::mutex mutex;  ///< of the rest
  std::map<std::string, std::weak_ptr<FileLock>> held;
};

OwnSlots& own_slots() {
  static OwnSlots slots;
  return slots;
}

/// Empty: others have all.
std::shared_ptr<FileLock> try_slots(const SessionLimit& limit, const std::string& path,
                                    const std::string& server, const CancelToken& cancel) {
  OwnSlots& own = own_slots();
  const std::lock_guard lock(own.mutex);
  if (auto held = own.held[path].lock()) {
    return held;
  }
  for (unsigned slot = 0; slot < limit.most; ++slot) {
    try {
      auto taken = std::make_shared<FileLock>(
          fmt::format("{}.{}", path, slot), "a session at " + server,
          LockHolder{.run_id = {}, .tool = "vsphere"}, std::chrono::milliseconds(0), cancel);
      own.held[path] = taken;
      return taken;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::busy) {
        throw;
      }
    }
  }
  return nullptr;
}

}  // namespace

std::shared_ptr<FileLock> take_session_slot(const SessionLimit& limit, const std::string& server,
                                            const CancelToken& cancel) {
  const std::string path =
      (std::filesystem::path(limit.lib_dir) / "vsphere" / percent_encode(server)).string();
  const auto end = std::chrono::steady_clock::now() + limit.wait;
  for (;;) {
    if (auto slot = try_slots(limit, path, server, cancel)) {
      return slot;
    }
    if (std::chrono::steady_clock::now() >= end) {
      throw Error(ErrorKind::busy,
                  fmt::format("this proxy has {} sessions there already", limit.most), server,
                  "fewer vms at once, or a larger max_sessions");
    }
    cancel.sleep_ms(k_pause_ms);
  }
}

}  // namespace hamal::vmware
