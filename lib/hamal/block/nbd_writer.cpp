// Writing NBD exports: zeros of any length, unaligned edges, one flush for all queues.
#include "hamal/block/nbd_writer.hpp"

#include <libnbd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <list>
#include <utility>
#include <vector>

#include "hamal/block/awaited_io.hpp"
#include "hamal/block/nbd_channel.hpp"
#include "hamal/block/nbd_reader.hpp"
#include "hamal/block/zero_run.hpp"

namespace hamal {
namespace {

/// One WRITE_ZEROES: short enough that a server which writes zeros out still answers now and then.
constexpr std::uint64_t k_max_zero = 1ULL << 30;
/// In .bss: costs no file and no pages until it is used.
constexpr std::array<std::byte, 1U << 20> k_zeros{};

// Looks up now and then: a server that hangs must not make us deaf.
void await_flush(NbdConnection& connection, IoQueue& queue, AwaitedIo& done,
                 const FlushBounds& bounds) {
  constexpr std::chrono::milliseconds k_look_up{100};
  const auto since = std::chrono::steady_clock::now();
  const auto over = [since](std::chrono::milliseconds bound) {
    return bound.count() > 0 && std::chrono::steady_clock::now() - since > bound;
  };
  try {
    while (!done.wait(queue, k_look_up)) {
      if (bounds.cancel != nullptr) {
        bounds.cancel->check();
      }
      if (over(bounds.timeout)) {
        throw flush_too_slow(connection.uri(), bounds.timeout);
      }
      if (over(bounds.outage)) {
        throw Error(ErrorKind::failed, "the NBD server does not answer a flush", connection.uri(),
                    "see whether it or its storage hangs", Transience::transient);
      }
    }
  } catch (...) {
    connection.cut();  // nothing is left under way that would still be waited for
    throw;
  }
}

/// By pieces of a multiple of any block size, but the last one.
class NbdZeroRun final : public ZeroRun {
 public:
  NbdZeroRun(NbdChannel& channel, std::uint64_t offset, std::uint64_t length, IoCompletion& done)
      : ZeroRun(offset, length, done), m_channel(channel) {}

 private:
  std::uint64_t end_of_piece(std::uint64_t at, std::uint64_t end) const override {
    const NbdConnection& connection = m_channel.connection();
    return at + std::min(end - at,
                         connection.can_zero()
                             ? k_max_zero
                             : std::min<std::uint64_t>(k_zeros.size(), connection.max_request()));
  }
  void zero_piece(std::uint64_t at, std::uint64_t length) override {
    if (m_channel.connection().can_zero()) {
      m_channel.zero(at, length, *this);
    } else {
      m_channel.write(at, std::span(k_zeros).first(length), *this);
    }
  }

  NbdChannel& m_channel;
};

}  // namespace

class NbdWriter::Queue final : public WriteQueue {
 public:
  Queue(std::shared_ptr<NbdConnection> connection, std::mutex& edge_mutex)
      : m_size(connection->size()),
        m_mask(connection->min_request() - 1),
        m_edge_mutex(edge_mutex),
        m_channel(std::move(connection)) {}

  void add_poll_fds(std::vector<pollfd>& fds) const override { m_channel.add_poll_fds(fds); }
  void progress() override {
    m_channel.progress();
    m_runs.remove_if([](const NbdZeroRun& run) { return run.finished(); });
  }

  void write(std::uint64_t offset, std::span<const std::byte> from, IoCompletion& done) override {
    if (is_aligned(offset, from.size())) {
      m_channel.write(offset, from, done);
      return;
    }
    Inner inner{};
    if (!write_edges(offset, from.size(), from, inner, done)) {
      return;
    }
    m_channel.write(inner.offset, from.subspan(inner.offset - offset, inner.length), done);
  }

  void zero(std::uint64_t offset, std::uint64_t length, IoCompletion& done) override {
    if (length == 0) {
      m_channel.fail(done, nullptr);
      return;
    }
    Inner inner{offset, length};
    if (!is_aligned(offset, length) && !write_edges(offset, length, {}, inner, done)) {
      return;
    }
    if (m_channel.connection().can_zero() && inner.length <= k_max_zero) {
      m_channel.zero(inner.offset, inner.length, done);
      return;
    }
    m_runs.emplace_back(m_channel, inner.offset, inner.length, done).start();
  }

 private:
  struct Inner {
    std::uint64_t offset;
    std::uint64_t length;
  };

  bool is_aligned(std::uint64_t offset, std::uint64_t length) const {
    const std::uint64_t end = offset + length;
    return (offset & m_mask) == 0 && ((end & m_mask) == 0 || end == m_size);
  }

  /// Writes what does not fill whole blocks at both ends (zeros when `from` is empty), and says
  /// what is left between. False when that was all, or failed: `done` has been told then.
  bool write_edges(std::uint64_t offset, std::uint64_t length, std::span<const std::byte> from,
                   Inner& inner, IoCompletion& done) {
    const std::uint64_t end = offset + length;
    const std::uint64_t first = std::min((offset + m_mask) & ~m_mask, end);
    const std::uint64_t last = end == m_size ? end : std::max(end & ~m_mask, first);
    const auto part = [&](std::uint64_t begin, std::uint64_t to) {
      return from.empty() ? from : from.subspan(begin - offset, to - begin);
    };
    try {
      if (offset < first) {
        change_block(offset, first - offset, part(offset, first));
      }
      if (last < end) {
        change_block(last, end - last, part(last, end));
      }
    } catch (...) {
      m_channel.fail(done, std::current_exception());
      return false;
    }
    inner = {first, last - first};
    if (inner.length == 0) {
      m_channel.fail(done, nullptr);
      return false;
    }
    return true;
  }

  /// Changes a part of one block by reading and writing all of it.
  void change_block(std::uint64_t offset, std::uint64_t length, std::span<const std::byte> from) {
    const std::uint64_t start = offset & ~m_mask;
    std::vector<std::byte> block(std::min(m_mask + 1, m_size - start));
    const std::lock_guard lock(m_edge_mutex);
    const int result = m_channel.connection().synchronously([&](nbd_handle* handle) {
      if (nbd_pread(handle, block.data(), block.size(), start, 0) == -1) {
        return -1;
      }
      std::byte* const to = block.data() + (offset - start);
      if (from.empty()) {
        std::memset(to, 0, length);
      } else {
        std::memcpy(to, from.data(), length);
      }
      return nbd_pwrite(handle, block.data(), block.size(), start, 0);
    });
    if (result == -1) {
      if (const std::exception_ptr broken = m_channel.connection().broken()) {
        std::rethrow_exception(broken);
      }
      throw Error(ErrorKind::failed,
                  "cannot change a part of the block at offset " + std::to_string(start) + ": " +
                      nbd_error_text(),
                  m_channel.connection().uri());
    }
  }

  std::uint64_t m_size;
  std::uint64_t m_mask;
  std::mutex& m_edge_mutex;
  std::list<NbdZeroRun> m_runs;
  NbdChannel m_channel;  // last: nothing arrives once it is gone
};

NbdWriter::NbdWriter(const std::string& uri, const CancelToken* cancel)
    : m_connection(std::make_shared<NbdConnection>(uri, std::vector<std::string>{k_base_allocation},
                                                   NbdConnection::Sharing::shared, cancel)) {
  if (m_connection->read_only()) {
    throw Error(ErrorKind::wrong_target, "the NBD export is read-only", uri,
                "export it writable (qemu-nbd without --read-only)");
  }
  if (!m_connection->can_flush()) {
    throw Error(ErrorKind::wrong_target,
                "the NBD server cannot flush, so nothing written to it is known to be durable", uri,
                "use a server that offers NBD_FLAG_SEND_FLUSH");
  }
}

NbdWriter::~NbdWriter() = default;

const std::string& NbdWriter::uri() const noexcept {
  return m_connection->uri();
}

std::uint64_t NbdWriter::size() const noexcept {
  return m_connection->size();
}

std::unique_ptr<WriteQueue> NbdWriter::open_queue() {
  return std::make_unique<Queue>(m_connection->for_queue(), m_edge_mutex);
}

unsigned NbdWriter::max_queues() const noexcept {
  return m_connection->max_queues();
}

std::uint32_t NbdWriter::max_request() const noexcept {
  return m_connection->max_request();
}

std::unique_ptr<BlockReader> NbdWriter::open_reader() {
  return std::make_unique<NbdReader>(m_connection);
}

void NbdWriter::flush(const FlushBounds& bounds) {
  if (m_flush_failed) {
    throw Error(ErrorKind::failed, "an earlier flush failed", uri(),
                "what was written since the last good flush must be written again");
  }
  try {
    NbdChannel channel(m_connection);
    NbdChannelQueue queue(channel);
    AwaitedIo done;
    channel.flush(done);
    await_flush(*m_connection, queue, done, bounds);
  } catch (...) {
    m_flush_failed = true;  // the server may have dropped what it could not write
    throw;
  }
}

}  // namespace hamal
