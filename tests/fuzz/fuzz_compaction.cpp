// Parses arbitrary bytes as what a compaction moved: as an object, and behind its checksum and
// compression. What is accepted survives being written again, and leads nowhere for ever.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "hamal/repository/index_zstd.hpp"
#include "hamal/repository/moved.hpp"
#include "hamal/util/error.hpp"

namespace {

using namespace hamal::repository;  // NOLINT(google-build-using-namespace): a program of its own

void try_object(const std::string& bytes, const Keyring& keyring) {
  try {
    const Compaction compaction = parse_compaction(bytes, "compactions/1", keyring);
    if (parse_compaction(to_bytes(compaction, "compactions/1", keyring), "compactions/1",
                         keyring) != compaction) {
      std::abort();
    }
    Moves moves("/tmp");
    moves.add(1, compaction);
    moves.add(2, compaction);
    for (const auto& [pack, records] : compaction.packs) {
      moves.current({pack, records.front().from, 100});
    }
  } catch (const hamal::Error&) {
    return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto keyring = make_plain_keyring();
  // NOLINTNEXTLINE: bytes are what a text holds
  try_object({reinterpret_cast<const char*>(data), size}, *keyring);
  const Bytes frame = compress(std::as_bytes(std::span(data, size)));
  const std::string sealed(reinterpret_cast<const char*>(frame.data()), frame.size());  // NOLINT
  const Digest digest = keyring->authenticate(sealed, "compactions/1");
  std::string object("HAMALMV\x01", 8);
  object.append(reinterpret_cast<const char*>(digest.data()), digest.size());  // NOLINT
  try_object(object + sealed, *keyring);
  return 0;
}
