#include "hamal/repository/pack_check.hpp"

#include <array>

#include "hamal/repository/pack.hpp"
#include "hamal/util/error.hpp"

namespace hamal::repository {
namespace {

/// A key that is missing, a store that cannot be reached: no word on what the pack holds.
void rethrow_if_of_the_reader(const Error& error) {
  if (error.kind() != ErrorKind::failed || error.transient()) {
    throw;  // NOLINT: called from handlers alone
  }
}

// One after the other, as far as headers lead from one to the next.
void salvage(ByteView pack, const std::string& object, RecordDecoder& decoder,
             CheckedPack& checked) {
  const auto keys = parse_pack_header(pack, object);
  std::array<std::byte, k_record_bytes> plain{};
  for (std::uint64_t at = pack_header_bytes(keys.size());
       pack.size() - at >= k_record_header_bytes;) {
    const RecordHeader header = parse_record_header(pack.subspan(at), object);
    const std::uint64_t length = k_record_header_bytes + std::uint64_t{header.body_length};
    if (length > pack.size() - at) {
      return;
    }
    try {
      decoder.decode(pack.subspan(at, length), header.id, keys, object,
                     std::span(plain).first(header.plain_length));
      checked.records.emplace(at, header.id);
    } catch (const Error& error) {
      rethrow_if_of_the_reader(error);
      // This one is bad; the next may not be.
    }
    at += length;
  }
}

}  // namespace

CheckedPack check_pack(ByteView pack, const std::string& object, RecordDecoder* decoder) {
  CheckedPack checked;
  try {
    const auto keys = parse_pack_header(pack, object);
    std::array<std::byte, k_record_bytes> plain{};
    scan_pack(pack, object, [&](std::uint64_t offset, const RecordHeader& header, ByteView stored) {
      if (decoder != nullptr) {
        decoder->decode(stored, header.id, keys, object,
                        std::span(plain).first(header.plain_length));
      }
      checked.records.emplace(offset, header.id);
    });
    return checked;
  } catch (const Error& error) {
    rethrow_if_of_the_reader(error);
    checked.records.clear();
    checked.problem = error.problem();
  }
  if (decoder != nullptr) {
    try {
      salvage(pack, object, *decoder, checked);
    } catch (const Error& error) {
      rethrow_if_of_the_reader(error);
      // No header where one should be: what lies beyond cannot be found.
    }
  }
  return checked;
}

}  // namespace hamal::repository
