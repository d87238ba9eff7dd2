// A version's disk as a BlockReader.
#include "hamal/repository/version_reader.hpp"

#include <utility>

#include "hamal/extent/algebra.hpp"
#include "hamal/repository/read_workers.hpp"
#include "hamal/util/error.hpp"

namespace hamal::repository {
namespace {

constexpr unsigned k_max_queues = 64;
constexpr std::uint32_t k_max_request = 32U << 20;
constexpr std::uint32_t k_preferred_request = 1U << 20;

class VersionReadQueue final : public ReadQueue {
 public:
  explicit VersionReadQueue(ReadWorkers& workers) : m_workers(workers) {}
  ~VersionReadQueue() override { m_workers.withdraw(m_finished); }
  VersionReadQueue(const VersionReadQueue&) = delete;
  VersionReadQueue& operator=(const VersionReadQueue&) = delete;

  void add_poll_fds(std::vector<pollfd>& fds) const override {
    fds.push_back({m_finished.poll_fd(), POLLIN, 0});
  }
  void progress() override { m_finished.deliver(); }
  void read(std::uint64_t offset, std::span<std::byte> into, IoCompletion& done) override {
    m_workers.submit(m_finished, offset, into, done);
  }

 private:
  ReadWorkers& m_workers;
  FinishedReads m_finished;
};

/// Extents that keep the repository, whose layers they are read from.
class KeptExtents final : public ExtentSource {
 public:
  KeptExtents(std::shared_ptr<Repository> repository, ExtentSourcePtr extents)
      : m_repository(std::move(repository)), m_extents(std::move(extents)) {}
  bool next(std::vector<Extent>& window) override { return m_extents->next(window); }

 private:
  std::shared_ptr<Repository> m_repository;
  ExtentSourcePtr m_extents;
};

class VersionReader final : public BlockReader {
 public:
  VersionReader(std::shared_ptr<Repository> repository, VersionDisk disk, std::uint64_t memory)
      : m_repository(std::move(repository)),
        m_disk(std::move(disk)),
        m_packs(*m_repository, m_disk.layers, memory),
        m_workers(*m_repository, m_disk.layers, m_packs, m_disk.name) {}

  const std::string& uri() const noexcept override { return m_disk.uri; }
  std::uint64_t size() const noexcept override { return m_disk.size; }
  std::unique_ptr<ReadQueue> open_queue() override {
    return std::make_unique<VersionReadQueue>(m_workers);
  }
  unsigned max_queues() const noexcept override { return k_max_queues; }
  std::uint32_t max_request() const noexcept override { return k_max_request; }
  std::uint32_t preferred_request() const noexcept override { return k_preferred_request; }
  ExtentSourcePtr allocated() override {
    return std::make_unique<KeptExtents>(
        m_repository, coalesce(fill_gaps(extents_of(visible_entries(m_disk.layers)), m_disk.size)));
  }

 private:
  std::shared_ptr<Repository> m_repository;
  VersionDisk m_disk;
  PackReader m_packs;
  ReadWorkers m_workers;  // last: its threads use the rest
};

}  // namespace

std::unique_ptr<BlockReader> open_version_reader(std::shared_ptr<Repository> repository,
                                                 VersionDisk disk, std::uint64_t memory) {
  if (!repository->keyring().can_read_records()) {
    throw Error(ErrorKind::usage, "is encrypted, and no private key is configured", disk.uri,
                "name one: private_key in the section [repository] of hamal.conf");
  }
  return std::make_unique<VersionReader>(std::move(repository), std::move(disk), memory);
}

}  // namespace hamal::repository
