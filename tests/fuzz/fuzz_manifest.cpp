// Parses arbitrary bytes as each of the texts of a repository: as they are, and as a line whose
// authentication is right, as one who holds the index key could write it. What is accepted is
// written again and reads the same; whatever else it is, it is refused with an Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "hamal/repository/authentic_text.hpp"
#include "hamal/repository/condemned.hpp"
#include "hamal/repository/description.hpp"
#include "hamal/repository/manifest.hpp"
#include "hamal/util/error.hpp"

namespace {

using namespace hamal::repository;  // NOLINT(google-build-using-namespace): a program of its own

void require(bool condition) {
  if (!condition) {
    std::abort();
  }
}

template <typename Parse>
void try_parse(const Parse& parse) {
  try {
    parse();
  } catch (const hamal::Error&) {
    return;
  }
}

void try_slot(const std::string& text, const std::string& key, const Keyring& keyring) {
  const Slot slot = parse_slot(text, key, keyring);
  if (const auto* tombstone = std::get_if<Tombstone>(&slot)) {
    const Slot again = parse_slot(to_text(*tombstone, key, keyring), key, keyring);
    require(std::get<Tombstone>(again).why == tombstone->why &&
            std::get<Tombstone>(again).when == tombstone->when);
    return;
  }
  const auto& manifest = std::get<Manifest>(slot);
  require(slot_key(manifest.vm, manifest.generation) == key);
  const Slot again = parse_slot(to_text(manifest, key, keyring), key, keyring);
  require(std::get<Manifest>(again) == manifest);
}

void try_all(const std::string& text, const Keyring& keyring) {
  const std::string slot = slot_key({"lab", "vm/1"}, 7);
  const std::string staged = staged_key(SessionId{}, 0);
  const std::string condemned = condemned_key(3);
  const auto as = [&](const std::string& key) {
    const bool whole = text.find("authentic ") != std::string::npos;
    return whole ? text : authentic_text(text, key, keyring);
  };
  try_parse([&] { try_slot(as(slot), slot, keyring); });
  try_parse([&] {
    const DiskVersion disk = parse_staged(as(staged), staged, keyring);
    require(parse_staged(to_text(disk, staged, keyring), staged, keyring) == disk);
  });
  try_parse([&] {
    const CondemnedRound round = parse_condemned(as(condemned), condemned, keyring);
    require(parse_condemned(to_text(round, condemned, keyring), condemned, keyring) == round);
  });
  try_parse([&] {
    const Description description = parse_description(text, "fuzz");
    require(parse_description(to_text(description, keyring), "fuzz").id == description.id);
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto k_keyring = make_plain_keyring();
  try_all(std::string(reinterpret_cast<const char*>(data), size), *k_keyring);
  return 0;
}
