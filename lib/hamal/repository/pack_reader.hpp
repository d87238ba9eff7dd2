// Bytes of packs. Small reads of packs that many small reads are expected from go through chunks
// that are kept: a disk that a thousand small runs changed is read from a thousand packs, each in
// order, and a request per record would be a request per 4 KiB.
#pragma once
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "hamal/repository/layer_stack.hpp"
#include "hamal/repository/repository.hpp"

namespace hamal::repository {

/// Thread-safe.
class PackReader {
 public:
  /// `memory`: bytes of chunks kept; shared among the packs that the layers name.
  PackReader(Repository& repository, const LayerStack& layers, std::uint64_t memory);

  /// [offset, offset + length) of a pack, at the beginning of the buffer, which only ever grows, so
  /// that it is not filled with zeros again and again. Throws ObjectMissing, Error.
  void read(const PackName& pack, std::uint64_t offset, std::uint64_t length, Bytes& buffer);
  /// Keeps nothing of a pack whose bytes turned out wrong: a retry asks the store again.
  void forget(const PackName& pack);
  /// The data keys of a pack's records; none where nothing is sealed.
  std::shared_ptr<const std::vector<KeyId>> keys(const PackName& pack);
  std::string key_object(const KeyId& id);

 private:
  using ChunkName = std::pair<PackName, std::uint64_t>;
  using Chunk = std::shared_ptr<const Bytes>;

  Chunk chunk(const ChunkName& name, std::uint64_t end);

  Repository& m_repository;
  std::uint64_t m_memory;
  std::uint64_t m_chunk_bytes = 0;  ///< 0: none are kept
  std::map<PackName, std::uint64_t> m_ends;
  std::mutex m_mutex;
  std::list<std::pair<ChunkName, Chunk>> m_kept;  ///< the last used first
  std::map<ChunkName, std::list<std::pair<ChunkName, Chunk>>::iterator> m_index;
  std::uint64_t m_kept_bytes = 0;
  std::map<PackName, std::shared_ptr<const std::vector<KeyId>>> m_keys;
};

}  // namespace hamal::repository
