// Reading NBD exports.
#include "hamal/block/nbd_reader.hpp"

#include <cstring>
#include <list>
#include <utility>

#include "hamal/block/nbd_channel.hpp"
#include "hamal/block/nbd_extents.hpp"

namespace hamal {
namespace {

class NbdReadQueue final : public ReadQueue {
 public:
  explicit NbdReadQueue(std::shared_ptr<NbdConnection> connection)
      : m_size(connection->size()),
        m_mask(connection->min_request() - 1),
        m_channel(std::move(connection)) {}

  void add_poll_fds(std::vector<pollfd>& fds) const override { m_channel.add_poll_fds(fds); }
  void progress() override {
    m_channel.progress();
    m_bounces.remove_if([](const Bounce& bounce) { return bounce.finished; });
  }
  void read(std::uint64_t offset, std::span<std::byte> into, IoCompletion& done) override {
    const std::uint64_t end = offset + into.size();
    if ((offset & m_mask) == 0 && ((end & m_mask) == 0 || end == m_size)) {
      m_channel.read(offset, into, done);
    } else {
      read_unaligned(offset, into, done);
    }
  }

 private:
  /// A read of whole blocks, of which a part was wanted. Only servers with a minimum block size
  /// ever need it.
  struct Bounce final : public IoCompletion {
    std::vector<std::byte> buffer;
    std::size_t skip = 0;
    std::span<std::byte> into;
    IoCompletion* done = nullptr;
    bool finished = false;

    void io_done(std::exception_ptr error) noexcept override {
      if (!error) {
        std::memcpy(into.data(), buffer.data() + skip, into.size());
      }
      finished = true;
      done->io_done(std::move(error));
    }
  };

  void read_unaligned(std::uint64_t offset, std::span<std::byte> into, IoCompletion& done) {
    const std::uint64_t first = offset & ~m_mask;
    const std::uint64_t last = std::min((offset + into.size() + m_mask) & ~m_mask, m_size);
    Bounce& bounce = m_bounces.emplace_back();
    bounce.buffer.resize(last - first);
    bounce.skip = offset - first;
    bounce.into = into;
    bounce.done = &done;
    m_channel.read(first, bounce.buffer, bounce);
  }

  std::uint64_t m_size;
  std::uint64_t m_mask;
  std::list<Bounce> m_bounces;
  NbdChannel m_channel;  // last: nothing arrives once it is gone
};

std::vector<std::string> with_allocation(std::vector<std::string> contexts) {
  contexts.emplace_back(k_base_allocation);
  return contexts;
}

}  // namespace

NbdReader::NbdReader(const std::string& uri, const std::vector<std::string>& contexts,
                     const CancelToken* cancel)
    : m_connection(std::make_shared<NbdConnection>(uri, with_allocation(contexts),
                                                   NbdConnection::Sharing::shared, cancel)) {}

NbdReader::NbdReader(std::shared_ptr<NbdConnection> connection)
    : m_connection(std::move(connection)) {}

NbdReader::~NbdReader() = default;

const std::string& NbdReader::uri() const noexcept {
  return m_connection->uri();
}

std::uint64_t NbdReader::size() const noexcept {
  return m_connection->size();
}

std::unique_ptr<ReadQueue> NbdReader::open_queue() {
  return std::make_unique<NbdReadQueue>(m_connection->for_queue());
}

unsigned NbdReader::max_queues() const noexcept {
  return m_connection->max_queues();
}

std::uint32_t NbdReader::max_request() const noexcept {
  return m_connection->max_request();
}

std::uint32_t NbdReader::preferred_request() const noexcept {
  return m_connection->preferred_request();
}

ExtentSourcePtr NbdReader::allocated() {
  return nbd_allocated_extents(m_connection);
}

bool NbdReader::offers(const std::string& context) const {
  return m_connection->offers(context);
}

ExtentSourcePtr NbdReader::dirty(const std::string& bitmap_context) {
  return nbd_dirty_extents(m_connection, bitmap_context);
}

}  // namespace hamal
