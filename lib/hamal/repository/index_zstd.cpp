// zstd of whole byte strings.
#include "hamal/repository/index_zstd.hpp"

#include <zstd.h>

#include "hamal/util/error.hpp"

namespace hamal::repository {
namespace {

/// Index bytes are small beside what they index: worth a little more time than records are.
constexpr int k_level = 3;

constexpr const char* k_hint = "hamal-repo verify says which versions suffer";

}  // namespace

Bytes compress(ByteView plain) {
  Bytes frame(::ZSTD_compressBound(plain.size()));
  const std::size_t length =
      ::ZSTD_compress(frame.data(), frame.size(), plain.data(), plain.size(), k_level);
  if (::ZSTD_isError(length) != 0) {
    throw Error(ErrorKind::failed, std::string("cannot compress: ") + ::ZSTD_getErrorName(length));
  }
  frame.resize(length);
  return frame;
}

Bytes decompress(ByteView frame, std::uint64_t limit, const std::string& object) {
  const unsigned long long length = ::ZSTD_getFrameContentSize(frame.data(), frame.size());
  if (length == ZSTD_CONTENTSIZE_ERROR || length == ZSTD_CONTENTSIZE_UNKNOWN) {
    throw Error(ErrorKind::failed, "is damaged: not a zstd frame", object, k_hint);
  }
  if (length > limit) {
    throw Error(ErrorKind::failed,
                "is damaged: would unpack to " + std::to_string(length) + " bytes", object, k_hint);
  }
  Bytes plain(length);
  const std::size_t got = ::ZSTD_decompress(plain.data(), plain.size(), frame.data(), frame.size());
  if (::ZSTD_isError(got) != 0 || got != length) {
    throw Error(ErrorKind::failed, "is damaged: its zstd frame cannot be unpacked", object, k_hint);
  }
  return plain;
}

}  // namespace hamal::repository
