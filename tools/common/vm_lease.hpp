// The lease of a vm, for as long as a tool works on it: where the state is shared by several
// proxies (state/lease.hpp). Elsewhere the vm's kernel lock says it all.
#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "common/session.hpp"
#include "hamal/state/lease_text.hpp"
#include "hamal/util/file_lock.hpp"

namespace hamal {

/// The variable by which hamal-period hands the lease to its children.
inline constexpr const char* k_lease_variable = "HAMAL_LEASE";

/// From construction to destruction: renewed by the session's keeper, and every write to the state
/// of what belongs to the vm is fenced by it.
///
/// A kernel lock goes with it, so that who finds the lease of a dead process of this host need not
/// wait for its end. Whoever inherits the lease inherits that lock by its descriptor.
class VmLease {
 public:
  /// The one that was handed down if it is this vm's, else one of its own. Waits up to `wait` for
  /// whoever has it. Throws Error(busy) that names the holder. The session outlives it, and its
  /// state is shared.
  VmLease(Session& session, const LeaseKey& key, std::chrono::milliseconds wait,
          const CancelToken& cancel);
  /// Releases what is its own.
  ~VmLease();
  VmLease(const VmLease&) = delete;
  VmLease& operator=(const VmLease&) = delete;

  /// For the children that work on the vm: "HAMAL_LEASE=…", and the descriptor they are to inherit
  /// (-1: they inherit it already).
  std::string environment() const;
  int lock_fd() const noexcept { return m_lock ? m_lock->fd() : -1; }

 private:
  void acquire(std::chrono::milliseconds wait, const CancelToken& cancel);
  void inherit(const LeaseToken& token);
  void hold(const LeaseToken& token, std::chrono::nanoseconds begun);

  Session& m_session;
  LeaseKey m_key;
  LeaseToken m_token;
  std::optional<FileLock> m_lock;
};

/// Null when the state is of this host alone.
std::unique_ptr<VmLease> lease_vm(Session& session, const LeaseKey& key,
                                  std::chrono::milliseconds wait, const CancelToken& cancel);

}  // namespace hamal
