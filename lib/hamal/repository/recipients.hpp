// Who can read an encrypted repository: made with it, added and removed later (hamal-repository(5),
// ENCRYPTION).
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "hamal/config/config.hpp"
#include "hamal/repository/description.hpp"
#include "hamal/store/object_store.hpp"

namespace hamal::repository {

/// What is told to whoever makes a repository that is encrypted: public keys (PEM), at least one,
/// and [repository] index_key. Throws Error(usage).
Description describe_encrypted(const std::string& id, const std::vector<std::string>& public_keys,
                               const RepositorySection& config);

struct RecipientList {
  Description description;
  std::uint64_t data_keys = 0;
  std::uint64_t outdated = 0;  ///< data keys that are not wrapped to exactly the recipients
  /// Why nothing of that was checked, and the data keys not counted: this host has no key of the
  /// repository. Empty: the description is authentic.
  std::string unchecked;
};
/// Throws Error(usage) when there is no repository, a permanent one for what is not authentic.
RecipientList list_recipients(ObjectStore& store, const RepositorySection& config);

/// Changes who can read. Every change needs a private key of a recipient: every data key is
/// unwrapped and wrapped anew. A process that opened the repository before still wraps to the
/// recipients it knew, so apply() is repeated when the sessions of before have ended. Not
/// thread-safe.
class RecipientChange {
 public:
  /// Reads and authenticates the description. Throws Error(usage) for a repository that is not
  /// encrypted, or without the private key.
  RecipientChange(ObjectStore& store, const RepositorySection& config);
  ~RecipientChange();

  const Description& description() const noexcept;
  /// Returns its fingerprint. One that is there already changes nothing.
  std::string add(const std::string& public_key);
  /// The fingerprint that begins with `name`, at least 8 digits. Throws Error(usage) when there is
  /// none, or several.
  std::string find(const std::string& name) const;
  /// It reads nothing that is written from now on, and its wrapped keys go; what it has unwrapped
  /// it keeps. Throws Error(usage) when it is unknown or the only one; by the private key that is
  /// used here it may be removed.
  void remove(const std::string& fingerprint);
  /// How many data keys apply() would wrap anew.
  std::uint64_t outdated() const;
  /// Puts the description, then every data key that is not wrapped to exactly the recipients.
  /// Returns how many those were. May be repeated, also by another process after this one was
  /// stopped; a removed recipient is so only when it returns.
  std::uint64_t apply();

 private:
  struct State;
  std::unique_ptr<State> m_state;
};

}  // namespace hamal::repository
