// repository.json: what a repository says of itself (hamal-repository(5), LAYOUT).
#pragma once
#include <string>
#include <string_view>

namespace hamal::repository {

struct Description {
  std::string id;  ///< random, 32 hexadecimal digits
  bool encrypted = false;
};

std::string to_text(const Description& description);
/// Throws a permanent Error naming `object`.
Description parse_description(std::string_view text, const std::string& object);

}  // namespace hamal::repository
