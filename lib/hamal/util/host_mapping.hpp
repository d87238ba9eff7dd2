// Addresses of host names that no resolver knows: the file they are kept in, as hosts(5) has them.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace hamal {

struct HostMapping {
  std::string host;                    ///< in lower case
  std::vector<std::string> addresses;  ///< IPv4 or IPv6, without brackets
  friend bool operator==(const HostMapping&, const HostMapping&) = default;
};

/// IPv4 or IPv6, without brackets or zone.
bool is_ip_address(const std::string& text);
/// Labels of letters, digits, '-' and '_' with dots between; in lower case, and no address.
bool is_host_name(std::string_view text);

/// "ADDRESS HOST", a line for each.
std::string host_mapping_lines(const std::vector<HostMapping>& mappings);
/// The reverse; lines that begin with # are comments. Throws Error(failed) with `name` and the
/// line.
std::vector<HostMapping> parse_host_mapping_lines(std::string_view text, const std::string& name);

}  // namespace hamal
