// A connection that carries bytes both ways: what protocols are written against.
#pragma once
#include <cstddef>
#include <span>

namespace hamal {

/// Not thread-safe. Errors: hamal::Error, transient when the connection was cut or nothing moved
/// for too long; the stream is of no use then. As CancelToken::check() does once stopped.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  /// All of it.
  virtual void write(std::span<const std::byte> bytes) = 0;
  /// Fills `into`; an end before that is an Error.
  virtual void read(std::span<std::byte> into) = 0;
  /// Whether the peer has ended its side. False says little: bytes may be on their way.
  virtual bool peer_has_closed() const = 0;
};

}  // namespace hamal
