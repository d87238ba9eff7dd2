// An NBD server that answers block_status with what a test makes up.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "hamal/util/unique_fd.hpp"

namespace hamal {

/// Serves one connection of one export: fixed newstyle handshake, structured
/// replies, base:allocation.
class LyingServer {
 public:
  enum class Over { unix_socket, tcp };
  using Entries = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

  /// Each block_status request takes the next of `replies` (the last again and again).
  LyingServer(std::uint64_t size, std::vector<Entries> replies, Over over = Over::unix_socket);
  ~LyingServer();
  const std::string& uri() const { return m_uri; }

 private:
  int bind_to_path();
  int bind_to_loopback();
  void serve();
  void handshake(int fd);
  void transmission(int fd);

  std::uint64_t m_size;
  std::vector<Entries> m_replies;
  std::filesystem::path m_directory;
  std::string m_uri;
  UniqueFd m_listener;
  std::thread m_thread;
};

}  // namespace hamal
