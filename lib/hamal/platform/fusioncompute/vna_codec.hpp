// The frames on the socket between a backup program and a host of FusionCompute: a seam.
//
// What a real host speaks there is NOT public, and nothing here claims to know it. The one codec
// that is shipped is hamal's own (hamal-fusioncompute(7), THE SOCKET): it lets everything around
// the frames be built and tested, and shows where somebody who has the vendor's description puts
// theirs.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "hamal/net/byte_stream.hpp"

namespace hamal::fusioncompute {

/// One connection's protocol. Not thread-safe. Errors: Error, transient for what a new connection
/// may heal.
class VnaCodec {
 public:
  virtual ~VnaCodec() = default;
  /// Says who we are; the size of the frozen disk in bytes.
  virtual std::uint64_t open(ByteStream& stream, const std::string& token) = 0;
  /// Fills `into` with what is at `offset`. The range lies inside the disk.
  virtual void read(ByteStream& stream, std::uint64_t offset, std::span<std::byte> into) = 0;
  /// An orderly end.
  virtual void close(ByteStream& stream) = 0;
};

/// Version 1 of the project's own frames; `object` is for messages.
std::unique_ptr<VnaCodec> make_project_codec(std::string object);

/// CRC-32 (IEEE 802.3), continued from `crc`.
std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t crc = 0);

}  // namespace hamal::fusioncompute
