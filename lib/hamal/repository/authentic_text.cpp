#include "hamal/repository/authentic_text.hpp"

#include "hamal/util/error.hpp"

namespace hamal::repository {
namespace {

constexpr std::string_view k_word = "authentic ";

}  // namespace

std::string authentic_text(std::string_view line, std::string_view key, const Keyring& keyring) {
  std::string text(line);
  text += '\n';
  text += k_word;
  text += to_hex(keyring.authenticate(line, key));
  text += '\n';
  return text;
}

std::string_view authentic_line(std::string_view text, std::string_view key, const Keyring& keyring,
                                const std::string& object) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  if (end == std::string_view::npos || text != authentic_text(line, key, keyring)) {
    throw Error(ErrorKind::failed, "is damaged, or does not belong there", object,
                "hamal-repo verify says what suffers");
  }
  return line;
}

}  // namespace hamal::repository
