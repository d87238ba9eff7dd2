// An encrypted repository's description, and the configurations of those who know its keys.
#pragma once
#include <string>

#include "hamal/repository/names.hpp"
#include "hamal/repository/recipients.hpp"
#include "repository/test_pairs.hpp"

namespace hamal::repository {

inline constexpr const char* k_index_key =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
inline constexpr const char* k_encrypted_id = "5c8f0d7c0d2f4be28a6a000000000001";

inline SecretReference plain_secret(const char* text) {
  return {SecretReference::Kind::plain, text};
}

/// What a proxy has.
inline RepositorySection proxy_keys() {
  RepositorySection keys;
  keys.index_key = plain_secret(k_index_key);
  return keys;
}

/// What a host has that restores: the private key alone.
inline RepositorySection reader_keys(const TestPair& pair = k_alice) {
  RepositorySection keys;
  keys.private_key = plain_secret(pair.private_key);
  return keys;
}

inline Description encrypted_description() {
  return describe_encrypted(k_encrypted_id, {k_alice.public_key, k_bob.public_key}, proxy_keys());
}

}  // namespace hamal::repository
