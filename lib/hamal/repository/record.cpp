#include "hamal/repository/record.hpp"

#include <algorithm>

#include "hamal/repository/little_endian.hpp"
#include "hamal/util/error.hpp"

// The layout of a header, in bytes:
//   0 magic   4 plain length   8 body length   12 encoding   13 flags   14 key index
//   16 nonce   24 zeros   32 id

namespace hamal::repository {
namespace {

constexpr std::uint32_t k_magic = 0x43455248;  // "HREC"
constexpr std::uint8_t k_sealed = 1;

[[noreturn]] void damaged(const std::string& object, const std::string& what) {
  throw Error(ErrorKind::failed, what, object, "the object is damaged, or not what it should be");
}

}  // namespace

void append_record_header(const RecordHeader& header, Bytes& to) {
  to.resize(to.size() + k_record_header_bytes);
  const std::span<std::byte> at = std::span(to).last(k_record_header_bytes);
  put_number(at, k_magic);
  put_number(at.subspan(4), header.plain_length);
  put_number(at.subspan(8), header.body_length);
  put_number(at.subspan(12), static_cast<std::uint8_t>(header.encoding));
  put_number(at.subspan(13), header.key ? k_sealed : std::uint8_t{0});
  put_number(at.subspan(14), header.key.value_or(0));
  put_number(at.subspan(16), header.nonce);
  std::copy(header.id.begin(), header.id.end(), at.begin() + 32);
}

void put_record_nonce(std::span<std::byte> header, std::uint64_t nonce) {
  put_number(header.subspan(16), nonce);
}

RecordHeader parse_record_header(ByteView bytes, const std::string& object) {
  if (bytes.size() < k_record_header_bytes) {
    damaged(object, "a record's header is cut short");
  }
  if (get_number<std::uint32_t>(bytes) != k_magic) {
    damaged(object, "where a record should begin there is none");
  }
  RecordHeader header;
  header.plain_length = get_number<std::uint32_t>(bytes.subspan(4));
  header.body_length = get_number<std::uint32_t>(bytes.subspan(8));
  const auto encoding = get_number<std::uint8_t>(bytes.subspan(12));
  const auto flags = get_number<std::uint8_t>(bytes.subspan(13));
  const auto key = get_number<std::uint16_t>(bytes.subspan(14));
  header.nonce = get_number<std::uint64_t>(bytes.subspan(16));
  std::copy_n(bytes.begin() + 32, header.id.size(), header.id.begin());
  if (encoding > static_cast<std::uint8_t>(Encoding::zstd) || flags > k_sealed ||
      get_number<std::uint64_t>(bytes.subspan(24)) != 0) {
    damaged(object, "a record is stored in a way that this version of hamal does not know");
  }
  header.encoding = static_cast<Encoding>(encoding);
  if (flags == k_sealed) {
    header.key = key;
  } else if (key != 0 || header.nonce != 0) {
    damaged(object, "a record that is not sealed has a key");
  }
  const std::uint32_t tag = header.key ? k_seal_tag_bytes : 0;
  const bool fits =
      header.plain_length > 0 && header.plain_length <= k_record_bytes &&
      header.body_length > tag &&
      (header.encoding == Encoding::plain ? header.body_length == header.plain_length + tag
                                          : header.body_length < header.plain_length + tag);
  if (!fits) {
    damaged(object, "a record has a length that cannot be");
  }
  return header;
}

}  // namespace hamal::repository
