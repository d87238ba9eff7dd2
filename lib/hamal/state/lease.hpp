// Which proxy may work on a machine now, where several share the database (hamal(7), SEVERAL
// PROXIES).
//
//   free ──acquire──► held, token + 1 ──renew──► held, later expiry
//     ▲                 │      │ nobody renewed it in time
//     └─────release─────┘      └──► expired ──acquire by another──► held, token + 1
//
// Time is the database's alone, so that the clocks of the proxies do not matter. The token only
// grows: what was written under an older one can be told from what is written under a newer one.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace hamal {

struct LeaseKey {
  std::string platform;  ///< NAME
  std::string vm_id;
  friend bool operator==(const LeaseKey&, const LeaseKey&) = default;
  friend auto operator<=>(const LeaseKey&, const LeaseKey&) = default;
};

/// By which a write proves that the machine is still ours.
struct LeaseToken {
  std::string owner;
  std::uint64_t number = 0;
  friend bool operator==(const LeaseToken&, const LeaseToken&) = default;
};

/// Who asks for a lease.
struct LeaseOwner {
  std::string id;     ///< random, of one process
  std::string host;   ///< for people
  std::string proxy;  ///< lasting, of one installation
  /// Within which kernel locks exclude each other (util/lock_scope.hpp): a holder of the same scope
  /// is known to be dead, because whoever asks holds the machine's kernel lock. Empty: none is.
  std::string scope;
};

struct Lease {
  LeaseKey key;
  LeaseToken token;
  std::string host;
  std::string proxy;
  std::string scope;
  std::chrono::milliseconds left{0};  ///< of its time; 0 or less: it has expired
};

/// Every call is one transaction, durable on return. Part of State; the same rules.
class LeaseState {
 public:
  virtual ~LeaseState() = default;

  /// Takes what nobody holds, what has expired, what a dead process of the owner's scope holds and
  /// what the owner has already (whose token stays). Returns the lease as it is afterwards: the
  /// owner's, or that of whoever keeps it.
  virtual Lease acquire(const LeaseKey& key, const LeaseOwner& owner,
                        std::chrono::milliseconds ttl) = 0;
  /// From now on it lasts `ttl`. One that has expired and that nobody took is as good as new. False
  /// when it is another's, or was released.
  virtual bool renew(const LeaseKey& key, const LeaseToken& token,
                     std::chrono::milliseconds ttl) = 0;
  /// Nothing when it is not ours any more.
  virtual void release(const LeaseKey& key, const LeaseToken& token) = 0;
  /// Whoever has it, expired or not; nullopt: nobody does.
  virtual std::optional<Lease> find_lease(const LeaseKey& key) = 0;

  /// From here on every write of what belongs to this machine checks, in its own transaction, that
  /// the token is still the machine's, and throws Error(busy) when it is not.
  virtual void fence(const LeaseKey& key, const LeaseToken& token) = 0;
  virtual void unfence(const LeaseKey& key) = 0;
};

}  // namespace hamal
