// Reads RBD images and their snapshots.
#pragma once
#include <memory>
#include <string>

#include "hamal/block/block_reader.hpp"
#include "hamal/block/ceph_cluster.hpp"

namespace hamal {

class RbdImage;

/// Its queues share one open image: librbd takes requests of many threads.
class RbdReader final : public BlockReader {
 public:
  explicit RbdReader(std::shared_ptr<RbdImage> image);
  ~RbdReader() override;

  const std::string& uri() const noexcept override;
  std::uint64_t size() const noexcept override;
  std::unique_ptr<ReadQueue> open_queue() override;
  unsigned max_queues() const noexcept override;
  std::uint32_t max_request() const noexcept override;
  /// An object.
  std::uint32_t preferred_request() const noexcept override;
  /// By librbd's diff from nothing. May outlive the reader.
  ExtentSourcePtr allocated() override;

  /// Since a snapshot of the same image. May outlive the reader.
  ExtentSourcePtr changed(const std::string& from, RbdDiff diff);
  const RbdImage& image() const noexcept { return *m_image; }

 private:
  std::shared_ptr<RbdImage> m_image;
};

}  // namespace hamal
