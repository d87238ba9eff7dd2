#include "hamal/util/host_mapping.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "hamal/util/error.hpp"
#include "hamal/util/text.hpp"

namespace hamal {
namespace {

constexpr std::size_t k_longest_host = 253;

bool is_label(std::string_view label) {
  const auto is_inner = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  return !label.empty() && label.front() != '-' && label.back() != '-' &&
         std::all_of(label.begin(), label.end(), is_inner);
}

}  // namespace

bool is_ip_address(const std::string& text) {
  std::array<unsigned char, 16> bytes{};
  return ::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1;
}

bool is_host_name(std::string_view text) {
  if (text.size() > k_longest_host || is_ip_address(std::string(text))) {
    return false;
  }
  for (;;) {
    const std::size_t dot = text.find('.');
    if (!is_label(text.substr(0, dot))) {
      return false;
    }
    if (dot == std::string_view::npos) {
      return true;
    }
    text.remove_prefix(dot + 1);
  }
}

std::string host_mapping_lines(const std::vector<HostMapping>& mappings) {
  std::string text;
  for (const HostMapping& mapping : mappings) {
    for (const std::string& address : mapping.addresses) {
      text += address + " " + mapping.host + "\n";
    }
  }
  return text;
}

std::vector<HostMapping> parse_host_mapping_lines(std::string_view text, const std::string& name) {
  std::vector<HostMapping> mappings;
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.starts_with('#')) {
      continue;
    }
    const std::size_t blank = std::min(line.find_first_of(" \t"), line.size());
    const std::string address(line.substr(0, blank));
    const std::string host = to_lower(trim(line.substr(blank)));
    if (!is_ip_address(address) || !is_host_name(host)) {
      throw Error(ErrorKind::failed, "is not ADDRESS HOST", name + ":" + std::to_string(number));
    }
    if (mappings.empty() || mappings.back().host != host) {
      mappings.push_back({host, {}});
    }
    mappings.back().addresses.push_back(address);
  }
  return mappings;
}

}  // namespace hamal
