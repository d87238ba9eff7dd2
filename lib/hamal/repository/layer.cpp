// Reading a layer from the store.
#include "hamal/repository/layer.hpp"

#include <algorithm>
#include <list>
#include <mutex>
#include <utility>

#include "hamal/repository/hash.hpp"
#include "hamal/repository/index_bytes.hpp"
#include "hamal/repository/index_zstd.hpp"
#include "hamal/repository/layer_format.hpp"

namespace hamal::repository {

using namespace layer_format;

namespace {

/// Layers up to that size are fetched by one request and kept.
constexpr std::uint64_t k_small_layer = 256U << 10;
/// What one request of a sequential reader fetches at most.
constexpr std::uint64_t k_longest_run = 2U << 20;
constexpr std::size_t k_cached_blocks = 4;

using Block = std::shared_ptr<const std::vector<LayerEntry>>;

class StoredLayer final : public Layer, public std::enable_shared_from_this<StoredLayer> {
 public:
  StoredLayer(ObjectStore& store, const Keyring& keyring, LayerReference reference)
      : m_store(store),
        m_keyring(keyring),
        m_reference(std::move(reference)),
        m_object(store.uri() + "/" + m_reference.key) {}

  void fetch_tail() {
    const std::uint64_t size = m_reference.bytes;
    if (size < k_magic.size() + k_footer_bytes) {
      refuse("is said to have fewer bytes than any layer");
    }
    Bytes end = fetch_end(size);
    ByteParser footer(ByteView(end).last(k_footer_bytes), m_object);
    const auto place = footer.number<std::uint64_t>();
    const auto length = footer.number<std::uint64_t>();
    if (!std::ranges::equal(footer.take(k_end_magic.size()), bytes_of(k_end_magic))) {
      refuse("is damaged: it does not end as a layer");
    }
    if (length > k_max_tail || place < k_magic.size() || place > size ||
        length != size - place - k_footer_bytes) {
      refuse("is damaged: its tail is not where it says");
    }
    if (end.size() < length + k_footer_bytes) {
      end.resize(length + k_footer_bytes);
      m_store.get_range(m_reference.key, place, end);
    }
    const ByteView stored =
        ByteView(end).last(length + k_footer_bytes).first(static_cast<std::size_t>(length));
    if (sha256(stored) != m_reference.digest) {
      refuse("is damaged: its tail is not the one that the manifest names");
    }
    const Bytes sealed = m_keyring.open_index(stored, tail_name(m_reference.key));
    m_tail = parse_tail(decompress(sealed, k_max_tail, m_object), place, m_object);
    if (m_tail.totals.extents != m_reference.entries) {
      refuse("is damaged: it has not as many entries as the manifest says");
    }
    m_packs = m_tail.packs;
    std::sort(m_packs.begin(), m_packs.end());
    if (end.size() == size) {
      check_magic(end);
      m_whole = std::move(end);
    }
  }

  const LayerReference& reference() const noexcept override { return m_reference; }
  std::uint64_t disk_size() const noexcept override { return m_tail.disk_size; }
  const ExtentTotals& totals() const noexcept override { return m_tail.totals; }
  const std::vector<PackName>& packs() const noexcept override { return m_packs; }
  void pack_ends(const std::function<void(const PackName&, std::uint64_t)>& each) const override {
    for (std::size_t i = 0; i < m_tail.packs.size(); ++i) {
      each(m_tail.packs[i], m_tail.pack_ends[i]);
    }
  }
  EntrySourcePtr entries(std::uint64_t begin) override;

  const std::vector<BlockPlace>& blocks() const noexcept { return m_tail.blocks; }

  /// The bytes of blocks from `first` on, at most `longest` but at least one block.
  struct Run {
    std::size_t first = 0;
    std::size_t end = 0;
    Bytes bytes;
  };
  Run fetch(std::size_t first, std::uint64_t longest) {
    Run run{first, first + 1, {}};
    // The magic comes along with the first block: nothing else reads it.
    const std::uint64_t begin = first == 0 ? 0 : m_tail.blocks[first].place;
    std::uint64_t end = end_of(first);
    while (run.end < m_tail.blocks.size() && end_of(run.end) - begin <= longest) {
      end = end_of(run.end++);
    }
    run.bytes.resize(end - begin);
    m_store.get_range(m_reference.key, begin, run.bytes);
    if (first == 0) {
      check_magic(run.bytes);
      run.bytes.erase(run.bytes.begin(), run.bytes.begin() + k_magic.size());
    }
    return run;
  }
  Block cached(std::size_t index) {
    const std::lock_guard lock(m_mutex);
    const auto found = std::find_if(m_cache.begin(), m_cache.end(),
                                    [&](const auto& one) { return one.first == index; });
    if (found == m_cache.end()) {
      return nullptr;
    }
    m_cache.splice(m_cache.begin(), m_cache, found);
    return found->second;
  }
  /// From a small layer, which is here, or from the run.
  Block decode(std::size_t index, const Run& run) {
    const BlockPlace& place = m_tail.blocks[index];
    const ByteView stored = m_whole.empty()
                                ? ByteView(run.bytes).subspan(
                                      place.place - m_tail.blocks[run.first].place, place.length)
                                : ByteView(m_whole).subspan(place.place, place.length);
    if (sha256(stored) != place.digest) {
      refuse("is damaged: its part for bytes " + std::to_string(place.begin) + " to " +
             std::to_string(place.end) + " of the disk is not the one that its tail names");
    }
    auto block = std::make_shared<const std::vector<LayerEntry>>(parse_block(
        m_keyring.open_index(stored, block_name(m_reference.key, index)), place, m_tail, m_object));
    const std::lock_guard lock(m_mutex);
    m_cache.emplace_front(index, block);
    if (m_cache.size() > k_cached_blocks) {
      m_cache.pop_back();
    }
    return block;
  }
  bool is_here() const noexcept { return !m_whole.empty(); }

 private:
  std::uint64_t end_of(std::size_t index) const {
    return m_tail.blocks[index].place + m_tail.blocks[index].length;
  }
  Bytes fetch_end(std::uint64_t size) {
    Bytes end(std::min(size, k_small_layer));
    m_store.get_range(m_reference.key, size - end.size(), end);
    return end;
  }
  void check_magic(ByteView bytes) const {
    if (!std::ranges::equal(bytes.first(k_magic.size()), bytes_of(k_magic))) {
      refuse("is damaged: it does not begin as a layer");
    }
  }
  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(ErrorKind::failed, what, m_object, "hamal-repo verify says which versions suffer");
  }

  ObjectStore& m_store;
  const Keyring& m_keyring;
  LayerReference m_reference;
  std::string m_object;
  Tail m_tail;
  std::vector<PackName> m_packs;
  Bytes m_whole;  ///< of a small layer
  std::mutex m_mutex;
  std::list<std::pair<std::size_t, Block>> m_cache;  ///< the last used first
};

class StoredEntries final : public EntrySource {
 public:
  StoredEntries(std::shared_ptr<StoredLayer> layer, std::uint64_t begin)
      : m_layer(std::move(layer)) {
    skip_to(begin);
  }

  bool next(LayerEntry& entry) override {
    for (;;) {
      if (m_block != nullptr && m_index < m_block->size()) {
        entry = (*m_block)[m_index++];
        return true;
      }
      if (m_next == m_layer->blocks().size()) {
        return false;
      }
      load(m_next);
      ++m_next;
    }
  }

  void skip_to(std::uint64_t offset) override {
    m_skip = std::max(m_skip, offset);
    const auto& blocks = m_layer->blocks();
    if (m_block != nullptr && blocks[m_next - 1].end > offset) {
      skip_in_block();
      return;
    }
    const auto found =
        std::partition_point(blocks.begin() + static_cast<std::ptrdiff_t>(m_next), blocks.end(),
                             [&](const BlockPlace& block) { return block.end <= offset; });
    const auto index = static_cast<std::size_t>(found - blocks.begin());
    if (index != m_next) {
      m_longest = 0;  // whoever jumps reads little in one place
      m_next = index;
    }
    m_block = nullptr;
  }

 private:
  void load(std::size_t index) {
    m_block = m_layer->cached(index);
    if (m_block == nullptr) {
      if (!m_layer->is_here() && (index < m_run.first || index >= m_run.end)) {
        m_run = m_layer->fetch(index, m_longest);
        m_longest = std::min(k_longest_run, m_longest == 0 ? k_longest_run / 8 : m_longest * 2);
      }
      m_block = m_layer->decode(index, m_run);
    }
    m_index = 0;
    skip_in_block();
  }
  void skip_in_block() {
    const auto found = std::partition_point(
        m_block->begin() + static_cast<std::ptrdiff_t>(m_index), m_block->end(),
        [&](const LayerEntry& entry) { return entry.extent.end() <= m_skip; });
    m_index = static_cast<std::size_t>(found - m_block->begin());
  }

  std::shared_ptr<StoredLayer> m_layer;
  std::uint64_t m_skip = 0;
  std::size_t m_next = 0;  ///< the block after the current one
  Block m_block;
  std::size_t m_index = 0;  ///< in the current one
  StoredLayer::Run m_run;
  std::uint64_t m_longest = 0;
};

EntrySourcePtr StoredLayer::entries(std::uint64_t begin) {
  return std::make_unique<StoredEntries>(shared_from_this(), begin);
}

class VectorEntries final : public EntrySource {
 public:
  explicit VectorEntries(std::vector<LayerEntry> entries) : m_entries(std::move(entries)) {}
  bool next(LayerEntry& entry) override {
    if (m_index == m_entries.size()) {
      return false;
    }
    entry = m_entries[m_index++];
    return true;
  }

 private:
  std::vector<LayerEntry> m_entries;
  std::size_t m_index = 0;
};

}  // namespace

EntrySourcePtr vector_entries(std::vector<LayerEntry> entries) {
  return std::make_unique<VectorEntries>(std::move(entries));
}

std::shared_ptr<Layer> Layer::open(ObjectStore& store, const Keyring& keyring,
                                   const LayerReference& reference) {
  auto layer = std::make_shared<StoredLayer>(store, keyring, reference);
  layer->fetch_tail();
  return layer;
}

}  // namespace hamal::repository
