#include "hamal/util/random_id.hpp"

#include <sys/random.h>

#include <cerrno>
#include <vector>

#include "hamal/util/error.hpp"

namespace hamal {

std::string random_hex(unsigned digits) {
  std::vector<unsigned char> bytes((digits + 1) / 2);
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    throw system_error("cannot get random bytes", "getrandom", errno);
  }
  static const char* const k_hex = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text += k_hex[byte >> 4U];
    text += k_hex[byte & 15U];
  }
  text.resize(digits);
  return text;
}

std::string random_uuid() {
  std::string hex = random_hex(32);
  hex[12] = '4';
  hex[16] = "89ab"[hex[16] & 3];
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" +
         hex.substr(16, 4) + "-" + hex.substr(20);
}

}  // namespace hamal
