// Whether the bytes of a reply are those that were asked for. Private to this folder.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "hamal/net/http_client.hpp"

namespace hamal {

std::optional<std::uint64_t> content_length(const HttpReply& reply);

struct RangeAsked {
  std::uint64_t offset;
  std::uint64_t length;
  std::string object;
};

/// The size of an object that ends before the range does; nullopt when the reply does not say so.
std::optional<std::uint64_t> size_before_end(const HttpReply& reply, const RangeAsked& asked);
/// Throws Error unless the reply has exactly that range, or says that the object ends before.
void check_range(const HttpReply& reply, const RangeAsked& asked);

/// Throws Error unless the body is as long as the reply says, and what its checksum says: the
/// SHA-256 where the reply has one, else, with `verify_etag`, the MD5 that the ETag is. One that
/// was too large to be read is left to the caller.
void check_whole_object(const HttpReply& reply, bool verify_etag, const std::string& object);

}  // namespace hamal
