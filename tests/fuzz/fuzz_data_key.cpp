// Parses arbitrary bytes as a data key, as they are and as a line whose authentication is right,
// and unwraps whatever wrapped keys it names; and as PEM keys. What is accepted is written again
// and reads the same; whatever else it is, it is refused with an Error. Nothing here was wrapped to
// the key at hand, so nothing unwraps.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "hamal/repository/authentic_text.hpp"
#include "hamal/repository/data_key.hpp"
#include "hamal/repository/key_pair.hpp"
#include "hamal/repository/keyring_sealed.hpp"
#include "hamal/util/error.hpp"

namespace {

using namespace hamal::repository;  // NOLINT(google-build-using-namespace): a program of its own

void require(bool condition) {
  if (!condition) {
    std::abort();
  }
}

/// False when it was refused.
template <typename Parse>
bool try_parse(const Parse& parse) {
  try {
    parse();
    return true;
  } catch (const hamal::Error&) {
    return false;
  }
}

void try_data_key(const std::string& text, const Keyring& keyring, const PrivateKey& private_key) {
  const KeyId id{};
  const DataKey key = parse_data_key(text, id, keyring);
  require(parse_data_key(to_text(key, keyring), id, keyring) == key);
  require(!try_parse([&] { unwrap_data_key(key, private_key); }));
  for (const WrappedKey& one : key.wrapped) {
    require(!try_parse([&] { private_key.unwrap(one.key, "fuzz", "fuzz"); }));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto k_keyring = make_plain_keyring();
  static const PrivateKey k_private = PrivateKey::parse(generate_key_pair().private_key, "fuzz");
  const std::string text(reinterpret_cast<const char*>(data), size);
  const std::string key = data_key_key(KeyId{});
  try_parse([&] { try_data_key(text, *k_keyring, k_private); });
  try_parse([&] { try_data_key(authentic_text(text, key, *k_keyring), *k_keyring, k_private); });
  require(!try_parse([&] { k_private.unwrap(text, "fuzz", "fuzz"); }));
  try_parse([&] { PublicKey::parse(text, "fuzz"); });
  try_parse([&] { PrivateKey::parse(text, "fuzz"); });
  return 0;
}
