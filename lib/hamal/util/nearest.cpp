#include "hamal/util/nearest.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "hamal/util/text.hpp"

namespace hamal {
namespace {

// Names are keys of a configuration: longer ones are no typing errors, and cost quadratic time.
constexpr std::size_t k_longest = 256;

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  if (name.size() > k_longest) {
    return {};
  }
  // Case is compared last: [default] means [DEFAULT].
  const std::string wanted = to_lower(name);
  std::size_t best = std::max<std::size_t>(2, name.size() / 3) + 1;
  std::string nearest;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > k_longest) {
      continue;
    }
    const std::size_t distance = edit_distance(wanted, to_lower(candidate));
    // A candidate that shares nothing with the name is no suggestion: "vm" for "ca".
    if (distance < best && distance < std::max(wanted.size(), candidate.size())) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace hamal
