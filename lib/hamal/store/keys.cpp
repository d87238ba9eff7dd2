#include "hamal/store/keys.hpp"

#include <algorithm>

#include "hamal/util/text.hpp"

namespace hamal {
namespace {

constexpr std::size_t k_longest_part = 255;  // NAME_MAX
constexpr std::size_t k_longest_key = 700;   // S3 has 1024, with the prefix

bool is_key_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '=' || c == '-';
}

}  // namespace

bool is_key_part(std::string_view part) {
  return !part.empty() && part.size() <= k_longest_part && part != "." && part != ".." &&
         std::all_of(part.begin(), part.end(), is_key_character);
}

bool is_key(std::string_view key) {
  if (key.size() > k_longest_key || key.starts_with(k_reserved_key)) {
    return false;
  }
  for (std::size_t at = 0;;) {
    const std::size_t slash = std::min(key.find('/', at), key.size());
    if (!is_key_part(key.substr(at, slash - at))) {
      return false;
    }
    if (slash == key.size()) {
      return true;
    }
    at = slash + 1;
  }
}

void require_key(std::string_view key, const std::string& store) {
  if (!is_key(key)) {
    throw Error(ErrorKind::usage,
                "\"" + escape_control(key.substr(0, 200)) + "\" cannot be the key of an object",
                store, "its parts are letters, digits and . _ = -, joined by /");
  }
}

void require_list_prefix(std::string_view prefix, const std::string& store) {
  if (prefix.empty()) {
    return;
  }
  if (!prefix.ends_with('/')) {
    throw Error(ErrorKind::usage, "a list is of all objects, or of those below a \"/\"",
                object_name(store, prefix));
  }
  require_key(prefix.substr(0, prefix.size() - 1), store);
}

std::string object_name(const std::string& store, std::string_view key) {
  return store + (store.ends_with('/') ? "" : "/") + escape_control(key.substr(0, 1000));
}

Error range_beyond_end(const std::string& object, std::uint64_t offset, std::uint64_t length,
                       std::uint64_t size) {
  return {ErrorKind::failed,
          "ends at " + std::to_string(size) + ", and the " + std::to_string(length) +
              " bytes at offset " + std::to_string(offset) + " were asked for",
          object, "the object was cut short, or is not the one that was put there"};
}

}  // namespace hamal
