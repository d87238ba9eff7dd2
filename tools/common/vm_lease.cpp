#include "common/vm_lease.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>

#include "hamal/util/boot_clock.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/text.hpp"

namespace hamal {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds k_poll{500};

std::optional<NamedLease> inherited_lease() {
  const char* const text = std::getenv(k_lease_variable);
  if (text == nullptr || *text == '\0') {
    return std::nullopt;
  }
  return parse_lease(text, k_lease_variable);
}

Error busy(const Lease& lease) {
  const auto seconds = std::max<std::int64_t>(1, (lease.left.count() + 999) / 1000);
  return {ErrorKind::busy,
          fmt::format("busy: proxy {} has leased it, for another {} s unless it renews",
                      escape_control(lease.host), seconds),
          "vm " + vm_lock_name(lease.key.platform, lease.key.vm_id),
          "let it finish, or wait for it with --wait=SECONDS; a dead proxy's lease ends by itself"};
}

}  // namespace

VmLease::VmLease(Session& session, const LeaseKey& key, milliseconds wait,
                 const CancelToken& cancel)
    : m_session(session), m_key(key) {
  const auto inherited = inherited_lease();
  if (inherited && inherited->key == key) {
    inherit(inherited->token);
  } else {
    acquire(wait, cancel);
  }
}

void VmLease::inherit(const LeaseToken& token) {
  const auto begun = boot_time();
  if (!m_session.state().leases().renew(m_key, token, m_session.config().sync.lease_ttl)) {
    const std::optional<Lease> other = m_session.state().leases().find_lease(m_key);
    const std::string object = "vm " + vm_lock_name(m_key.platform, m_key.vm_id);
    if (other) {
      throw Error(ErrorKind::busy,
                  fmt::format("the lease of this machine was lost: proxy {} has taken it",
                              escape_control(other->host)),
                  object, fmt::format("it came from {}; the next run goes on", k_lease_variable));
    }
    throw Error(
        ErrorKind::busy,
        fmt::format("the lease in {} was released, or there never was one", k_lease_variable),
        object, fmt::format("by hand: unset {}", k_lease_variable));
  }
  hold(token, begun);
}

void VmLease::acquire(milliseconds wait, const CancelToken& cancel) {
  const auto deadline = std::chrono::steady_clock::now() + wait;
  const std::string name = vm_lock_name(m_key.platform, m_key.vm_id);
  m_lock.emplace(m_session.lock_path("lease", name), "vm " + name,
                 LockHolder{m_session.run_id(), m_session.tool()}, wait, cancel);
  const LeaseOwner owner = m_session.lease_owner();
  for (;;) {
    const auto begun = boot_time();
    const Lease lease =
        m_session.state().leases().acquire(m_key, owner, m_session.config().sync.lease_ttl);
    if (lease.token.owner == owner.id) {
      m_session.log().debug("vm {} is leased under token {}", name, lease.token.number);
      hold(lease.token, begun);
      return;
    }
    const auto left =
        std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      throw busy(lease);
    }
    cancel.sleep_ms(static_cast<int>(std::min(k_poll, left).count()));
  }
}

void VmLease::hold(const LeaseToken& token, std::chrono::nanoseconds begun) {
  m_token = token;
  m_session.state().leases().fence(m_key, token);
  m_session.lease_keeper().keep(m_key, token, begun);
}

VmLease::~VmLease() {
  m_session.lease_keeper().forget(m_key);
  try {
    m_session.state().leases().unfence(m_key);
    if (m_lock) {
      m_session.state().leases().release(m_key, m_token);
    }
  } catch (const Error& error) {
    m_session.log().warning("the lease of {} ends by itself: {}",
                            vm_lock_name(m_key.platform, m_key.vm_id), error.what());
  }
}

std::string VmLease::environment() const {
  return std::string(k_lease_variable) + "=" + to_text({.key = m_key, .token = m_token});
}

std::unique_ptr<VmLease> lease_vm(Session& session, const LeaseKey& key, milliseconds wait,
                                  const CancelToken& cancel) {
  return session.state().shared() ? std::make_unique<VmLease>(session, key, wait, cancel) : nullptr;
}

}  // namespace hamal
