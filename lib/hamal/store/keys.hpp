// What is a key of an object store. Private to this folder.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "hamal/util/error.hpp"

namespace hamal {

/// What the stores keep for themselves begins so; list() never tells of it.
inline constexpr std::string_view k_reserved_key = ".hamal-";

/// One part of a key: [A-Za-z0-9._=-], neither "." nor "..", 255 characters at most.
bool is_key_part(std::string_view part);
/// What list() may hand out: parts joined by "/", none of it the store's own.
bool is_key(std::string_view key);

/// Throw Error(usage) that names the store and the key: a caller's mistake, found before it becomes
/// a path or a URL.
void require_key(std::string_view key, const std::string& store);
/// "" or a key that ends with "/".
void require_list_prefix(std::string_view prefix, const std::string& store);

/// The name of an object in messages.
std::string object_name(const std::string& store, std::string_view key);

/// An object of `size` bytes that was asked for bytes behind its end.
Error range_beyond_end(const std::string& object, std::uint64_t offset, std::uint64_t length,
                       std::uint64_t size);

}  // namespace hamal
