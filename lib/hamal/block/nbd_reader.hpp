// Reads NBD exports, and the dirty bitmaps they offer.
#pragma once
#include <string>
#include <vector>

#include "hamal/block/block_reader.hpp"

namespace hamal {

class CancelToken;
class NbdConnection;

/// A server that does not say CAN_MULTI_CONN gets one connection for everything: its queues and
/// extent sources share it, and max_queues() is 1. Otherwise each queue has its own, beside the one
/// for extents.
class NbdReader final : public BlockReader {
 public:
  /// Connects. `contexts` are further meta contexts to negotiate ("qemu:dirty-bitmap:NAME");
  /// offers() tells what became of them. Throws Error: transient when the server cannot be reached.
  /// All that waits for the server ends when `cancel` (which outlives it) is requested.
  explicit NbdReader(const std::string& uri, const std::vector<std::string>& contexts = {},
                     const CancelToken* cancel = nullptr);
  /// Reads over a connection that is there already (servers that allow only one).
  explicit NbdReader(std::shared_ptr<NbdConnection> connection);
  ~NbdReader() override;

  const std::string& uri() const noexcept override;
  std::uint64_t size() const noexcept override;
  std::unique_ptr<ReadQueue> open_queue() override;
  unsigned max_queues() const noexcept override;
  std::uint32_t max_request() const noexcept override;
  std::uint32_t preferred_request() const noexcept override;
  /// By base:allocation, window by window; data for all of it when it is not offered. May outlive
  /// the reader.
  ExtentSourcePtr allocated() override;

  /// Whether the server agreed to this meta context.
  bool offers(const std::string& context) const;
  /// What is dirty in the bitmap "qemu:dirty-bitmap:NAME": a zero extent where base:allocation says
  /// that it reads as zeros, else data. Throws Error naming the context when it was not asked for
  /// at construction or is not offered. May outlive the reader.
  ExtentSourcePtr dirty(const std::string& bitmap_context);

 private:
  std::shared_ptr<NbdConnection> m_connection;
};

}  // namespace hamal
