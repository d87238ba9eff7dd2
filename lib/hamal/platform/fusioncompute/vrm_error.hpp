// What a VRM refuses, by the error codes of the vendor's tables.
#pragma once
#include <string>
#include <string_view>

#include "hamal/util/error.hpp"

namespace hamal::fusioncompute {

/// Codes that decide what is done next; the others only have a cure (vrm_error.cpp).
enum class VrmCode : long {
  not_logged_in = 10000002,
  tools_not_running = 10300026,
  snapshot_missing = 10300109,
  snapshot_bad_state = 10300110,
  snapshot_limit = 10300111,
  snapshot_running = 10300112,
  task_conflict = 10300162,
  resource_conflict = 10300421,
  host_connections = 10300412,
  host_connections_too = 10300413,
  volume_missing = 10420004,
  snapshot_in_use = 10430031,
  snap_uuid_missing = 10430041,
};

/// An {errorCode, errorDes}, or the reason a task failed with. Its message names the code and the
/// cure. The server has answered: nothing is unclear.
class VrmError final : public Error {
 public:
  /// `code` as the server writes it; `object` is what was asked of what.
  VrmError(std::string code, std::string_view words, const std::string& object);

  const std::string& code() const noexcept { return m_code; }
  bool is(VrmCode code) const { return m_code == std::to_string(static_cast<long>(code)); }
  /// Whether another task or backup resource is in the way, which ends by itself.
  bool is_conflict() const;
  /// Whether a snapshot that was asked for is not there.
  bool is_missing() const;

 private:
  std::string m_code;
};

}  // namespace hamal::fusioncompute
