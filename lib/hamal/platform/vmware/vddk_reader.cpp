#include "hamal/platform/vmware/vddk_reader.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>

#include "hamal/block/nbd_reader.hpp"
#include "hamal/extent/spool.hpp"
#include "hamal/extent/validate.hpp"
#include "hamal/net/thumbprint.hpp"
#include "hamal/platform/vmware/nbdkit_process.hpp"
#include "hamal/util/error.hpp"

namespace hamal::vmware {
namespace {

/// More in one request a vCenter does not pass on.
constexpr std::uint32_t k_largest_request = 2U << 20U;
constexpr std::uint32_t k_sector = 512;

struct VddkDisk {
  NbdkitCommand command;  ///< without the password
  SecretReference secret;
  std::string secret_name;  ///< for messages
  SlotWish slot;
  std::string uri;
  std::uint64_t size = 0;         ///< bytes
  std::uint32_t max_request = 0;  ///< bytes
};

/// An nbdkit that has the disk open, and the slot that it takes.
struct Serving {
  VddkSlot slot;
  std::unique_ptr<NbdkitProcess> process;
  std::unique_ptr<NbdReader> reader;
};

/// Opens the disk when somebody begins to read, who may wait for a slot then: not when it is only
/// named, with the run's other disks held up. Thread-safe.
class Opening {
 public:
  Opening(VddkDisk disk, const VddkSlots& slots, const CancelToken& cancel)
      : m_disk(std::move(disk)), m_slots(slots), m_cancel(cancel) {}

  const VddkDisk& disk() const noexcept { return m_disk; }

  /// The one that is in use, else a new one. It ends with its last user.
  std::shared_ptr<Serving> serving() {
    const std::lock_guard lock(m_mutex);
    auto serving = m_serving.lock();
    if (!serving) {
      serving = open();
      m_serving = serving;
    }
    return serving;
  }

 private:
  std::shared_ptr<Serving> open() {
    NbdkitCommand command = m_disk.command;
    auto serving = std::make_shared<Serving>(
        Serving{.slot = m_slots.take(m_disk.slot), .process = nullptr, .reader = nullptr});
    command.password = resolve_secret(m_disk.secret, m_disk.secret_name);
    serving->process = std::make_unique<NbdkitProcess>(command, m_cancel);
    connect(*serving);
    if (serving->reader->size() != m_disk.size) {
      throw Error(ErrorKind::failed,
                  fmt::format("VDDK opens a disk of {} bytes, and the snapshot's has {}",
                              serving->reader->size(), m_disk.size),
                  m_disk.uri, "make a new snapshot");
    }
    if (serving->reader->max_request() < m_disk.max_request) {
      throw Error(
          ErrorKind::usage,
          fmt::format("nbdkit takes requests of {} bytes at most, not of {}",
                      serving->reader->max_request(), m_disk.max_request),
          m_disk.uri,
          fmt::format("[vmware] max_read_blocks = {}", serving->reader->max_request() / k_sector));
    }
    return serving;
  }

  /// VDDK opens the disk now.
  void connect(Serving& serving) const {
    try {
      serving.reader = std::make_unique<NbdReader>(serving.process->uri(),
                                                   std::vector<std::string>{}, &m_cancel);
    } catch (const Error& error) {
      const std::string words = serving.process->last_words();
      if (error.kind() != ErrorKind::failed || words.empty()) {
        throw;
      }
      throw Error(ErrorKind::failed, "VDDK does not open the disk: " + words, m_disk.uri,
                  "check ports, rights and thumbprint: hamal-vmware(7), READING DISKS",
                  Transience::transient);
    }
  }

  VddkDisk m_disk;
  VddkSlots m_slots;
  const CancelToken& m_cancel;
  std::mutex m_mutex;
  std::weak_ptr<Serving> m_serving;
};

/// Asked for all at once and kept in a file: lists of several disks are read in turns, and each in
/// its turn would keep its slot from the next.
class AllocatedExtents final : public ExtentSource {
 public:
  explicit AllocatedExtents(std::shared_ptr<Opening> opening) : m_opening(std::move(opening)) {}

  bool next(std::vector<Extent>& window) override {
    if (m_opening) {
      m_extents = ask(*m_opening);
      m_opening.reset();
    }
    return m_extents->next(window);
  }

 private:
  static ExtentSourcePtr ask(Opening& opening) {
    const auto serving = opening.serving();
    const VddkDisk& disk = opening.disk();
    const auto told =
        validate(serving->reader->allocated(), disk.size, "what VDDK says of " + disk.uri);
    const std::filesystem::path file = serving->process->directory() / "allocated";
    spool_extents(file, disk.size, *told);
    return Spool(file).extents();
  }

  std::shared_ptr<Opening> m_opening;
  ExtentSourcePtr m_extents;
};

class VddkReader final : public BlockReader {
 public:
  explicit VddkReader(std::shared_ptr<Opening> opening) : m_opening(std::move(opening)) {}

  const std::string& uri() const noexcept override { return m_opening->disk().uri; }
  std::uint64_t size() const noexcept override { return m_opening->disk().size; }
  std::unique_ptr<ReadQueue> open_queue() override {
    const auto serving = m_opening->serving();
    {
      const std::lock_guard lock(m_mutex);
      m_serving = serving;  // as long as the reader: its queues need it
    }
    return serving->reader->open_queue();
  }
  unsigned max_queues() const noexcept override { return 1; }
  std::uint32_t max_request() const noexcept override { return m_opening->disk().max_request; }
  std::uint32_t preferred_request() const noexcept override { return max_request(); }
  ExtentSourcePtr allocated() override { return std::make_unique<AllocatedExtents>(m_opening); }

 private:
  std::shared_ptr<Opening> m_opening;
  std::mutex m_mutex;
  std::shared_ptr<Serving> m_serving;
};

/// HOST[:PORT]
std::string host_of(const Settings& settings) {
  constexpr std::string_view k_scheme = "https://";
  return settings.endpoint.base.substr(k_scheme.size());
}

std::string without_port(const std::string& host) {
  const std::size_t colon = host.rfind(':');
  return colon == std::string::npos || host.back() == ']' ? host : host.substr(0, colon);
}

}  // namespace

std::vector<std::string> vddk_parameters(const Settings& settings, const Machine& machine,
                                         const ManagedObject& snapshot, const Disk& disk) {
  constexpr std::size_t k_sha1_digits = 40;
  if (settings.endpoint.thumbprint.size() != k_sha1_digits) {
    throw Error(ErrorKind::usage, "VDDK needs thumbprint, the certificate's SHA-1",
                settings.endpoint.object,
                "`openssl x509 -noout -fingerprint -sha1` prints it; compare it on the server");
  }
  const std::string host = host_of(settings);
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

std::unique_ptr<BlockReader> open_vddk_reader(const Settings& settings, ApiType server,
                                              const Machine& machine, const ManagedObject& snapshot,
                                              const Disk& disk, const std::string& uri,
                                              std::uint32_t max_request, const VddkSlots& slots,
                                              const CancelToken& cancel) {
  const std::string name = machine.name + "/" + disk.id();
  VddkDisk wanted{
      .command = {.program = settings.vddk.nbdkit,
                  .plugin = settings.vddk.plugin,
                  .parameters = vddk_parameters(settings, machine, snapshot, disk),
                  .password = {},
                  .object = uri},
      .secret = settings.endpoint.secret,
      .secret_name = settings.endpoint.object + " secret",
      .slot = {.server = host_of(settings),
               .host = machine.host,
               .of_host = settings.vddk.connections_per_host,
               .through_server = server == ApiType::vcenter ? settings.vddk.connections : 0,
               .object = name},
      .uri = uri,
      .size = disk.size,
      .max_request = std::min(max_request, k_largest_request)};
  return std::make_unique<VddkReader>(std::make_shared<Opening>(std::move(wanted), slots, cancel));
}

}  // namespace hamal::vmware
