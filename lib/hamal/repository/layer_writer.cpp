// Writing a layer: a block of entries at a time.
#include <fcntl.h>

#include <algorithm>
#include <map>
#include <stdexcept>
#include <utility>

#include "hamal/repository/hash.hpp"
#include "hamal/repository/index_bytes.hpp"
#include "hamal/repository/index_zstd.hpp"
#include "hamal/repository/layer.hpp"
#include "hamal/repository/layer_format.hpp"
#include "hamal/util/file.hpp"

namespace hamal::repository {

using namespace layer_format;

namespace {

/// `next` goes on where `entry` ends, with zeros or in the same record: they are one entry.
bool continues(const LayerEntry& entry, const LayerEntry& next) {
  if (entry.extent.end() != next.extent.offset || entry.extent.kind != next.extent.kind) {
    return false;
  }
  return entry.extent.kind == ExtentKind::zero ||
         (entry.place == next.place && entry.id == next.id && entry.plain == next.plain &&
          entry.skip + entry.extent.length == next.skip);
}

class LayerWriter {
 public:
  LayerWriter(const std::filesystem::path& path, std::string key, std::uint64_t disk_size,
              const Keyring& keyring)
      : m_name(path.string()),
        m_key(std::move(key)),
        m_keyring(keyring),
        m_fd(open_file(path, O_WRONLY | O_CREAT | O_TRUNC)) {
    m_tail.disk_size = disk_size;
    put(bytes_of(k_magic));
  }

  void add(const LayerEntry& entry) {
    const std::uint64_t end = m_entries.empty() ? m_end : m_entries.back().extent.end();
    if (const char* problem = entry_problem(entry, end, m_tail.disk_size); problem != nullptr) {
      throw std::logic_error(std::string("an entry of a layer ") + problem);
    }
    if (!m_entries.empty() && continues(m_entries.back(), entry)) {
      m_entries.back().extent.length += entry.extent.length;
      return;
    }
    if (m_entries.size() == k_block_entries) {
      close_block();
    }
    m_entries.push_back(entry);
    m_packs.push_back(entry.extent.kind == ExtentKind::zero ? 0 : number_of(entry.place));
  }

  LayerReference finish() {
    if (!m_entries.empty()) {
      close_block();
    }
    const Bytes tail = m_keyring.seal_index(compress(tail_bytes(m_tail)), tail_name(m_key));
    Bytes footer;
    append_number(footer, m_written);
    append_number(footer, static_cast<std::uint64_t>(tail.size()));
    append_bytes(footer, bytes_of(k_end_magic));
    put(tail);
    put(footer);
    return {m_key, m_written, sha256(tail), m_tail.totals.extents};
  }

 private:
  std::uint32_t number_of(const RecordPlace& place) {
    const auto [found, added] =
        m_numbers.try_emplace(place.pack, static_cast<std::uint32_t>(m_tail.packs.size()));
    if (added) {
      m_tail.packs.push_back(place.pack);
      m_tail.pack_ends.push_back(0);
    }
    std::uint64_t& end = m_tail.pack_ends[found->second];
    end = std::max(end, place.offset + place.length);
    return found->second;
  }
  void close_block() {
    const Bytes block = m_keyring.seal_index(block_bytes(m_entries, m_packs),
                                             block_name(m_key, m_tail.blocks.size()));
    BlockPlace place;
    place.begin = m_entries.front().extent.offset;
    place.end = m_entries.back().extent.end();
    place.place = m_written;
    place.length = static_cast<std::uint32_t>(block.size());
    place.entries = static_cast<std::uint32_t>(m_entries.size());
    place.digest = sha256(block);
    m_tail.blocks.push_back(place);
    put(block);
    for (const LayerEntry& entry : m_entries) {
      m_tail.totals.add(entry.extent);
    }
    m_end = place.end;
    m_entries.clear();
    m_packs.clear();
  }
  void put(ByteView bytes) {
    write_all(m_fd.get(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, m_name);
    m_written += bytes.size();
  }

  std::string m_name;
  std::string m_key;
  const Keyring& m_keyring;
  UniqueFd m_fd;
  std::uint64_t m_written = 0;
  std::uint64_t m_end = 0;
  std::vector<LayerEntry> m_entries;
  std::vector<std::uint32_t> m_packs;
  std::map<PackName, std::uint32_t> m_numbers;
  Tail m_tail;
};

}  // namespace

LayerReference write_layer(const std::filesystem::path& path, const std::string& key,
                           std::uint64_t disk_size, const Keyring& keyring, EntrySource& entries) {
  LayerWriter writer(path, key, disk_size, keyring);
  LayerEntry entry;
  while (entries.next(entry)) {
    writer.add(entry);
  }
  return writer.finish();
}

}  // namespace hamal::repository
