// The fast path of the extent stream: no JSON parser for what a hamal writer spells.
#include "hamal/stream/extent_line.hpp"

#include <charconv>

#include "hamal/stream/header_json.hpp"

namespace hamal {
namespace {

constexpr std::string_view k_length = ",\"length\":";
constexpr std::string_view k_data = ",\"kind\":\"data\"}";
constexpr std::string_view k_zero = ",\"kind\":\"zero\"}";
/// As many digits always fit 64 bits; what is larger than a disk is refused by the bounds.
constexpr std::size_t k_max_digits = 19;

void append_number(std::string& to, std::uint64_t number) {
  char digits[20];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, number);
  static_cast<void>(error);
  to.append(digits, end);
}

bool take_number(std::string_view& text, std::uint64_t& number) noexcept {
  std::size_t count = 0;
  number = 0;
  while (count < text.size() && text[count] >= '0' && text[count] <= '9') {
    number = number * 10 + static_cast<std::uint64_t>(text[count] - '0');
    if (++count > k_max_digits) {
      return false;
    }
  }
  if (count == 0 || (count > 1 && text[0] == '0')) {
    return false;
  }
  text.remove_prefix(count);
  return true;
}

}  // namespace

std::string extent_line_prefix(const std::string& disk_id) {
  return R"({"disk":)" + dump(disk_id) + R"(,"offset":)";
}

void append_extent_line(std::string& to, std::string_view prefix, const Extent& extent) {
  to += prefix;
  append_number(to, extent.offset);
  to += k_length;
  append_number(to, extent.length);
  to += extent.kind == ExtentKind::data ? k_data : k_zero;
  to += '\n';
}

bool parse_extent_line(std::string_view rest, Extent& extent) noexcept {
  if (!take_number(rest, extent.offset) || !rest.starts_with(k_length)) {
    return false;
  }
  rest.remove_prefix(k_length.size());
  if (!take_number(rest, extent.length)) {
    return false;
  }
  extent.kind = rest == k_data ? ExtentKind::data : ExtentKind::zero;
  return rest == k_data || rest == k_zero;
}

}  // namespace hamal
