// TCP connections, plain or by TLS from the first byte.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "hamal/net/byte_stream.hpp"
#include "hamal/util/cancel.hpp"

namespace hamal {

enum class StreamSecurity { plain, tls };

struct SocketOptions {
  std::string host;  ///< an address or a name
  std::uint16_t port = 0;
  StreamSecurity security = StreamSecurity::tls;
  /// PEM. The peer's certificate must be one of these or be signed by one; names in it do not
  /// matter, so the certificates must come from where the address came from.
  std::string ca_pem;
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds idle_timeout{60'000};
};

/// Connects and shakes hands. Throws Error: transient when nobody answers, permanent when the peer
/// is not who it should be. The token outlives the stream.
std::unique_ptr<ByteStream> open_socket(const SocketOptions& options, const CancelToken& cancel);

}  // namespace hamal
