// Small texts: trimming, case, and making foreign bytes safe to show.
#pragma once
#include <string>
#include <string_view>

namespace hamal {

/// Without leading and trailing ASCII white space.
std::string_view trim(std::string_view text) noexcept;
/// ASCII letters in lower case, everything else as it is.
std::string to_lower(std::string_view text);
/// Control characters become \n, \t, \xNN: what is shown stays one line and moves no cursor.
std::string escape_control(std::string_view text);

}  // namespace hamal
