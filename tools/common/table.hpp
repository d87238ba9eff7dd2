// A table for people: columns as wide as their widest cell, no decoration.
#pragma once
#include <string>
#include <vector>

namespace hamal {
/// The first row is the heading. Control characters in cells are escaped.
std::string format_table(const std::vector<std::vector<std::string>>& rows);
}  // namespace hamal
