// Texts that say of themselves whether they are whole and where they belong: a line of JSON, then a
// line "authentic DIGEST" (hamal-repository(5), NUMBERS AND HASHES).
#pragma once
#include <string>
#include <string_view>

#include "hamal/repository/keyring.hpp"

namespace hamal::repository {

/// `line` has no newline of its own.
std::string authentic_text(std::string_view line, std::string_view key, const Keyring& keyring);

/// The first line. Throws a permanent Error naming `object` when the second is not of it and `key`.
std::string_view authentic_line(std::string_view text, std::string_view key, const Keyring& keyring,
                                const std::string& object);

}  // namespace hamal::repository
