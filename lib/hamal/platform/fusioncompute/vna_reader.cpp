// One connection per backup resource, so one queue. The server closes when it has sent the end of
// the disk; it may close whenever it likes: between two reads a new resource is prepared without a
// word, within one the read fails for the time being.
#include "hamal/platform/fusioncompute/vna_reader.hpp"

#include <fmt/core.h>

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

class VnaReader final : public BlockReader {
 public:
  VnaReader(std::shared_ptr<VrmClient> vrm, const Settings& all_settings,
            const FrozenDisk& frozen_disk, std::uint64_t size, std::string uri,
            const PlatformContext& platform)
      : client(std::move(vrm)),
        settings(all_settings),
        frozen(frozen_disk),
        context(platform),
        m_size(size),
        m_uri(std::move(uri)) {}

  const std::string& uri() const noexcept override { return m_uri; }
  std::uint64_t size() const noexcept override { return m_size; }
  std::unique_ptr<ReadQueue> open_queue() override;
  unsigned max_queues() const noexcept override { return 1; }
  std::uint32_t max_request() const noexcept override { return k_request; }
  std::uint32_t preferred_request() const noexcept override { return k_request; }
  ExtentSourcePtr allocated() override { return whole_disk(m_size, ExtentKind::data); }

  const std::shared_ptr<VrmClient> client;
  const Settings settings;
  const FrozenDisk frozen;
  const PlatformContext context;

 private:
  std::uint64_t m_size;
  std::string m_uri;
};

class VnaQueue final : public ReadQueue {
 public:
  explicit VnaQueue(VnaReader& reader) : m_reader(reader) {}
  ~VnaQueue() override {
    if (m_stream && !m_stream->peer_has_closed()) {
      try {
        m_codec->close(*m_stream);
      } catch (const std::exception&) {  // NOLINT: the resource goes anyway
      }
    }
  }
  VnaQueue(const VnaQueue&) = delete;
  VnaQueue& operator=(const VnaQueue&) = delete;

  void add_poll_fds(std::vector<pollfd>& /*fds*/) const override {}
  void progress() override {}
  void read(std::uint64_t offset, std::span<std::byte> into, IoCompletion& done) override {
    complete_at_once(done, [&] {
      connect();
      try {
        m_codec->read(*m_stream, offset, into);
      } catch (...) {
        m_stream.reset();
        throw;
      }
    });
  }

 private:
  void connect() {
    if (m_stream && !m_stream->peer_has_closed()) {
      return;
    }
    m_stream.reset();
    m_resource.reset();
    m_resource.emplace(m_reader.client, m_reader.settings, m_reader.frozen, m_reader.context);
    const BackupResource& at = m_resource->address();
    const bool secure = m_reader.settings.vna.transport == Transport::lanssl;
    auto stream = open_socket({.host = at.host,
                               .port = at.port,
                               .security = secure ? StreamSecurity::tls : StreamSecurity::plain,
                               .ca_pem = at.ca_pem},
                              m_reader.context.cancel);
    m_codec = make_project_codec(m_reader.uri());
    const std::uint64_t size = m_codec->open(*stream, at.token);
    if (size != m_reader.size()) {
      throw Error(ErrorKind::failed,
                  fmt::format("the socket gives a disk of {} bytes, and the snapshot's has {}",
                              size, m_reader.size()),
                  m_reader.uri(), "make a new snapshot");
    }
    m_stream = std::move(stream);
  }

  VnaReader& m_reader;
  std::optional<PreparedResource> m_resource;  // goes after the connection
  std::unique_ptr<VnaCodec> m_codec;
  std::unique_ptr<ByteStream> m_stream;
};

std::unique_ptr<ReadQueue> VnaReader::open_queue() {
  return std::make_unique<VnaQueue>(*this);
}

}  // namespace

std::unique_ptr<BlockReader> open_vna_reader(std::shared_ptr<VrmClient> client,
                                             const Settings& settings, const FrozenDisk& frozen,
                                             std::uint64_t size, const std::string& uri,
                                             const PlatformContext& context) {
  if (settings.vna.local_ip.empty()) {
    throw Error(ErrorKind::usage,
                "the platform wants to know the address of this host to read over the socket",
                settings.endpoint.object,
                "set local_host_ip in [fusion_compute] to the one that its hosts reach");
  }
  return std::make_unique<VnaReader>(std::move(client), settings, frozen, size, uri, context);
}

}  // namespace hamal::fusioncompute
