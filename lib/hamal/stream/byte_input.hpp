// Buffered reading of a descriptor that counts where it is. Private to stream/.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hamal {

/// What has been read of it at once, 0 at the end. Waits as long as it takes, but throws as soon as
/// the process's CancelToken is requested.
std::size_t read_some(int fd, char* into, std::size_t size, const std::string& name);

class ByteInput {
 public:
  ByteInput(int fd, std::string name, std::string_view prefix);

  const std::string& name() const noexcept { return m_name; }
  /// What is there without reading; valid until the next fill() or read_more().
  std::string_view buffered() const noexcept {
    return {m_buffer.data() + m_begin, m_end - m_begin};
  }
  /// Reads until at least `want` bytes are buffered or the input ends.
  std::string_view fill(std::size_t want);
  /// One read; false at the end of the input.
  bool read_more(std::size_t room = 1);
  /// Leaves what consume() passed valid until the next fill() or read_more().
  void consume(std::size_t count) noexcept {
    m_begin += count;
    m_position += count;
  }
  /// Bytes consumed so far.
  std::uint64_t position() const noexcept { return m_position; }

 private:
  int m_fd;
  std::string m_name;
  std::vector<char> m_buffer;
  std::size_t m_begin = 0;
  std::size_t m_end = 0;
  std::uint64_t m_position = 0;
};

}  // namespace hamal
