// Telling streams and documents apart.
#include "hamal/stream/detect.hpp"

#include <array>

#include "hamal/json/strict_json.hpp"
#include "hamal/stream/byte_input.hpp"
#include "hamal/stream/data_stream.hpp"
#include "hamal/stream/header_json.hpp"

namespace hamal {
namespace {

constexpr const char* k_name = "the input";

bool read_on(int fd, std::string& prefix) {
  std::array<char, 16384> buffer;  // NOLINT: filled by the read
  const std::size_t got = read_some(fd, buffer.data(), buffer.size(), k_name);
  prefix.append(buffer.data(), got);
  return got != 0;
}

/// The format of a text that is one JSON object; empty when it is none.
std::string format_of(std::string_view text) {
  try {
    const Place place{k_name, ErrorKind::failed};
    const nlohmann::json object = parse_strict(text, place);
    return Fields(object, place).text("format");
  } catch (const Error&) {
    return {};
  }
}

StreamKind kind_of(std::string_view format) {
  return format == k_extents_format   ? StreamKind::extents
         : format == "hamal-snapshot" ? StreamKind::snapshot_document
                                      : StreamKind::unknown;
}

}  // namespace

StreamKind detect_stream(int fd, std::string& prefix) {
  const std::string_view magic = k_data_stream_magic.substr(0, 7);
  bool more = true;
  while (more && prefix.size() < magic.size()) {
    more = read_on(fd, prefix);
  }
  if (prefix.empty()) {
    return StreamKind::empty;
  }
  if (prefix.starts_with(magic)) {
    return StreamKind::data;
  }
  if (const std::size_t start = prefix.find_first_not_of(" \t\r\n");
      start == std::string::npos || prefix[start] != '{') {
    return StreamKind::unknown;
  }
  for (std::size_t scanned = 0; more && prefix.size() <= k_max_header;) {
    if (prefix.find('\n', scanned) != std::string::npos) {
      break;
    }
    scanned = prefix.size();
    more = read_on(fd, prefix);
  }
  const std::string line = prefix.substr(0, prefix.find('\n'));
  if (const StreamKind kind = kind_of(format_of(line)); kind != StreamKind::unknown) {
    return kind;
  }
  if (line.find("\"hamal-extents\"") != std::string::npos) {
    return StreamKind::extents;
  }
  while (more && prefix.size() <= k_max_header) {
    more = read_on(fd, prefix);
  }
  return prefix.find("\"hamal-snapshot\"") != std::string::npos ? StreamKind::snapshot_document
                                                                : StreamKind::unknown;
}

}  // namespace hamal
