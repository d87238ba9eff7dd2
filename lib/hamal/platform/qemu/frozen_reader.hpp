// Reads a frozen view so that QEMU 7 tells the truth.
//
// The frozen view is a snapshot-access node: a cluster of 64 KiB that the guest has overwritten
// since the freeze is in the scratch, any other one still on the disk. QEMU before 8.0
// (hbitmap_status() returns false where it should return true) mistakes one case: a request that
// begins in overwritten clusters and ends beyond them is answered from the *live* disk for the
// overwritten part. So
//  - no read crosses a cluster: inside one the answer is right, in every version;
//  - a range that is said to be zero counts only where nothing was written since the freeze, see
//    settle().
// Data that is said to be data but is zero costs a read, never a byte.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "hamal/block/nbd_reader.hpp"
#include "hamal/platform/qemu/temporary_export.hpp"

namespace hamal::qemu {

/// The granularity of copy-before-write, bytes.
inline constexpr std::uint64_t k_cbw_cluster = 65536;

/// Which extents may be believed; see settle().
using Settler = std::function<ExtentSourcePtr(ExtentSourcePtr)>;

/// Thread-safe as NbdReader.
class FrozenReader final : public BlockReader {
 public:
  FrozenReader(std::unique_ptr<NbdReader> reader, Settler settler);
  const std::string& uri() const noexcept override { return m_reader->uri(); }
  std::uint64_t size() const noexcept override { return m_reader->size(); }
  std::unique_ptr<ReadQueue> open_queue() override;
  unsigned max_queues() const noexcept override { return m_reader->max_queues(); }
  std::uint32_t max_request() const noexcept override { return m_reader->max_request(); }
  std::uint32_t preferred_request() const noexcept override {
    return m_reader->preferred_request();
  }
  ExtentSourcePtr allocated() override { return m_settler(m_reader->allocated()); }

 private:
  std::unique_ptr<NbdReader> m_reader;
  Settler m_settler;
};

/// Reads all of `claimed` (extents of a frozen view, by its base:allocation), then asks QEMU what
/// was written since the freeze, after all requests in flight have ended: zeros in those clusters
/// are data instead. `bitmap` is the snapshot's own, recording since the freeze; without one
/// nothing that is said to be zero is believed. Nothing is done for QEMU 8.0 and later.
ExtentSourcePtr settle(ExtentSourcePtr claimed, std::uint64_t size, const ReadContext& context,
                       const FrozenPlace& place, const std::string& bitmap,
                       std::uint64_t granularity);

}  // namespace hamal::qemu
