// A pack: many records in one object (hamal-repository(5), PACKS).
//
//   header   magic "HAMALPK\x01", number of data keys u32, zero u32, the keys' ids (16 bytes each)
//   records  one after the other (record.hpp)
//   end      magic "HAMALPE\x01", number of records u64, bytes before the end u64, SHA-256 of them
//
// The bodies of records that are neither compressed nor sealed are left out of that SHA-256: each
// has its own in its header, the record's id. So no byte is hashed twice on the way in, and none is
// without a hash.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "hamal/repository/record.hpp"

namespace hamal::repository {

inline constexpr std::uint64_t k_pack_bytes = 32U << 20;  ///< a pack is closed at that size

inline constexpr std::uint64_t k_pack_end_bytes = 56;
inline constexpr std::size_t k_pack_keys = 65536;  ///< the most that a pack can name

/// Builds one pack in memory. Not thread-safe.
class PackBuilder {
 public:
  /// `keys`: the data keys of its records; empty when nothing is sealed.
  /// `buffer`: memory to build in; what it holds is dropped.
  explicit PackBuilder(const std::vector<KeyId>& keys, Bytes buffer = {});
  /// Of the next record.
  std::uint64_t offset() const noexcept { return m_bytes.size(); }
  /// The buffer to encode the next record into (RecordEncoder::encode appends); then added().
  Bytes& buffer() noexcept { return m_bytes; }
  void added() noexcept { ++m_records; }
  bool empty() const noexcept { return m_records == 0; }
  bool full() const noexcept { return m_bytes.size() >= k_pack_bytes; }
  /// The whole object, its digest computed here; the builder is spent. Throws the Error of
  /// parse_record_header() when what was added is no record.
  Bytes finish();

 private:
  Bytes m_bytes;
  std::uint64_t m_records = 0;
};

/// Bytes of a header with so many keys.
std::uint64_t pack_header_bytes(std::size_t keys);
/// Of the header that begins with these bytes (16 at least): how many it has.
std::uint64_t parse_pack_header_bytes(ByteView bytes, const std::string& object);
/// The header's key table, from as many bytes or more. Throws a permanent Error naming `object`.
std::vector<KeyId> parse_pack_header(ByteView bytes, const std::string& object);

/// Walks a whole pack in memory: checks its end, then tells every record (offset, header, header
/// and body). Throws a permanent Error naming `object` at the first thing that is wrong.
void scan_pack(ByteView pack, const std::string& object,
               const std::function<void(std::uint64_t offset, const RecordHeader& header,
                                        ByteView stored)>& each);

}  // namespace hamal::repository
