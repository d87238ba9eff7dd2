#include "hamal/repository/secrets.hpp"

#include <algorithm>
#include <filesystem>

#include "hamal/repository/hash.hpp"
#include "hamal/repository/hex.hpp"
#include "hamal/util/error.hpp"

namespace hamal::repository {
namespace {

constexpr const char* k_index_key = "[repository] index_key";
constexpr const char* k_private_key = "[repository] private_key";

/// A directory has a file per repository, named by its id. None: no secret.
SecretReference reference_for(const SecretReference& secret, const std::string& repository_id) {
  std::error_code none;
  if (secret.kind != SecretReference::Kind::file ||
      !std::filesystem::is_directory(secret.value, none)) {
    return secret;
  }
  const std::filesystem::path file = std::filesystem::path(secret.value) / repository_id;
  if (!std::filesystem::exists(file, none)) {
    return {};
  }
  return {SecretReference::Kind::file, file};
}

bool is_set(const SecretReference& secret) {
  return secret.kind != SecretReference::Kind::none;
}

PrivateKey private_key(const SecretReference& secret, const Description& description) {
  std::string pem = resolve_secret(secret, k_private_key);
  PrivateKey key = PrivateKey::parse(pem, k_private_key);
  wipe(pem);
  const auto& all = description.recipients;
  if (std::none_of(all.begin(), all.end(), [&](const Recipient& recipient) {
        return recipient.fingerprint == key.fingerprint();
      })) {
    throw Error(ErrorKind::usage,
                "the private key " + key.fingerprint().substr(0, 16) +
                    " is of no recipient of this repository",
                k_private_key, "hamal-repo key show names the recipients");
  }
  return key;
}

SecretKey unwrap_index_key(const PrivateKey& key, const Description& description) {
  for (const Recipient& recipient : description.recipients) {
    if (recipient.fingerprint == key.fingerprint()) {
      return key.unwrap(recipient.index_key, index_key_purpose(description.id), k_description_key);
    }
  }
  throw std::logic_error("a private key of no recipient");
}

}  // namespace

std::string index_key_purpose(const std::string& repository_id) {
  return "index key " + repository_id;
}

std::string data_key_purpose(const KeyId& id) {
  return "data key " + to_hex(id);
}

std::string index_key_check(const SecretKey& index_key, const std::string& repository_id) {
  return hex_text(
      derive_key(index_key.bytes(), bytes_of(repository_id), "hamal index key check").bytes());
}

SecretKey parse_index_key(std::string text, const std::string& what) {
  SecretKey key;
  const bool parsed = parse_hex(text, key.bytes());
  wipe(text);
  if (!parsed) {
    throw Error(ErrorKind::usage, "an index key has 64 hexadecimal digits, 0-9 and a-f", what,
                "openssl rand -hex 32 makes one");
  }
  return key;
}

Secrets find_secrets(const Description& description, const RepositorySection& config) {
  const SecretReference index = reference_for(config.index_key, description.id);
  const SecretReference pair = reference_for(config.private_key, description.id);
  if (!is_set(index) && !is_set(pair)) {
    throw Error(ErrorKind::usage,
                "repository " + description.id + " is encrypted, and its index key is not here",
                k_index_key, "set it to the key that the repository was made with");
  }
  Secrets secrets;
  if (is_set(pair)) {
    secrets.private_key = private_key(pair, description);
  }
  secrets.index_key = is_set(index)
                          ? parse_index_key(resolve_secret(index, k_index_key), k_index_key)
                          : unwrap_index_key(*secrets.private_key, description);
  if (index_key_check(secrets.index_key, description.id) != description.index_key_check) {
    throw Error(ErrorKind::usage, "the index key is not that of repository " + description.id,
                k_index_key, "set it to the key that the repository was made with");
  }
  return secrets;
}

void refuse_secrets(const Description& description, const RepositorySection& config) {
  if (is_set(reference_for(config.index_key, description.id))) {
    throw Error(
        ErrorKind::usage,
        "repository " + description.id + " is not encrypted, and an index key is configured for it",
        k_index_key,
        "where only some repositories are encrypted, name a directory with a file of each "
        "one's id");
  }
}

}  // namespace hamal::repository
