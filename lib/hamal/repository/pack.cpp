#include "hamal/repository/pack.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "hamal/repository/hash.hpp"
#include "hamal/repository/little_endian.hpp"
#include "hamal/util/error.hpp"

namespace hamal::repository {
namespace {

constexpr std::string_view k_begin("HAMALPK\x01", 8);
constexpr std::string_view k_end("HAMALPE\x01", 8);
constexpr std::size_t k_fixed_header = 16;

[[noreturn]] void damaged(const std::string& object, const std::string& what) {
  throw Error(ErrorKind::failed, what, object, "the object is damaged, or not what it should be");
}

void append(Bytes& to, ByteView bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

template <std::unsigned_integral Number>
void append_number(Bytes& to, Number number) {
  std::array<std::byte, sizeof(Number)> bytes{};
  put_number(std::span<std::byte>(bytes), number);
  append(to, bytes);
}

bool begins_with(ByteView bytes, std::string_view magic) {
  return bytes.size() >= magic.size() &&
         std::equal(magic.begin(), magic.end(), bytes.begin(),
                    [](char c, std::byte byte) { return static_cast<std::byte>(c) == byte; });
}

/// Its body is hashed by its id.
bool is_bare(const RecordHeader& header) {
  return header.encoding == Encoding::plain && !header.key;
}

/// What of a stored record the pack's digest covers.
ByteView covered(const RecordHeader& header, ByteView stored) {
  return is_bare(header) ? stored.first(k_record_header_bytes) : stored;
}

struct PackEnd {
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  Digest digest{};
};

PackEnd parse_end(ByteView pack, const std::string& object) {
  if (pack.size() < k_fixed_header + k_pack_end_bytes) {
    damaged(object, "the pack is cut short");
  }
  const ByteView at = pack.last(k_pack_end_bytes);
  if (!begins_with(at, k_end)) {
    damaged(object, "the pack has no end");
  }
  PackEnd end;
  end.records = get_number<std::uint64_t>(at.subspan(8));
  end.bytes = get_number<std::uint64_t>(at.subspan(16));
  std::copy_n(at.begin() + 24, end.digest.size(), end.digest.begin());
  if (end.bytes != pack.size() - k_pack_end_bytes) {
    damaged(object, "the pack has another length than its end says");
  }
  return end;
}

std::string at_offset(const std::string& object, std::uint64_t offset) {
  return fmt::format("{} at {}", object, offset);
}

/// `bytes`: header and records, without the end.
template <typename Each>
void walk(ByteView bytes, const std::string& object, const Each& each) {
  const std::size_t keys = parse_pack_header(bytes, object).size();
  for (std::uint64_t at = pack_header_bytes(keys); at < bytes.size();) {
    const RecordHeader header = parse_record_header(bytes.subspan(at), object);
    const std::uint64_t length = k_record_header_bytes + std::uint64_t{header.body_length};
    if (length > bytes.size() - at) {
      damaged(at_offset(object, at), "a record goes beyond the end of its pack");
    }
    if (header.key && *header.key >= keys) {
      damaged(at_offset(object, at), "a record has a key that its pack does not name");
    }
    each(at, header, bytes.subspan(at, length));
    at += length;
  }
}

Digest covered_digest(ByteView bytes, const std::string& object) {
  Sha256 digest;
  digest.update(bytes.first(parse_pack_header_bytes(bytes, object)));
  walk(bytes, object, [&](std::uint64_t /*at*/, const RecordHeader& header, ByteView stored) {
    digest.update(covered(header, stored));
  });
  return digest.finish();
}

}  // namespace

PackBuilder::PackBuilder(const std::vector<KeyId>& keys, Bytes buffer)
    : m_bytes(std::move(buffer)) {
  m_bytes.clear();
  if (keys.size() > k_pack_keys) {
    throw std::logic_error("a pack names at most 65536 keys");
  }
  append(m_bytes, bytes_of(k_begin));
  append_number(m_bytes, static_cast<std::uint32_t>(keys.size()));
  append_number(m_bytes, std::uint32_t{0});
  for (const KeyId& key : keys) {
    append(m_bytes, key);
  }
}

Bytes PackBuilder::finish() {
  const std::uint64_t bytes = m_bytes.size();
  const Digest digest = covered_digest(m_bytes, "the pack being written");
  append(m_bytes, bytes_of(k_end));
  append_number(m_bytes, m_records);
  append_number(m_bytes, bytes);
  append(m_bytes, digest);
  return std::move(m_bytes);
}

std::uint64_t pack_header_bytes(std::size_t keys) {
  return k_fixed_header + keys * sizeof(KeyId);
}

std::uint64_t parse_pack_header_bytes(ByteView bytes, const std::string& object) {
  if (bytes.size() < k_fixed_header || !begins_with(bytes, k_begin)) {
    damaged(object, "this is no pack, or of a version that this hamal does not know");
  }
  const auto keys = get_number<std::uint32_t>(bytes.subspan(8));
  if (keys > k_pack_keys || get_number<std::uint32_t>(bytes.subspan(12)) != 0) {
    damaged(object, "the pack's header is wrong");
  }
  return pack_header_bytes(keys);
}

std::vector<KeyId> parse_pack_header(ByteView bytes, const std::string& object) {
  const std::uint64_t length = parse_pack_header_bytes(bytes, object);
  if (bytes.size() < length) {
    damaged(object, "the pack's header is cut short");
  }
  std::vector<KeyId> keys((length - k_fixed_header) / sizeof(KeyId));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const ByteView at = bytes.subspan(pack_header_bytes(i));
    std::copy_n(at.begin(), keys[i].size(), keys[i].begin());
  }
  return keys;
}

void scan_pack(ByteView pack, const std::string& object,
               const std::function<void(std::uint64_t offset, const RecordHeader& header,
                                        ByteView stored)>& each) {
  const PackEnd end = parse_end(pack, object);
  const ByteView bytes = pack.first(end.bytes);
  // The digests first: nothing is told of a pack that is not whole.
  std::uint64_t records = 0;
  walk(bytes, object, [&](std::uint64_t at, const RecordHeader& header, ByteView stored) {
    if (is_bare(header) && sha256(stored.subspan(k_record_header_bytes)) != header.id) {
      damaged(at_offset(object, at), "a record's content is not the one its id names");
    }
    ++records;
  });
  if (records != end.records || covered_digest(bytes, object) != end.digest) {
    damaged(object, "the pack's content is not the one its end tells of");
  }
  walk(bytes, object, each);
}

}  // namespace hamal::repository
