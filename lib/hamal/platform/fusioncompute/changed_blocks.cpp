// The size of a block comes with each reply and is taken from nowhere else. A page that ends before
// the disk does says nothing of the rest, so it is refused and never means "nothing changed".
#include "hamal/platform/fusioncompute/changed_blocks.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "hamal/extent/algebra.hpp"
#include "hamal/extent/validate.hpp"
#include "hamal/platform/fusioncompute/vrm_error.hpp"

namespace hamal::fusioncompute {
namespace {

constexpr std::uint64_t k_page = 1024;  // blocks, a multiple of 8

[[noreturn]] void refuse(const ChangesWanted& wanted, std::uint64_t first,
                         const std::string& problem) {
  throw Error(ErrorKind::failed, "getcbt gives a bitmap that cannot be: " + problem,
              fmt::format("{} from block {} on", wanted.object, first),
              "nothing was written by it; a full run (--full) does not need it");
}

class ChangedBlocks final : public ExtentSource {
 public:
  ChangedBlocks(std::shared_ptr<VrmClient> client, ChangesWanted wanted, Logger& log)
      : m_client(std::move(client)), m_wanted(std::move(wanted)), m_log(log) {}

  void ask() {
    const nlohmann::json question{{"type", "DiffBitmapAndBit1Num"},
                                  {"snapUuid", m_wanted.snap_uuid},
                                  {"volCBTCreateTime", m_wanted.tracking_begun},
                                  {"chgID", std::to_string(m_wanted.since)},
                                  {"startBlock", m_block},
                                  {"blockNum", k_page}};
    const std::string path = m_wanted.volume_uri + "/getcbt";
    const ChangedPage page = parse_changed(
        m_client->call("POST", path, question.dump(), Repeat::yes), k_page, "POST " + path);
    if (m_block_size != 0 && page.block_size != m_block_size) {
      refuse(m_wanted, m_block,
             fmt::format("blocks of {} bytes, and before of {}", page.block_size, m_block_size));
    }
    m_block_size = page.block_size;
    m_ready = extents_of(page, m_block, k_page, m_wanted);
    m_block += page.blocks;
    m_end = m_block >= blocks_of(page.block_size, m_wanted.size);
  }

  bool next(std::vector<Extent>& window) override {
    window.clear();
    while (m_ready.empty() && !m_end) {
      ask_or_take_all();
    }
    window.swap(m_ready);
    return !window.empty();
  }

  /// What the server cannot tell any more may all have changed.
  void ask_or_take_all() {
    try {
      ask();
    } catch (const VrmError& error) {
      const std::uint64_t at = m_block * m_block_size;
      m_log.warning("{}: changes from byte {} on are not known: {}", m_wanted.object, at,
                    error.what());
      m_ready = {{.offset = at, .length = m_wanted.size - at, .kind = ExtentKind::data}};
      m_end = true;
    }
  }

  static std::uint64_t blocks_of(std::uint64_t block_size, std::uint64_t size) {
    return size / block_size + (size % block_size == 0 ? 0 : 1);
  }

 private:
  std::shared_ptr<VrmClient> m_client;
  ChangesWanted m_wanted;
  Logger& m_log;
  std::uint64_t m_block = 0;
  std::uint64_t m_block_size = 0;
  bool m_end = false;
  std::vector<Extent> m_ready;
};

}  // namespace

std::vector<Extent> extents_of(const ChangedPage& page, std::uint64_t first, std::uint64_t asked,
                               const ChangesWanted& wanted) {
  const std::uint64_t total = ChangedBlocks::blocks_of(page.block_size, wanted.size);
  const std::uint64_t rest = total - std::min(first, total);
  if (page.blocks < std::min(asked, rest)) {
    refuse(wanted, first,
           fmt::format("it ends after {} blocks of {} bytes, and the disk has {} more", page.blocks,
                       page.block_size, rest));
  }
  // Whole bytes of bits may reach over the end, but not with a bit that is set.
  if (page.blocks > (rest + 7) / 8 * 8) {
    refuse(wanted, first,
           fmt::format("it has {} blocks of {} bytes, and the disk has {} more", page.blocks,
                       page.block_size, rest));
  }
  std::vector<Extent> extents;
  for (std::uint64_t block = 0; block < page.blocks; ++block) {
    if (!page.is_set(block)) {
      continue;
    }
    if (block >= rest) {
      refuse(wanted, first, fmt::format("block {} is behind the end of the disk", first + block));
    }
    const std::uint64_t offset = (first + block) * page.block_size;
    const std::uint64_t length = std::min(page.block_size, wanted.size - offset);
    if (!extents.empty() && extents.back().end() == offset) {
      extents.back().length += length;
    } else {
      extents.push_back({.offset = offset, .length = length, .kind = ExtentKind::data});
    }
  }
  return extents;
}

ExtentSourcePtr changed_blocks(std::shared_ptr<VrmClient> client, const ChangesWanted& wanted,
                               Logger& log) {
  auto source = std::make_unique<ChangedBlocks>(std::move(client), wanted, log);
  if (wanted.size > 0) {
    source->ask();
  }
  return coalesce(
      validate(std::move(source), wanted.size, "the changed blocks of " + wanted.object));
}

}  // namespace hamal::fusioncompute
