// One extent as a line of the extent stream, in its canonical spelling. Private to stream/.
#pragma once
#include <string>
#include <string_view>

#include "hamal/extent/extent.hpp"

namespace hamal {

/// {"disk":"ID","offset": — what every canonical line of that disk starts with.
std::string extent_line_prefix(const std::string& disk_id);
/// Appends the whole line with its line feed.
void append_extent_line(std::string& to, std::string_view prefix, const Extent& extent);
/// True when `rest`, what follows the prefix without the line feed, is spelled canonically.
bool parse_extent_line(std::string_view rest, Extent& extent) noexcept;

}  // namespace hamal
