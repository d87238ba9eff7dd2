// One record: up to 64 KiB of a disk, compressed and sealed, as it lies in a pack
// (hamal-repository(5), PACKS).
#pragma once
#include <cstdint>
#include <optional>

#include "hamal/repository/keyring.hpp"
#include "hamal/repository/names.hpp"

namespace hamal::repository {

inline constexpr std::uint32_t k_record_bytes = 64U << 10;  ///< the most of a disk in one record
inline constexpr std::uint32_t k_record_alignment = 4096;
inline constexpr std::uint32_t k_record_header_bytes = 64;

enum class Encoding : std::uint8_t { plain = 0, zstd = 1 };

struct RecordHeader {
  std::uint32_t plain_length = 0;
  std::uint32_t body_length = 0;  ///< as stored, the tag of a sealed one included
  Encoding encoding = Encoding::plain;
  std::optional<std::uint16_t> key;  ///< sealed: the place of its data key in the pack's table
  std::uint64_t nonce = 0;
  RecordId id{};
};

/// Where a record lies. Length covers header and body.
struct RecordPlace {
  PackName pack;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
  friend bool operator==(const RecordPlace&, const RecordPlace&) = default;
};

inline constexpr int k_record_level = 1;  ///< of zstd

/// Compresses and seals (a buffer and a zstd context per object: one thread each).
class RecordEncoder {
 public:
  /// `level` is zstd's; 0: nothing is compressed. The sealer outlives the encoder.
  explicit RecordEncoder(RecordSealer& sealer, int level = k_record_level);
  ~RecordEncoder();
  /// Header and body of `plain` (1 to k_record_bytes bytes), appended to `to`. The pack's table of
  /// keys has the sealer's alone.
  void encode(const RecordId& id, ByteView plain, Bytes& to);

 private:
  struct State;
  std::unique_ptr<State> m_state;
};

/// Throws a permanent Error naming `object` for what is no header, or says lengths that cannot be.
RecordHeader parse_record_header(ByteView bytes, const std::string& object);

/// k_record_header_bytes of it.
void append_record_header(const RecordHeader& header, Bytes& to);
/// Into the header that `header` begins with: the nonce is known once the body is sealed.
void put_record_nonce(std::span<std::byte> header, std::uint64_t nonce);

/// A buffer and a zstd context per object: one thread each.
class RecordDecoder {
 public:
  RecordDecoder(const Keyring& keyring, FetchKeyObject key_object);
  ~RecordDecoder();
  /// The plain bytes, their id checked. `stored` is header and body, `keys` the pack's key table,
  /// `plain` as long as the record. Throws a permanent Error naming `object` when anything does not
  /// agree; what is in `plain` then is worth nothing.
  void decode(ByteView stored, const RecordId& expected, std::span<const KeyId> keys,
              const std::string& object, std::span<std::byte> plain);

 private:
  struct State;
  std::unique_ptr<State> m_state;
};

}  // namespace hamal::repository
