#include "hamal/state/lease_text.hpp"

#include <charconv>

#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

[[noreturn]] void bad(const std::string& name) {
  throw Error(ErrorKind::usage, "is not a lease", name,
              "hamal-period sets it for the tools it starts; unset it elsewhere");
}

std::string part(std::string_view text, const std::string& name) {
  const auto decoded = percent_decode(text);
  if (!decoded || decoded->empty()) {
    bad(name);
  }
  return *decoded;
}

}  // namespace

std::string to_text(const NamedLease& lease) {
  return percent_encode(lease.key.platform) + "/" + percent_encode(lease.key.vm_id) + ":" +
         percent_encode(lease.token.owner) + ":" + std::to_string(lease.token.number);
}

NamedLease parse_lease(std::string_view text, const std::string& name) {
  const auto slash = text.find('/');
  const auto first = text.find(':');
  const auto second = first == std::string_view::npos ? first : text.find(':', first + 1);
  if (second == std::string_view::npos || slash >= first) {
    bad(name);
  }
  NamedLease lease;
  lease.key.platform = part(text.substr(0, slash), name);
  lease.key.vm_id = part(text.substr(slash + 1, first - slash - 1), name);
  lease.token.owner = part(text.substr(first + 1, second - first - 1), name);
  const std::string_view number = text.substr(second + 1);
  const char* const end = number.data() + number.size();
  const auto [stop, error] = std::from_chars(number.data(), end, lease.token.number);
  if (error != std::errc{} || stop != end) {
    bad(name);
  }
  return lease;
}

}  // namespace hamal
