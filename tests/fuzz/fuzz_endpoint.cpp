// parse_endpoint: any text is either an Error(usage) or an endpoint that parses again to the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "hamal/block/endpoint.hpp"
#include "hamal/util/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);  // NOLINT: fuzzer's API
  try {
    const hamal::Endpoint endpoint = hamal::parse_endpoint(text);
    if (endpoint.uri != text) {
      std::abort();
    }
    if (endpoint.kind == hamal::EndpointKind::platform) {
      const hamal::Endpoint again = hamal::parse_endpoint(
          hamal::platform_uri(endpoint.platform, endpoint.vm, endpoint.disk, endpoint.snapshot));
      if (again.vm != endpoint.vm || again.disk != endpoint.disk ||
          again.snapshot != endpoint.snapshot) {
        std::abort();
      }
    }
    if (endpoint.kind == hamal::EndpointKind::rbd) {
      const hamal::Endpoint again =
          hamal::parse_endpoint(hamal::rbd_uri(endpoint.rbd, endpoint.snapshot));
      if (again.rbd.cluster != endpoint.rbd.cluster || again.rbd.pool != endpoint.rbd.pool ||
          again.rbd.space != endpoint.rbd.space || again.rbd.image != endpoint.rbd.image ||
          again.snapshot != endpoint.snapshot) {
        std::abort();
      }
    }
  } catch (const hamal::Error& error) {
    if (error.kind() != hamal::ErrorKind::usage) {
      std::abort();
    }
  }
  return 0;
}
