// keys/ID: a data key, wrapped to every recipient (hamal-repository(5), ENCRYPTION). Private to
// this folder.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "hamal/repository/keyring.hpp"

namespace hamal::repository {

struct WrappedKey {
  std::string recipient;  ///< fingerprint of the public key
  std::string key;        ///< PublicKey::wrap()
  friend bool operator==(const WrappedKey&, const WrappedKey&) = default;
};

struct DataKey {
  KeyId id{};
  std::vector<WrappedKey> wrapped;
  friend bool operator==(const DataKey&, const DataKey&) = default;
};

std::string to_text(const DataKey& key, const Keyring& keyring);
/// Throws a permanent Error naming the object.
DataKey parse_data_key(std::string_view text, const KeyId& id, const Keyring& keyring);

}  // namespace hamal::repository
