#include "hamal/platform/vmware/vddk_reader.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "hamal/block/nbd_reader.hpp"
#include "hamal/net/thumbprint.hpp"
#include "hamal/platform/vmware/nbdkit_process.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal::vmware {
namespace {

constexpr int k_slot_pause_ms = 200;
/// More in one request a vCenter does not pass on.
constexpr std::uint32_t k_largest_request = 2U << 20U;

/// An nbdkit, and the host's slot that it takes.
struct Serving {
  FileLock slot;
  std::unique_ptr<NbdkitProcess> process;
};

/// Extents that keep what they are asked of: they may outlive their reader.
class ServedExtents final : public ExtentSource {
 public:
  ServedExtents(std::shared_ptr<Serving> serving, ExtentSourcePtr extents)
      : m_serving(std::move(serving)), m_extents(std::move(extents)) {}
  bool next(std::vector<Extent>& window) override { return m_extents->next(window); }

 private:
  std::shared_ptr<Serving> m_serving;
  ExtentSourcePtr m_extents;
};

class VddkReader final : public BlockReader {
 public:
  VddkReader(std::shared_ptr<Serving> serving, std::unique_ptr<NbdReader> reader, std::string uri,
             std::uint32_t max_request)
      : m_serving(std::move(serving)),
        m_reader(std::move(reader)),
        m_uri(std::move(uri)),
        m_max_request(std::min({max_request, k_largest_request, m_reader->max_request()})) {}

  const std::string& uri() const noexcept override { return m_uri; }
  std::uint64_t size() const noexcept override { return m_reader->size(); }
  std::unique_ptr<ReadQueue> open_queue() override { return m_reader->open_queue(); }
  unsigned max_queues() const noexcept override { return 1; }
  std::uint32_t max_request() const noexcept override { return m_max_request; }
  std::uint32_t preferred_request() const noexcept override { return m_max_request; }
  ExtentSourcePtr allocated() override {
    return std::make_unique<ServedExtents>(m_serving, m_reader->allocated());
  }

 private:
  std::shared_ptr<Serving> m_serving;
  std::unique_ptr<NbdReader> m_reader;
  std::string m_uri;
  std::uint32_t m_max_request;
};

std::string without_port(const std::string& host) {
  const std::size_t colon = host.rfind(':');
  return colon == std::string::npos || host.back() == ']' ? host : host.substr(0, colon);
}

}  // namespace

FileLock take_host_slot(const std::string& lib_dir, const std::string& host, unsigned slots,
                        const CancelToken& cancel) {
  const std::filesystem::path directory = std::filesystem::path(lib_dir) / "vddk";
  for (;;) {
    for (unsigned slot = 0; slot < slots; ++slot) {
      try {
        return {directory / fmt::format("{}.{}", percent_encode(host), slot),
                "a slot of " + host,
                {.run_id = {}, .tool = "vddk"},
                std::chrono::milliseconds(0),
                cancel};
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::busy) {
          throw;
        }
      }
    }
    cancel.sleep_ms(k_slot_pause_ms);
  }
}

std::vector<std::string> vddk_parameters(const Settings& settings, const Machine& machine,
                                         const ManagedObject& snapshot, const Disk& disk) {
  constexpr std::size_t k_sha1_digits = 40;
  if (settings.endpoint.thumbprint.size() != k_sha1_digits) {
    throw Error(ErrorKind::usage, "VDDK needs thumbprint, the certificate's SHA-1",
                settings.endpoint.object,
                "`openssl x509 -noout -fingerprint -sha1` prints it; compare it on the server");
  }
  constexpr std::string_view k_scheme = "https://";
  const std::string host = settings.endpoint.base.substr(k_scheme.size());
  std::vector<std::string> parameters{"server=" + without_port(host),
                                      "user=" + settings.endpoint.user,
                                      "thumbprint=" + show_thumbprint(settings.endpoint.thumbprint),
                                      "vm=moref=" + machine.object.id,
                                      "snapshot=" + snapshot.id,
                                      "file=" + disk.file,
                                      "transports=" + settings.vddk.transports};
  if (without_port(host) != host) {
    parameters.push_back("port=" + host.substr(without_port(host).size() + 1));
  }
  if (!settings.vddk.libdir.empty()) {
    parameters.push_back("libdir=" + settings.vddk.libdir);
  }
  return parameters;
}

std::unique_ptr<BlockReader> open_vddk_reader(const Settings& settings, const Machine& machine,
                                              const ManagedObject& snapshot, const Disk& disk,
                                              const std::string& uri, const std::string& lib_dir,
                                              std::uint32_t max_request,
                                              const CancelToken& cancel) {
  NbdkitCommand command{
      .program = settings.vddk.nbdkit,
      .plugin = settings.vddk.plugin,
      .parameters = vddk_parameters(settings, machine, snapshot, disk),
      .password = resolve_secret(settings.endpoint.secret, settings.endpoint.object + " secret"),
      .object = uri};
  auto serving = std::make_shared<Serving>(Serving{
      .slot = take_host_slot(lib_dir, machine.host, settings.vddk.connections_per_host, cancel),
      .process = nullptr});
  serving->process = std::make_unique<NbdkitProcess>(command, cancel);
  std::unique_ptr<NbdReader> reader;
  try {
    // VDDK opens the disk now.
    reader =
        std::make_unique<NbdReader>(serving->process->uri(), std::vector<std::string>{}, &cancel);
  } catch (const Error& error) {
    const std::string words = serving->process->last_words();
    if (error.kind() != ErrorKind::failed || words.empty()) {
      throw;
    }
    throw Error(ErrorKind::failed, "VDDK does not open the disk: " + words, uri,
                "check ports, rights and thumbprint: hamal-vmware(7), READING DISKS",
                Transience::transient);
  }
  if (reader->size() != disk.size) {
    throw Error(ErrorKind::failed,
                fmt::format("VDDK opens a disk of {} bytes, and the snapshot's has {}",
                            reader->size(), disk.size),
                uri, "make a new snapshot");
  }
  return std::make_unique<VddkReader>(std::move(serving), std::move(reader), uri, max_request);
}

}  // namespace hamal::vmware
