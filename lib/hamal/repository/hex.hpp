// Bytes as lower-case hexadecimal digits. Private to this folder.
#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hamal::repository {

std::string hex_text(std::span<const std::byte> bytes);
/// False for anything but `into.size()` bytes in lower-case digits.
bool parse_hex(std::string_view text, std::span<std::byte> into);
/// nullopt unless both are digits, with letters from `first_letter` on.
std::optional<std::byte> hex_byte(char high, char low, char first_letter = 'a');

}  // namespace hamal::repository
