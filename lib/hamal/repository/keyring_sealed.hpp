// The keyring of an encrypted repository. Private to this folder; others have make_keyring().
#pragma once
#include <memory>

#include "hamal/repository/data_key.hpp"
#include "hamal/repository/secrets.hpp"

namespace hamal::repository {

/// The description need not be authenticated yet.
std::unique_ptr<Keyring> make_sealed_keyring(const Description& description, Secrets secrets);

/// The data key itself. Throws Error(usage) when it was not wrapped to this private key, a
/// permanent one when what is wrapped is damaged.
SecretKey unwrap_data_key(const DataKey& key, const PrivateKey& private_key);

}  // namespace hamal::repository
