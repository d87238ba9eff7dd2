#include "hamal/platform/vmware/session_slot.hpp"

#include <fmt/core.h>

#include <filesystem>

#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal::vmware {
namespace {

constexpr int k_pause_ms = 200;

}  // namespace

FileLock take_session_slot(const SessionLimit& limit, const std::string& server,
                           const CancelToken& cancel) {
  const std::filesystem::path directory = std::filesystem::path(limit.lib_dir) / "vsphere";
  const auto end = std::chrono::steady_clock::now() + limit.wait;
  for (;;) {
    for (unsigned slot = 0; slot < limit.most; ++slot) {
      try {
        return {directory / fmt::format("{}.{}", percent_encode(server), slot),
                "a session at " + server,
                {.run_id = {}, .tool = "vsphere"},
                std::chrono::milliseconds(0),
                cancel};
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::busy) {
          throw;
        }
      }
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
