// A real Ceph (tests/lab/ceph.sh) for the suites, and images in it.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "hamal/block/endpoint.hpp"
#include "hamal/block/rbd_image.hpp"
#include "hamal/config/config.hpp"
#include "hamal/platform/ceph_clusters.hpp"
#include "held_server.hpp"
#include "servers.hpp"

namespace hamal::testing {

/// Started by the first that asks, ended with the process.
class CephLab {
 public:
  static CephLab& get();
  /// Empty when it can run here.
  static std::string why_missing();

  /// A [ceph NAME] section of it.
  std::string section(const std::string& name = "lab", const std::string& user = "hamal",
                      const std::string& more = {}) const;
  /// Of the pool for all tests.
  Endpoint attach(const std::string& uri);
  /// An image that no other test has: "rbd:POOL/NAME".
  std::string new_uri();
  const HeldServer& server() const { return m_server; }

 private:
  CephLab();
  ScratchDirectory m_scratch;
  HeldServer m_server;
  Config m_config;
  CephClusters m_clusters;
  unsigned m_images = 0;
};

/// Gives rbd: endpoints the lab's cluster; others do not start it.
Endpoint attach_lab(const Endpoint& endpoint);
/// Creates an image and writes what is not zero.
std::string make_image(std::span<const std::byte> content);
void write_image(const std::string& uri, std::uint64_t offset, std::span<const std::byte> data);
void zero_image(const std::string& uri, std::uint64_t offset, std::uint64_t length);
/// Of librbd itself, for what the library has no use for.
void discard_image(const std::string& uri, std::uint64_t offset, std::uint64_t length);
void clone_image(const std::string& parent, const std::string& snapshot, const std::string& child,
                 std::uint64_t features, int order);
void protect_snapshot(const std::string& uri, const std::string& snapshot);
/// The exclusive lock as librbd takes it, of a client that is gone afterwards, as a machine's that
/// has died.
void leave_lock(const std::string& uri, const std::string& cookie);
void flatten_image(const std::string& uri);
void roll_back_image(const std::string& uri, const std::string& snapshot);
void create_image(const std::string& uri, std::uint64_t size, std::uint64_t features, int order);

}  // namespace hamal::testing
