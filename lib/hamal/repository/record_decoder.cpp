// From a record back to a disk's bytes, nothing believed that was not checked.
#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <new>

#include "hamal/repository/record.hpp"
#include "hamal/util/error.hpp"

namespace hamal::repository {
namespace {

struct FreeContext {
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};

[[noreturn]] void damaged(const std::string& object, const RecordId& id, const std::string& what) {
  throw Error(ErrorKind::failed, fmt::format("record {} {}", to_hex(id).substr(0, 16), what),
              object, "the object is damaged, or not what it should be");
}

}  // namespace

struct RecordDecoder::State {
  const Keyring& keyring;
  FetchKeyObject key_object;
  std::unique_ptr<ZSTD_DCtx, FreeContext> context;
  Bytes opened;

  /// The body as it was before it was sealed.
  ByteView open(const RecordHeader& header, ByteView body, std::span<const KeyId> keys,
                const std::string& object) {
    // Else whoever can write to the store could put plain records in the place of sealed ones.
    if (keyring.encrypted() != header.key.has_value()) {
      damaged(object, header.id, header.key ? "is sealed" : "is not sealed");
    }
    if (!header.key) {
      return body;
    }
    if (*header.key >= keys.size()) {
      damaged(object, header.id, "has a key that its pack does not name");
    }
    keyring.open_record(keys[*header.key], header.nonce, header.id, body, opened, key_object);
    return opened;
  }
};

RecordDecoder::RecordDecoder(const Keyring& keyring, FetchKeyObject key_object)
    : m_state(new State{keyring,
                        std::move(key_object),
                        std::unique_ptr<ZSTD_DCtx, FreeContext>(ZSTD_createDCtx()),
                        {}}) {
  if (!m_state->context) {
    throw std::bad_alloc();
  }
}

RecordDecoder::~RecordDecoder() = default;

void RecordDecoder::decode(ByteView stored, const RecordId& expected, std::span<const KeyId> keys,
                           const std::string& object, std::span<std::byte> plain) {
  const RecordHeader header = parse_record_header(stored, object);
  if (header.id != expected) {
    damaged(object, expected, "is not where the index says, another is");
  }
  if (header.plain_length != plain.size() ||
      header.body_length != stored.size() - k_record_header_bytes) {
    damaged(object, expected, "has another length than the index says");
  }
  const ByteView body = m_state->open(header, stored.subspan(k_record_header_bytes), keys, object);
  if (header.encoding == Encoding::plain) {
    if (body.size() != plain.size()) {
      damaged(object, expected, "has another length than its header says");
    }
    std::copy(body.begin(), body.end(), plain.begin());
  } else if (ZSTD_decompressDCtx(m_state->context.get(), plain.data(), plain.size(), body.data(),
                                 body.size()) != plain.size()) {
    damaged(object, expected, "cannot be decompressed to its length");
  }
  if (m_state->keyring.record_id(plain) != expected) {
    damaged(object, expected, "has a content that is not the one its id names");
  }
}

}  // namespace hamal::repository
