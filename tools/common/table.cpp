#include "common/table.hpp"

#include <algorithm>

#include "hamal/util/text.hpp"

namespace hamal {

std::string format_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> cells;
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    cells.emplace_back();
    for (std::size_t column = 0; column < row.size(); ++column) {
      cells.back().push_back(row[column].empty() ? "-" : escape_control(row[column]));
      widths.resize(std::max(widths.size(), column + 1));
      widths[column] = std::max(widths[column], cells.back().back().size());
    }
  }
  std::string text;
  for (const auto& row : cells) {
    for (std::size_t column = 0; column < row.size(); ++column) {
      const bool last = column + 1 == row.size();
      text += row[column];
      text += last ? "\n" : std::string(widths[column] - row[column].size() + 2, ' ');
    }
  }
  return text;
}

}  // namespace hamal
