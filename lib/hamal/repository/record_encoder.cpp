// From a disk's bytes to a record: compress, seal, a header before it.
#include <zstd.h>

#include <algorithm>
#include <new>
#include <stdexcept>

#include "hamal/repository/looks_random.hpp"
#include "hamal/repository/record.hpp"

namespace hamal::repository {
namespace {

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
};

}  // namespace

struct RecordEncoder::State {
  RecordSealer& sealer;
  int level;
  std::unique_ptr<ZSTD_CCtx, FreeContext> context;
  Bytes compressed;

  /// What is stored: the compressed bytes where they save a sixteenth, else the plain ones.
  ByteView body(ByteView plain) {
    if (context == nullptr || looks_random(plain)) {
      return plain;
    }
    const std::size_t room = plain.size() - std::max<std::size_t>(plain.size() / 16, 1);
    const std::size_t size =
        ZSTD_compress2(context.get(), compressed.data(), room, plain.data(), plain.size());
    return ZSTD_isError(size) != 0 ? plain : ByteView(compressed).first(size);
  }
};

RecordEncoder::RecordEncoder(RecordSealer& sealer, int level)
    : m_state(new State{sealer, level, nullptr, {}}) {
  if (level == 0) {
    return;
  }
  m_state->context.reset(ZSTD_createCCtx());
  if (!m_state->context) {
    throw std::bad_alloc();
  }
  // The id is the checksum, and the length is in the header.
  ZSTD_CCtx_setParameter(m_state->context.get(), ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(m_state->context.get(), ZSTD_c_contentSizeFlag, 0);
  m_state->compressed.resize(k_record_bytes);
}

RecordEncoder::~RecordEncoder() = default;

void RecordEncoder::encode(const RecordId& id, ByteView plain, Bytes& to) {
  if (plain.empty() || plain.size() > k_record_bytes) {
    throw std::logic_error("a record has 1 to 65536 bytes");
  }
  const ByteView body = m_state->body(plain);
  RecordHeader header;
  header.plain_length = static_cast<std::uint32_t>(plain.size());
  header.body_length = static_cast<std::uint32_t>(body.size());
  header.encoding = body.data() == plain.data() ? Encoding::plain : Encoding::zstd;
  header.id = id;
  if (m_state->sealer.key_id()) {
    header.key = std::uint16_t{0};
    header.body_length += k_seal_tag_bytes;
  }
  const std::size_t start = to.size();
  append_record_header(header, to);
  header.nonce = m_state->sealer.seal(id, body, to);
  put_record_nonce(std::span(to).subspan(start), header.nonce);
}

}  // namespace hamal::repository
