// One connection per backup resource, so one queue. The server closes when it has sent the end of
// the disk; it may close whenever it likes: between two reads a new resource is prepared without a
// word, within one the read fails for the time being.
#include "hamal/platform/fusioncompute/vna_reader.hpp"

#include <fmt/core.h>

#include <mutex>
#include <optional>
#include <utility>

#include "hamal/extent/sources.hpp"
#include "hamal/net/socket_stream.hpp"
#include "hamal/platform/fusioncompute/prepared_resource.hpp"
#include "hamal/platform/fusioncompute/vna_codec.hpp"
#include "hamal/util/error.hpp"

namespace hamal::fusioncompute {
namespace {

constexpr std::uint32_t k_request = 1U << 20U;

struct VnaDisk {
  std::shared_ptr<VrmClient> client;
  Settings settings;
  FrozenDisk frozen;
  PlatformContext context;
  std::uint64_t size = 0;  ///< bytes
  std::string uri;
};

/// A slot of the host, and the connection of a backup resource. Thread-safe: reads take turns.
class Connection {
 public:
  /// Waits for both.
  Connection(const VnaDisk& disk, const HostSlots& slots)
      : m_disk(disk),
        m_slot(slots.take({.host = disk.frozen.machine.host_urn,
                           .of_host = disk.settings.vna.disks_per_host,
                           .object = disk.frozen.object()})) {
    connect();
  }
  ~Connection() {
    if (m_stream && !m_stream->peer_has_closed()) {
      try {
        m_codec->close(*m_stream);
      } catch (const std::exception&) {  // NOLINT: the resource goes anyway
      }
    }
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void read(std::uint64_t offset, std::span<std::byte> into) {
    const std::lock_guard lock(m_mutex);
    connect();
    try {
      m_codec->read(*m_stream, offset, into);
    } catch (...) {
      m_stream.reset();
      throw;
    }
  }

 private:
  void connect() {
    if (m_stream && !m_stream->peer_has_closed()) {
      return;
    }
    m_stream.reset();
    m_resource.reset();
    m_resource.emplace(m_disk.client, m_disk.settings, m_disk.frozen, m_disk.context);
    const BackupResource& at = m_resource->address();
    const bool secure = m_disk.settings.vna.transport == Transport::lanssl;
    auto stream = open_socket({.host = at.host,
                               .port = at.port,
                               .security = secure ? StreamSecurity::tls : StreamSecurity::plain,
                               .ca_pem = at.ca_pem},
                              m_disk.context.cancel);
    m_codec = make_project_codec(m_disk.uri);
    const std::uint64_t size = m_codec->open(*stream, at.token);
    if (size != m_disk.size) {
      throw Error(ErrorKind::failed,
                  fmt::format("the socket gives a disk of {} bytes, and the snapshot's has {}",
                              size, m_disk.size),
                  m_disk.uri, "make a new snapshot");
    }
    m_stream = std::move(stream);
  }

  const VnaDisk& m_disk;
  HostSlot m_slot;  // kept while a resource is replaced: a sibling would take it for hours
  std::optional<PreparedResource> m_resource;  // goes after the connection
  std::unique_ptr<VnaCodec> m_codec;
  std::unique_ptr<ByteStream> m_stream;
  std::mutex m_mutex;
};

class VnaQueue final : public ReadQueue {
 public:
  explicit VnaQueue(Connection& connection) : m_connection(connection) {}
  void add_poll_fds(std::vector<pollfd>& /*fds*/) const override {}
  void progress() override {}
  void read(std::uint64_t offset, std::span<std::byte> into, IoCompletion& done) override {
    complete_at_once(done, [&] { m_connection.read(offset, into); });
  }

 private:
  Connection& m_connection;
};

class VnaReader final : public BlockReader {
 public:
  VnaReader(VnaDisk disk, const HostSlots& slots) : m_disk(std::move(disk)), m_slots(slots) {}

  const std::string& uri() const noexcept override { return m_disk.uri; }
  std::uint64_t size() const noexcept override { return m_disk.size; }
  std::unique_ptr<ReadQueue> open_queue() override {
    const std::lock_guard lock(m_mutex);
    if (!m_connection) {
      m_connection = std::make_unique<Connection>(m_disk, m_slots);
    }
    return std::make_unique<VnaQueue>(*m_connection);
  }
  unsigned max_queues() const noexcept override { return 1; }
  std::uint32_t max_request() const noexcept override { return k_request; }
  std::uint32_t preferred_request() const noexcept override { return k_request; }
  ExtentSourcePtr allocated() override { return whole_disk(m_disk.size, ExtentKind::data); }

 private:
  VnaDisk m_disk;
  HostSlots m_slots;
  std::mutex m_mutex;
  std::unique_ptr<Connection> m_connection;  // as long as the reader: its queues need it
};

}  // namespace

std::unique_ptr<BlockReader> open_vna_reader(std::shared_ptr<VrmClient> client,
                                             const Settings& settings, const FrozenDisk& frozen,
                                             std::uint64_t size, const std::string& uri,
                                             const HostSlots& slots,
                                             const PlatformContext& context) {
  if (settings.vna.local_ip.empty()) {
    throw Error(ErrorKind::usage,
                "the platform wants to know the address of this host to read over the socket",
                settings.endpoint.object,
                "set local_host_ip in [fusion_compute] to the one that its hosts reach");
  }
  return std::make_unique<VnaReader>(VnaDisk{.client = std::move(client),
                                             .settings = settings,
                                             .frozen = frozen,
                                             .context = context,
                                             .size = size,
                                             .uri = uri},
                                     slots);
}

}  // namespace hamal::fusioncompute
