#include "hamal/block/rbd_reader.hpp"

#include <algorithm>
#include <utility>

#include "hamal/block/rbd_channel.hpp"
#include "hamal/block/rbd_extents.hpp"
#include "hamal/block/rbd_image.hpp"

namespace hamal {
namespace {

constexpr unsigned k_max_queues = 64;
constexpr std::uint32_t k_max_request = 32U << 20;

class RbdReadQueue final : public ReadQueue {
 public:
  explicit RbdReadQueue(std::shared_ptr<RbdImage> image) : m_channel(std::move(image)) {}
  void add_poll_fds(std::vector<pollfd>& fds) const override { m_channel.add_poll_fds(fds); }
  void progress() override { m_channel.progress(); }
  void read(std::uint64_t offset, std::span<std::byte> into, IoCompletion& done) override {
    m_channel.read(offset, into, done);
  }

 private:
  RbdChannel m_channel;
};

}  // namespace

RbdReader::RbdReader(std::shared_ptr<RbdImage> image) : m_image(std::move(image)) {}

RbdReader::~RbdReader() = default;

const std::string& RbdReader::uri() const noexcept {
  return m_image->uri();
}

std::uint64_t RbdReader::size() const noexcept {
  return m_image->size();
}

std::unique_ptr<ReadQueue> RbdReader::open_queue() {
  return std::make_unique<RbdReadQueue>(m_image);
}

unsigned RbdReader::max_queues() const noexcept {
  return k_max_queues;
}

std::uint32_t RbdReader::max_request() const noexcept {
  return k_max_request;
}

std::uint32_t RbdReader::preferred_request() const noexcept {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(m_image->object_size(), k_max_request));
}

ExtentSourcePtr RbdReader::allocated() {
  return rbd_allocated_extents(m_image);
}

ExtentSourcePtr RbdReader::changed(const std::string& from, RbdDiff diff) {
  return rbd_changed_extents(m_image, from, diff);
}

}  // namespace hamal
