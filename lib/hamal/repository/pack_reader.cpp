#include "hamal/repository/pack_reader.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>

#include "hamal/repository/names.hpp"
#include "hamal/repository/pack.hpp"

namespace hamal::repository {
namespace {

constexpr std::uint64_t k_smallest_chunk = 16U << 10;
constexpr std::uint64_t k_largest_chunk = 256U << 10;
constexpr std::size_t k_known_key_tables = 65536;
constexpr std::uint64_t k_max_key_object = 1U << 20;

}  // namespace

PackReader::PackReader(Repository& repository, const LayerStack& layers, std::uint64_t memory)
    : m_repository(repository), m_memory(memory) {
  std::uint64_t packs = 0;
  for (const auto& layer : layers) {
    packs += layer->packs().size();
  }
  if (packs == 0 || memory / packs < k_smallest_chunk) {
    return;
  }
  m_chunk_bytes = std::min(std::bit_floor(memory / packs), k_largest_chunk);
  for (const auto& layer : layers) {
    layer->pack_ends([&](const PackName& pack, std::uint64_t end) {
      std::uint64_t& known = m_ends[pack];
      known = std::max(known, end);
    });
  }
}

void PackReader::read(const PackName& pack, std::uint64_t offset, std::uint64_t length,
                      Bytes& buffer) {
  if (buffer.size() < length) {
    buffer.resize(length);
  }
  const auto into = std::span(buffer).first(length);
  const auto end = m_ends.find(pack);
  if (m_chunk_bytes == 0 || length > m_chunk_bytes / 2 || end == m_ends.end() ||
      offset + length > end->second) {
    m_repository.store().get_range(pack_key(pack), offset, into);
    return;
  }
  for (std::uint64_t done = 0; done < length;) {
    const std::uint64_t at = offset + done;
    Chunk found;
    try {
      found = chunk({pack, at / m_chunk_bytes}, end->second);
    } catch (const ObjectMissing&) {
      throw;
    } catch (const Error& error) {
      // Of a pack that was cut, what lies before the cut is as it was.
      if (error.kind() != ErrorKind::failed || error.transient()) {
        throw;
      }
      m_repository.store().get_range(pack_key(pack), offset, into);
      return;
    }
    const std::uint64_t skip = at % m_chunk_bytes;
    const std::uint64_t part = std::min(length - done, found->size() - skip);
    std::memcpy(into.data() + done, found->data() + skip, part);
    done += part;
  }
}

PackReader::Chunk PackReader::chunk(const ChunkName& name, std::uint64_t end) {
  {
    const std::lock_guard lock(m_mutex);
    if (const auto found = m_index.find(name); found != m_index.end()) {
      m_kept.splice(m_kept.begin(), m_kept, found->second);
      return found->second->second;
    }
  }
  const std::uint64_t begin = name.second * m_chunk_bytes;
  auto bytes = std::make_shared<Bytes>(std::min(m_chunk_bytes, end - begin));
  m_repository.store().get_range(pack_key(name.first), begin, *bytes);
  const std::lock_guard lock(m_mutex);
  if (!m_index.contains(name)) {
    m_kept.emplace_front(name, bytes);
    m_index[name] = m_kept.begin();
    m_kept_bytes += bytes->size();
    while (m_kept_bytes > m_memory && m_kept.size() > 1) {
      m_kept_bytes -= m_kept.back().second->size();
      m_index.erase(m_kept.back().first);
      m_kept.pop_back();
    }
  }
  return bytes;
}

void PackReader::forget(const PackName& pack) {
  const std::lock_guard lock(m_mutex);
  m_keys.erase(pack);
  for (auto at = m_index.lower_bound({pack, 0}); at != m_index.end() && at->first.first == pack;) {
    m_kept_bytes -= at->second->second->size();
    m_kept.erase(at->second);
    at = m_index.erase(at);
  }
}

std::shared_ptr<const std::vector<KeyId>> PackReader::keys(const PackName& pack) {
  static const auto k_none = std::make_shared<const std::vector<KeyId>>();
  if (!m_repository.keyring().encrypted()) {
    return k_none;
  }
  {
    const std::lock_guard lock(m_mutex);
    if (const auto found = m_keys.find(pack); found != m_keys.end()) {
      return found->second;
    }
  }
  const std::string key = pack_key(pack);
  const std::string object = m_repository.store().uri() + "/" + key;
  // Most packs have one data key: this is all of their header.
  Bytes header(pack_header_bytes(1));
  m_repository.store().get_range(key, 0, header);
  if (const std::uint64_t whole = parse_pack_header_bytes(header, object); whole > header.size()) {
    header.resize(whole);
    m_repository.store().get_range(key, 0, header);
  }
  auto keys = std::make_shared<const std::vector<KeyId>>(parse_pack_header(header, object));
  const std::lock_guard lock(m_mutex);
  if (m_keys.size() >= k_known_key_tables) {
    m_keys.clear();
  }
  m_keys[pack] = keys;
  return keys;
}

std::string PackReader::key_object(const KeyId& id) {
  return m_repository.store().get(data_key_key(id), k_max_key_object);
}

}  // namespace hamal::repository
