// "Did you mean …": the nearest of some names.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace hamal {
/// The candidate with the smallest edit distance, empty when none is near (distance > a third of
/// its length, at least 2).
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);
}  // namespace hamal
