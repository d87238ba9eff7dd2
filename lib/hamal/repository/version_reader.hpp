// A disk of a version as something to read: its records fetched, decoded and checked by worker
// threads.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "hamal/block/block_reader.hpp"
#include "hamal/repository/layer_stack.hpp"
#include "hamal/repository/repository.hpp"

namespace hamal::repository {

struct VersionDisk {
  std::string uri;   ///< of the endpoint, for messages and identity
  std::string name;  ///< for people: "disk 0 of version 12 of web01"
  std::uint64_t size = 0;
  LayerStack layers;
};

/// Every byte that is read was checked against its record's id. What cannot be read is an Error of
/// the request that names version, range and pack; other requests go on. Memory: `memory` bytes of
/// packs read ahead, and a few MiB per thread. The repository lives as long as the reader and what
/// its allocated() gave.
std::unique_ptr<BlockReader> open_version_reader(std::shared_ptr<Repository> repository,
                                                 VersionDisk disk,
                                                 std::uint64_t memory = 64U << 20);

}  // namespace hamal::repository
