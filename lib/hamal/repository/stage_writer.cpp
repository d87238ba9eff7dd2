#include "hamal/repository/stage_writer.hpp"

#include <algorithm>
#include <utility>

#include "hamal/util/error.hpp"
#include "hamal/util/zero_scan.hpp"

namespace hamal::repository {
namespace {

// A record of zeros is none; within one, shorter runs cost less compressed than two records do.
constexpr std::size_t k_min_zero_run = 16U << 10;
// What the copy reads at once: a few records that stay in the core's cache.
constexpr std::uint32_t k_request_bytes = 256U << 10;
constexpr unsigned k_max_queues = 64;

class StageQueue final : public WriteQueue {
 public:
  explicit StageQueue(const StageWriterContext& context)
      : m_context(context),
        m_encoder(context.packs.sealer(), static_cast<int>(context.compression)) {}

  void add_poll_fds(std::vector<pollfd>& /*fds*/) const override {}
  void progress() override {}

  void write(std::uint64_t offset, std::span<const std::byte> from, IoCompletion& done) override {
    complete_at_once(done, [&] {
      require_aligned(offset, from.size());
      while (!from.empty()) {
        const std::uint64_t room = k_record_bytes - offset % k_record_bytes;
        const auto part = from.first(std::min<std::uint64_t>(room, from.size()));
        add(offset, part);
        offset += part.size();
        from = from.subspan(part.size());
      }
    });
  }

  void zero(std::uint64_t offset, std::uint64_t length, IoCompletion& done) override {
    complete_at_once(done, [&] {
      require_aligned(offset, length);
      add_zeros(offset, length);
    });
  }

 private:
  void require_aligned(std::uint64_t offset, std::uint64_t length) const {
    const bool ends =
        (offset + length) % k_record_alignment == 0 || offset + length == m_context.size;
    if (offset % k_record_alignment != 0 || !ends || offset + length > m_context.size) {
      // A plan of ours is aligned; a data stream is cut as whoever made it likes.
      throw Error(ErrorKind::failed,
                  std::to_string(length) + " bytes at offset " + std::to_string(offset) +
                      " are not whole blocks of 4096 bytes, which a repository takes alone",
                  m_context.uri,
                  "send the extents (hamal-cbt-read without --data) where the source can be read "
                  "from here, or make a data stream of whole blocks");
    }
  }

  void add(std::uint64_t offset, std::span<const std::byte> bytes) {
    if (is_zero(bytes)) {
      add_zeros(offset, bytes.size());
      return;
    }
    for_each_run(bytes, k_record_alignment, k_min_zero_run,
                 [&](std::size_t begin, std::size_t length, bool zero) {
                   if (zero) {
                     add_zeros(offset + begin, length);
                   } else {
                     add_data(offset + begin, bytes.subspan(begin, length));
                   }
                 });
  }

  void add_data(std::uint64_t offset, std::span<const std::byte> bytes) {
    StagedEntry staged;
    staged.entry.id = m_context.keyring.record_id(bytes);
    const auto placed = m_context.packs.place(staged.entry.id, bytes, m_encoder, m_scratch);
    staged.entry.extent = {offset, bytes.size(), ExtentKind::data};
    staged.entry.place = placed.place;
    staged.entry.plain = static_cast<std::uint32_t>(bytes.size());
    staged.origin = placed.shared ? Origin::shared : Origin::stored;
    m_context.journal.add(staged);
  }

  void add_zeros(std::uint64_t offset, std::uint64_t length) {
    if (m_context.mode == SyncMode::full) {
      m_context.zero_bytes.fetch_add(length, std::memory_order_relaxed);
      return;
    }
    StagedEntry staged;
    staged.entry.extent = {offset, length, ExtentKind::zero};
    m_context.journal.add(staged);
  }

  const StageWriterContext& m_context;
  RecordEncoder m_encoder;
  Bytes m_scratch;
};

class StageWriter final : public BlockWriter {
 public:
  explicit StageWriter(StageWriterContext context) : m_context(std::move(context)) {}
  const std::string& uri() const noexcept override { return m_context.uri; }
  std::uint64_t size() const noexcept override { return m_context.size; }
  std::unique_ptr<WriteQueue> open_queue() override {
    return std::make_unique<StageQueue>(m_context);
  }
  unsigned max_queues() const noexcept override { return k_max_queues; }
  std::uint32_t max_request() const noexcept override { return k_request_bytes; }
  void flush(const FlushBounds& /*bounds*/) override {
    m_context.packs.flush();
    m_context.journal.flush();
  }

 private:
  StageWriterContext m_context;
};

}  // namespace

std::unique_ptr<BlockWriter> make_stage_writer(const StageWriterContext& context) {
  return std::make_unique<StageWriter>(context);
}

}  // namespace hamal::repository
