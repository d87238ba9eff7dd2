// A frame is a head of 32 bytes, little-endian, and a body:
//
//   0  magic "HVNA"       16  request: offset u64; reply: status u64, 0 is success
//   4  version u16, 1     24  length u32: of the body; of a read request, of what is wanted
//   6  operation u16      28  CRC-32 of the head before it and the body
//   8  sequence u64
//
// Operations: 1 open (body: the token; the reply's body: the disk's size, u64), 2 read, 3 close; a
// reply has 0x8000 added, and its request's sequence. Sequences count from 1. Read requests have no
// body. The server closes when it has sent the last byte of the disk.
#include <fmt/core.h>

#include <array>
#include <cstring>
#include <vector>

#include "hamal/platform/fusioncompute/vna_codec.hpp"
#include "hamal/util/error.hpp"

namespace hamal::fusioncompute {
namespace {

constexpr std::array<std::byte, 4> k_magic{std::byte{'H'}, std::byte{'V'}, std::byte{'N'},
                                           std::byte{'A'}};
constexpr std::uint16_t k_version = 1;
constexpr std::uint16_t k_reply = 0x8000;
constexpr std::size_t k_head = 32;
constexpr std::size_t k_covered = 28;

enum class Operation : std::uint16_t { open = 1, read = 2, close = 3 };

using Head = std::array<std::byte, k_head>;

template <typename Value>
void put(Head& head, std::size_t at, Value value) {
  for (std::size_t i = 0; i < sizeof value; ++i) {
    head[at + i] = static_cast<std::byte>((static_cast<std::uint64_t>(value) >> (8 * i)) & 0xffU);
  }
}

template <typename Value>
Value get(std::span<const std::byte> bytes, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(Value); ++i) {
    value |= std::to_integer<std::uint64_t>(bytes[at + i]) << (8 * i);
  }
  return static_cast<Value>(value);
}

class ProjectCodec final : public VnaCodec {
 public:
  explicit ProjectCodec(std::string object) : m_object(std::move(object)) {}

  std::uint64_t open(ByteStream& stream, const std::string& token) override {
    const auto body = std::as_bytes(std::span(token));
    ask(stream, Operation::open, 0, static_cast<std::uint32_t>(body.size()), body);
    std::array<std::byte, 8> size;
    take(stream, Operation::open, size);
    return get<std::uint64_t>(size, 0);
  }

  void read(ByteStream& stream, std::uint64_t offset, std::span<std::byte> into) override {
    ask(stream, Operation::read, offset, static_cast<std::uint32_t>(into.size()), {});
    take(stream, Operation::read, into);
  }

  void close(ByteStream& stream) override {
    ask(stream, Operation::close, 0, 0, {});
    take(stream, Operation::close, {});
  }

 private:
  void ask(ByteStream& stream, Operation operation, std::uint64_t offset, std::uint32_t length,
           std::span<const std::byte> body) {
    Head head{};
    std::copy(k_magic.begin(), k_magic.end(), head.begin());
    put(head, 4, k_version);
    put(head, 6, static_cast<std::uint16_t>(operation));
    put(head, 8, ++m_sequence);
    put(head, 16, offset);
    put(head, 24, length);
    put(head, 28, crc32(body, crc32(std::span(head).first(k_covered))));
    std::vector<std::byte> frame(head.begin(), head.end());
    frame.insert(frame.end(), body.begin(), body.end());
    stream.write(frame);
  }

  void take(ByteStream& stream, Operation operation, std::span<std::byte> body) {
    Head head;
    stream.read(head);
    const auto wanted = static_cast<std::uint16_t>(static_cast<unsigned>(operation) | k_reply);
    if (!std::equal(k_magic.begin(), k_magic.end(), head.begin())) {
      throw refused("it is no frame of hamal's codec", Transience::permanent);
    }
    if (get<std::uint16_t>(head, 4) != k_version) {
      throw refused("it is of another version", Transience::permanent);
    }
    if (get<std::uint16_t>(head, 6) != wanted || get<std::uint64_t>(head, 8) != m_sequence) {
      throw refused(
          fmt::format("it answers request {} and not {}", get<std::uint64_t>(head, 8), m_sequence),
          Transience::transient);
    }
    const auto status = get<std::uint64_t>(head, 16);
    const auto length = get<std::uint32_t>(head, 24);
    if (status != 0) {
      throw refused(fmt::format("it refuses with status {}", status), Transience::transient);
    }
    if (length != body.size()) {
      throw refused(fmt::format("it has {} bytes, and {} were asked for", length, body.size()),
                    Transience::transient);
    }
    stream.read(body);
    if (get<std::uint32_t>(head, 28) != crc32(body, crc32(std::span(head).first(k_covered)))) {
      throw refused("its checksum is wrong", Transience::transient);
    }
  }

  Error refused(const std::string& why, Transience transience) const {
    return {ErrorKind::failed, "a reply on the socket is not good: " + why, m_object,
            "vna_socket speaks hamal's own frames: hamal-fusioncompute(7), THE SOCKET", transience};
  }

  std::string m_object;
  std::uint64_t m_sequence = 0;
};

}  // namespace

std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t crc) {
  static const std::array<std::uint32_t, 256> table = [] {
    std::array<std::uint32_t, 256> result{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) {
        value = (value >> 1U) ^ ((value & 1U) != 0 ? 0xEDB88320U : 0U);
      }
      result[i] = value;
    }
    return result;
  }();
  crc = ~crc;
  for (const std::byte one : bytes) {
    crc = (crc >> 8U) ^ table[(crc ^ std::to_integer<std::uint32_t>(one)) & 0xffU];
  }
  return ~crc;
}

std::unique_ptr<VnaCodec> make_project_codec(std::string object) {
  return std::make_unique<ProjectCodec>(std::move(object));
}

}  // namespace hamal::fusioncompute
