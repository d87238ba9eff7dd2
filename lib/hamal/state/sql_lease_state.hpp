// The leases in a table of a database.
#pragma once
#include <map>

#include "hamal/state/database.hpp"
#include "hamal/state/lease.hpp"

namespace hamal {

class SqlLeaseState final : public LeaseState {
 public:
  /// The database outlives it, and has the tables.
  explicit SqlLeaseState(Database& database) : m_database(database), m_sql(database.sql()) {}

  Lease acquire(const LeaseKey& key, const LeaseOwner& owner,
                std::chrono::milliseconds ttl) override;
  bool renew(const LeaseKey& key, const LeaseToken& token, std::chrono::milliseconds ttl) override;
  void release(const LeaseKey& key, const LeaseToken& token) override;
  std::optional<Lease> find_lease(const LeaseKey& key) override;
  void fence(const LeaseKey& key, const LeaseToken& token) override { m_fences[key] = token; }
  void unfence(const LeaseKey& key) override { m_fences.erase(key); }

  /// Within a transaction: throws Error(busy) when the machine is fenced and its token is not the
  /// newest. Nobody else can take the lease before that transaction ends.
  void require(const LeaseKey& key);
  /// Within a transaction: throws Error(busy) when somebody else works on the machine.
  void require_idle(const LeaseKey& key);

 private:
  std::optional<Lease> select(const LeaseKey& key);
  long long now();

  Database& m_database;
  soci::session& m_sql;
  std::map<LeaseKey, LeaseToken> m_fences;
};

}  // namespace hamal
