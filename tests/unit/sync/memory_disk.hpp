// A disk in memory whose queues complete later and out of order, as a network's do: for the
// engine's own tests.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <mutex>
#include <random>
#include <set>
#include <vector>

#include "hamal/block/block_reader.hpp"
#include "hamal/block/block_writer.hpp"
#include "hamal/extent/sources.hpp"
#include "hamal/util/error.hpp"

namespace hamal::test {

enum class Completion { at_once, later_shuffled };

/// The bytes and faults of a disk; shared by the reader and writer over it.
struct MemoryDisk {
  explicit MemoryDisk(std::size_t size, Completion how = Completion::later_shuffled)
      : bytes(size), completion(how) {}
  std::vector<std::byte> bytes;
  Completion completion;
  /// A request that touches this offset fails; none when larger than the disk.
  std::size_t bad_offset = ~std::size_t{0};
  bool all_bad = false;
  std::uint32_t preferred = 256U << 10;  ///< as the reader says it
  Transience bad = Transience::permanent;
  ErrorKind bad_kind = ErrorKind::failed;
  std::atomic<std::uint64_t> reads{0};
  std::atomic<std::uint64_t> writes{0};
  std::atomic<std::uint64_t> zeros{0};
  std::atomic<int> flushes{0};
  std::mutex mutex;
  std::set<std::size_t> written_blocks;  // 4 KiB blocks ever written or zeroed

  void touch(std::size_t offset, std::size_t length) {
    const std::lock_guard lock(mutex);
    for (std::size_t block = offset / 4096; block * 4096 < offset + length; ++block) {
      written_blocks.insert(block);
    }
  }
  bool is_bad(std::size_t offset, std::size_t length) const {
    return all_bad || (bad_offset >= offset && bad_offset < offset + length);
  }
};

/// What both kinds of queue share: operations performed at once or in a random order later.
class Deferred {
 public:
  explicit Deferred(Completion how) : m_how(how) {}
  template <typename Operation>
  void run(Operation operation, IoCompletion& done) {
    if (m_how == Completion::at_once) {
      done.io_done(operation());
    } else {
      m_pending.push_back({operation, &done});
    }
  }
  void progress() {
    std::shuffle(m_pending.begin(), m_pending.end(), m_random);
    auto ready = std::move(m_pending);
    m_pending.clear();
    const std::size_t now = (ready.size() + 1) / 2;
    for (std::size_t i = now; i < ready.size(); ++i) {
      m_pending.push_back(ready[i]);
    }
    for (std::size_t i = 0; i < now; ++i) {
      ready[i].done->io_done(ready[i].operation());
    }
  }
  // Always ready: an eventfd-free way to make poll() return at once.
  void add_poll_fds(std::vector<pollfd>& fds) const {
    if (!m_pending.empty()) {
      fds.push_back({1, POLLOUT, 0});
    }
  }

 private:
  struct Entry {
    std::function<std::exception_ptr()> operation;
    IoCompletion* done;
  };
  Completion m_how;
  std::vector<Entry> m_pending;
  std::mt19937 m_random{42};
};

class MemoryReader final : public BlockReader {
 public:
  explicit MemoryReader(MemoryDisk& disk) : m_disk(disk) {}
  const std::string& uri() const noexcept override { return m_uri; }
  std::uint64_t size() const noexcept override { return m_disk.bytes.size(); }
  unsigned max_queues() const noexcept override { return 16; }
  std::uint32_t max_request() const noexcept override { return 32U << 20; }
  std::uint32_t preferred_request() const noexcept override { return m_disk.preferred; }
  ExtentSourcePtr allocated() override { return whole_disk(size(), ExtentKind::data); }
  std::unique_ptr<ReadQueue> open_queue() override { return std::make_unique<Queue>(m_disk); }

 private:
  class Queue final : public ReadQueue {
   public:
    explicit Queue(MemoryDisk& disk) : m_disk(disk), m_deferred(disk.completion) {}
    void read(std::uint64_t offset, std::span<std::byte> into, IoCompletion& done) override {
      ++m_disk.reads;
      m_deferred.run(
          [this, offset, into]() -> std::exception_ptr {
            if (m_disk.is_bad(offset, into.size())) {
              return std::make_exception_ptr(
                  Error(m_disk.bad_kind, "bad range", "memory", "", m_disk.bad));
            }
            std::memcpy(into.data(), m_disk.bytes.data() + offset, into.size());
            return nullptr;
          },
          done);
    }
    void add_poll_fds(std::vector<pollfd>& fds) const override { m_deferred.add_poll_fds(fds); }
    void progress() override { m_deferred.progress(); }

   private:
    MemoryDisk& m_disk;
    Deferred m_deferred;
  };
  MemoryDisk& m_disk;
  std::string m_uri = "memory:source";
};

class MemoryWriter final : public BlockWriter {
 public:
  explicit MemoryWriter(MemoryDisk& disk) : m_disk(disk) {}
  const std::string& uri() const noexcept override { return m_uri; }
  std::uint64_t size() const noexcept override { return m_disk.bytes.size(); }
  unsigned max_queues() const noexcept override { return 16; }
  std::uint32_t max_request() const noexcept override { return 32U << 20; }
  using BlockWriter::flush;
  void flush(const FlushBounds&) override { ++m_disk.flushes; }
  std::unique_ptr<WriteQueue> open_queue() override { return std::make_unique<Queue>(m_disk); }

 private:
  class Queue final : public WriteQueue {
   public:
    explicit Queue(MemoryDisk& disk) : m_disk(disk), m_deferred(disk.completion) {}
    void write(std::uint64_t offset, std::span<const std::byte> from, IoCompletion& done) override {
      ++m_disk.writes;
      m_deferred.run(
          [this, offset, from]() -> std::exception_ptr {
            if (m_disk.is_bad(offset, from.size())) {
              return std::make_exception_ptr(
                  Error(m_disk.bad_kind, "bad range", "memory", "", m_disk.bad));
            }
            m_disk.touch(offset, from.size());
            std::memcpy(m_disk.bytes.data() + offset, from.data(), from.size());
            return nullptr;
          },
          done);
    }
    void zero(std::uint64_t offset, std::uint64_t length, IoCompletion& done) override {
      ++m_disk.zeros;
      m_deferred.run(
          [this, offset, length]() -> std::exception_ptr {
            m_disk.touch(offset, length);
            std::memset(m_disk.bytes.data() + offset, 0, length);
            return nullptr;
          },
          done);
    }
    void add_poll_fds(std::vector<pollfd>& fds) const override { m_deferred.add_poll_fds(fds); }
    void progress() override { m_deferred.progress(); }

   private:
    MemoryDisk& m_disk;
    Deferred m_deferred;
  };
  MemoryDisk& m_disk;
  std::string m_uri = "memory:target";
};

/// Random bytes, with zero blocks here and there.
inline void fill_random(MemoryDisk& disk, unsigned seed) {
  std::mt19937_64 random(seed);
  for (std::size_t block = 0; block * 4096 < disk.bytes.size(); ++block) {
    if (random() % 4 == 0) {
      continue;
    }
    const std::size_t end = std::min(disk.bytes.size(), (block + 1) * 4096);
    for (std::size_t at = block * 4096; at < end; ++at) {
      disk.bytes[at] = static_cast<std::byte>(random());
    }
  }
}

}  // namespace hamal::test
