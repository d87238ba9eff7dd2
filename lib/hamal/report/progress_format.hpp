// The words of a progress report.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "hamal/report/progress_items.hpp"

namespace hamal {

/// "web01/disk0 copying 41% 4.1 GiB/10 GiB 350 MiB/s ETA 00:17"
std::string progress_text(const ProgressView& view);
/// The one object's text, or a sum with the names behind it.
std::string progress_text(const std::vector<ProgressView>& views);
/// At most so many columns (each code point counts as one), never within a character.
std::string clip_columns(std::string_view text, std::size_t columns);
/// One object, one line, with its newline: event is "phase", "progress" or "done".
std::string progress_json(std::string_view event, const ProgressView& view, std::string_view time);

}  // namespace hamal
