// Endpoint URIs: one grammar everywhere (hamal(7), ENDPOINTS).
#pragma once
#include <string>
#include <string_view>

namespace hamal {

enum class EndpointKind {
  file,      ///< file:PATH
  device,    ///< /dev/…
  nbd,       ///< nbd:// nbds:// nbd+unix:// nbds+unix://, kept as libnbd takes it
  platform,  ///< NAME:VM/DISK[@SNAPSHOT], NAME a [platform NAME] section
};

struct Endpoint {
  EndpointKind kind = EndpointKind::file;
  std::string uri;       ///< as given, percent-encoded
  std::string path;      ///< file, device: decoded
  std::string platform;  ///< platform: NAME
  std::string vm;        ///< platform: decoded
  std::string disk;      ///< platform: decoded
  std::string snapshot;  ///< platform: decoded, may be empty
};

/// Throws Error(usage) that says what the grammar is. `rbd:`, `s3://`, `dir:` and other reserved
/// words that this version cannot open are named as such.
Endpoint parse_endpoint(std::string_view uri);

/// The words that can never be the NAME of a [platform NAME] section.
bool is_reserved_scheme(std::string_view word);

std::string file_uri(std::string_view path);
std::string platform_uri(std::string_view name, std::string_view vm, std::string_view disk,
                         std::string_view snapshot = {});

}  // namespace hamal
