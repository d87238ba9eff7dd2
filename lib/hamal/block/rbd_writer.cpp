#include "hamal/block/rbd_writer.hpp"

#include <algorithm>
#include <list>
#include <utility>

#include "hamal/block/awaited_io.hpp"
#include "hamal/block/rbd_channel.hpp"
#include "hamal/block/rbd_image.hpp"
#include "hamal/block/rbd_reader.hpp"
#include "hamal/block/zero_run.hpp"

namespace hamal {
namespace {

constexpr unsigned k_max_queues = 64;
constexpr std::uint32_t k_max_request = 32U << 20;
/// One write_zeroes: librbd splits it into an operation per object, all at once.
constexpr std::uint64_t k_max_zero = 256U << 20;

class RbdZeroRun final : public ZeroRun {
 public:
  RbdZeroRun(RbdChannel& channel, std::uint64_t offset, std::uint64_t length, IoCompletion& done)
      : ZeroRun(offset, length, done), m_channel(channel) {}

 private:
  std::uint64_t end_of_piece(std::uint64_t at, std::uint64_t end) const override {
    return std::min(end, at / k_max_zero * k_max_zero + k_max_zero);
  }
  void zero_piece(std::uint64_t at, std::uint64_t length) override {
    m_channel.zero(at, length, *this);
  }

  RbdChannel& m_channel;
};

class RbdWriteQueue final : public WriteQueue {
 public:
  explicit RbdWriteQueue(const std::shared_ptr<RbdImage>& image)
      : m_uri(image->uri()), m_size(image->size()), m_channel(image) {}

  void add_poll_fds(std::vector<pollfd>& fds) const override { m_channel.add_poll_fds(fds); }
  void progress() override {
    m_channel.progress();
    m_runs.remove_if([](const RbdZeroRun& run) { return run.finished(); });
  }
  void write(std::uint64_t offset, std::span<const std::byte> from, IoCompletion& done) override {
    if (refused(offset, from.size(), done)) {
      return;
    }
    m_channel.write(offset, from, done);
  }
  void zero(std::uint64_t offset, std::uint64_t length, IoCompletion& done) override {
    if (length == 0) {
      done.io_done(nullptr);
    } else if (!refused(offset, length, done)) {
      m_runs.emplace_back(m_channel, offset, length, done).start();
    }
  }

 private:
  bool refused(std::uint64_t offset, std::uint64_t length, IoCompletion& done) {
    if (offset <= m_size && length <= m_size - offset) {
      return false;
    }
    done.io_done(std::make_exception_ptr(
        Error(ErrorKind::failed, "a write beyond the end of the disk was refused", m_uri)));
    return true;
  }

  std::string m_uri;
  std::uint64_t m_size;
  std::list<RbdZeroRun> m_runs;
  RbdChannel m_channel;  // last: nothing arrives once it is gone
};

}  // namespace

RbdWriter::RbdWriter(std::shared_ptr<RbdImage> image) : m_image(std::move(image)) {}

RbdWriter::~RbdWriter() = default;

const std::string& RbdWriter::uri() const noexcept {
  return m_image->uri();
}

std::uint64_t RbdWriter::size() const noexcept {
  return m_image->size();
}

std::unique_ptr<WriteQueue> RbdWriter::open_queue() {
  return std::make_unique<RbdWriteQueue>(m_image);
}

unsigned RbdWriter::max_queues() const noexcept {
  return k_max_queues;
}

std::uint32_t RbdWriter::max_request() const noexcept {
  return k_max_request;
}

std::unique_ptr<BlockReader> RbdWriter::open_reader() {
  return std::make_unique<RbdReader>(m_image);
}

void RbdWriter::flush(const FlushBounds& bounds) {
  if (m_flush_failed) {
    throw Error(ErrorKind::failed, "an earlier flush failed", uri(),
                "what was written since the last good flush must be written again");
  }
  try {
    RbdChannel channel(m_image);
    RbdChannelQueue queue(channel);
    AwaitedIo done;
    channel.flush(done);
    constexpr std::chrono::milliseconds k_look_up{100};
    const auto since = std::chrono::steady_clock::now();
    while (!done.wait(queue, k_look_up)) {
      if (bounds.cancel != nullptr) {
        bounds.cancel->check();
      }
      if (bounds.timeout.count() > 0 && std::chrono::steady_clock::now() - since > bounds.timeout) {
        throw flush_too_slow(uri(), bounds.timeout);
      }
    }
  } catch (...) {
    m_flush_failed = true;
    throw;
  }
}

}  // namespace hamal
