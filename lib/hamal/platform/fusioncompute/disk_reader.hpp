// Which way a frozen disk is read, and why.
#pragma once
#include <memory>
#include <string>

#include "hamal/block/block_reader.hpp"
#include "hamal/platform/ceph_clusters.hpp"
#include "hamal/platform/fusioncompute/host_slots.hpp"
#include "hamal/platform/fusioncompute/settings.hpp"
#include "hamal/platform/fusioncompute/vrm_reply.hpp"
#include "hamal/platform/platform.hpp"

namespace hamal::fusioncompute {

/// A disk of a snapshot of ours, as the server has it now.
struct FrozenDisk {
  Machine machine;
  Disk disk;  ///< of the vm as it is now
  Snapshot snapshot;
  VolumeSnapshot volume;

  std::string object() const { return machine.name + "/" + disk.id(); }
};

struct ReadChoice {
  ReadBy by = ReadBy::automatic;
  std::string place;   ///< the operator's template, of rbd, nbd and file
  std::string reason;  ///< for people
};

/// As in the configuration: "rbd".
const char* word_of(ReadBy by);
/// "read by rbd: rbd_uri is configured"
std::string describe(const ReadChoice& choice);

/// Throws Error, with what the operator can provide, when there is no way.
ReadChoice choose_reader(VrmClient& client, const Settings& settings, const FrozenDisk& frozen);

/// Opens it that way, and logs the choice. `size` in bytes; `uri` is the disk's name in messages.
std::unique_ptr<BlockReader> open_disk_reader(const std::shared_ptr<VrmClient>& client,
                                              const Settings& settings, const FrozenDisk& frozen,
                                              std::uint64_t size, const std::string& uri,
                                              CephClusters& clusters, const HostSlots& slots,
                                              const PlatformContext& context);

/// A template with its {words} replaced; what is put into a path has no "/" in it. Throws Error for
/// a word that the server has no value for.
enum class Encode { percent, path_component };
std::string fill_in(const std::string& text, const FrozenDisk& frozen, const Volume& volume,
                    const std::string& datastore, Encode encode);

}  // namespace hamal::fusioncompute
