// The secrets of an encrypted repository that this host has: [repository] of hamal.conf
// (hamal.conf(5)). Private to this folder.
#pragma once
#include <optional>
#include <string>

#include "hamal/config/config.hpp"
#include "hamal/repository/description.hpp"
#include "hamal/repository/key_pair.hpp"

namespace hamal::repository {

struct Secrets {
  SecretKey index_key;
  std::optional<PrivateKey> private_key;  ///< of one of the recipients
};

/// Throws Error(usage) when there is none, or one that is not of this repository. The index key may
/// be missing where the private key is: it is unwrapped.
Secrets find_secrets(const Description& description, const RepositorySection& config);
/// Throws Error(usage) when the repository is not encrypted, and an index key says that it should
/// be.
void refuse_secrets(const Description& description, const RepositorySection& config);

/// 64 hexadecimal digits. Throws Error(usage) naming `what`, never with any part of the text.
SecretKey parse_index_key(std::string text, const std::string& what);
/// What tells one index key from another, without telling it.
std::string index_key_check(const SecretKey& index_key, const std::string& repository_id);
/// The purposes for which keys are wrapped.
std::string index_key_purpose(const std::string& repository_id);
std::string data_key_purpose(const KeyId& id);

}  // namespace hamal::repository
