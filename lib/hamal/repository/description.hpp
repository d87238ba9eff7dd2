// repository.json: what a repository says of itself (hamal-repository(5), LAYOUT, ENCRYPTION).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "hamal/repository/keyring.hpp"
#include "hamal/store/object_store.hpp"

namespace hamal::repository {

/// Who can read everything with a private key.
struct Recipient {
  std::string fingerprint;  ///< of the public key, 64 hexadecimal digits
  std::string public_key;   ///< PEM
  std::string index_key;    ///< wrapped to it
  friend bool operator==(const Recipient&, const Recipient&) = default;
};

struct Description {
  std::string id;  ///< random, 32 hexadecimal digits
  bool encrypted = false;
  std::string index_key_check;        ///< encrypted: tells the right index key from others
  std::vector<Recipient> recipients;  ///< encrypted: at least one
  friend bool operator==(const Description&, const Description&) = default;
};

/// With its authentication, so that nobody without the index key can add a recipient.
std::string to_text(const Description& description, const Keyring& keyring);
/// Of a repository. Throws Error(usage) when there is none, naming `hamal-repo init`.
std::string read_description(ObjectStore& store);
/// Throws a permanent Error naming `object`. Not authenticated yet: a keyring is made from it
/// first.
Description parse_description(std::string_view text, const std::string& object);
/// Throws a permanent Error naming `object` when the text is not authentic.
void check_description(std::string_view text, const Keyring& keyring, const std::string& object);

}  // namespace hamal::repository
