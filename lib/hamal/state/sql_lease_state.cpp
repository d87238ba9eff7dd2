#include "hamal/state/sql_lease_state.hpp"

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

// Those who take one lease wait for each other; its row is locked by whoever changes or checks it.
std::string key_of(const LeaseKey& key) {
  return "lease " + key.platform + " " + key.vm_id;
}

}  // namespace

long long SqlLeaseState::now() {
  long long milliseconds = 0;
  m_sql << std::string("SELECT ") + m_database.now_ms(), soci::into(milliseconds);
  return milliseconds;
}

std::optional<Lease> SqlLeaseState::select(const LeaseKey& key) {
  Lease lease;
  lease.key = key;
  long long token = 0;
  long long left = 0;
  m_sql << std::string("SELECT owner, host, proxy, scope, token, expires - ") +
               m_database.now_ms() + " FROM leases WHERE platform = :p AND vm_id = :v",
      soci::use(key.platform), soci::use(key.vm_id), soci::into(lease.token.owner),
      soci::into(lease.host), soci::into(lease.proxy), soci::into(lease.scope), soci::into(token),
      soci::into(left);
  if (!m_sql.got_data()) {
    return std::nullopt;
  }
  lease.token.number = static_cast<std::uint64_t>(token);
  lease.left = std::chrono::milliseconds(left);
  return lease;
}

Lease SqlLeaseState::acquire(const LeaseKey& key, const LeaseOwner& owner,
                             std::chrono::milliseconds ttl) {
  Lease lease;
  m_database.transact(key_of(key), [&] {
    const std::optional<Lease> known = select(key);
    const bool is_own = known && known->token.owner == owner.id;
    const bool is_free = !known || known->token.owner.empty() || known->left.count() <= 0 ||
                         (!owner.scope.empty() && known->scope == owner.scope);
    if (!is_own && !is_free) {
      lease = *known;
      return;
    }
    const std::uint64_t before = known ? known->token.number : 0;
    lease = {.key = key,
             .token = {owner.id, is_own ? before : before + 1},
             .host = owner.host,
             .proxy = owner.proxy,
             .scope = owner.scope,
             .left = ttl};
    const auto token = static_cast<long long>(lease.token.number);
    const long long expires = now() + ttl.count();
    // The row stays the same one: a check that waits for it finds it again.
    const std::string statement =
        known ? "UPDATE leases SET owner = :o, host = :h, proxy = :x, scope = :s, token = :t, "
                "expires = :e WHERE platform = :p AND vm_id = :v"
              : "INSERT INTO leases (owner, host, proxy, scope, token, expires, platform, vm_id) "
                "VALUES (:o, :h, :x, :s, :t, :e, :p, :v)";
    m_sql << statement, soci::use(owner.id), soci::use(owner.host), soci::use(owner.proxy),
        soci::use(owner.scope), soci::use(token), soci::use(expires), soci::use(key.platform),
        soci::use(key.vm_id);
  });
  return lease;
}

bool SqlLeaseState::renew(const LeaseKey& key, const LeaseToken& token,
                          std::chrono::milliseconds ttl) {
  long long rows = 0;
  m_database.transact(key_of(key), [&] {
    const auto number = static_cast<long long>(token.number);
    const long long expires = now() + ttl.count();
    soci::statement update =
        (m_sql.prepare << "UPDATE leases SET expires = :e WHERE platform = :p AND vm_id = :v AND "
                          "owner = :o AND token = :t",
         soci::use(expires), soci::use(key.platform), soci::use(key.vm_id), soci::use(token.owner),
         soci::use(number));
    update.execute(true);
    rows = update.get_affected_rows();
  });
  return rows == 1;
}

void SqlLeaseState::release(const LeaseKey& key, const LeaseToken& token) {
  m_database.transact(key_of(key), [&] {
    const auto number = static_cast<long long>(token.number);
    m_sql << "UPDATE leases SET owner = '', scope = '', expires = 0 WHERE platform = :p AND "
             "vm_id = :v AND owner = :o AND token = :t",
        soci::use(key.platform), soci::use(key.vm_id), soci::use(token.owner), soci::use(number);
  });
}

std::optional<Lease> SqlLeaseState::find_lease(const LeaseKey& key) {
  std::optional<Lease> found;
  m_database.run([&] { found = select(key); });
  return found && !found->token.owner.empty() ? found : std::nullopt;
}

void SqlLeaseState::require(const LeaseKey& key) {
  const auto fence = m_fences.find(key);
  if (fence == m_fences.end()) {
    return;
  }
  const auto number = static_cast<long long>(fence->second.number);
  // The update locks the row until the transaction ends: whoever wants the lease waits so long.
  soci::statement update =
      (m_sql.prepare << "UPDATE leases SET token = token WHERE platform = :p AND vm_id = :v AND "
                        "owner = :o AND token = :t",
       soci::use(key.platform), soci::use(key.vm_id), soci::use(fence->second.owner),
       soci::use(number));
  update.execute(true);
  if (update.get_affected_rows() == 1) {
    return;
  }
  const std::optional<Lease> now = select(key);
  const bool taken = now && !now->token.owner.empty();
  throw Error(ErrorKind::busy,
              taken ? "the lease of this machine was lost: " + now->host + " has taken it"
                    : std::string("the lease of this machine was lost"),
              "vm " + key.platform + "/" + key.vm_id, "nothing was committed; run it again");
}

void SqlLeaseState::require_idle(const LeaseKey& key) {
  const std::optional<Lease> lease = select(key);
  const auto fence = m_fences.find(key);
  const bool is_ours = fence != m_fences.end() && lease && lease->token == fence->second;
  if (lease && !lease->token.owner.empty() && lease->left.count() > 0 && !is_ours) {
    throw Error(ErrorKind::busy, "the machine is worked on by " + lease->host,
                "vm " + key.platform + "/" + key.vm_id,
                "its target can be taken once that run has ended");
  }
}

}  // namespace hamal
