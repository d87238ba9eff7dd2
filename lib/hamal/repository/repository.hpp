// An opened repository: its description, its versions, its checkpoints.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hamal/config/config.hpp"
#include "hamal/repository/condemned.hpp"
#include "hamal/repository/description.hpp"
#include "hamal/repository/keyring.hpp"
#include "hamal/repository/layer_stack.hpp"
#include "hamal/repository/manifest.hpp"
#include "hamal/repository/moved.hpp"
#include "hamal/store/object_store.hpp"

namespace hamal::repository {

/// One visible version, without its manifest's bulk.
struct VersionName {
  VmName vm;
  std::uint64_t generation = 0;
  std::string key;  ///< of its slot
};

/// Thread-safe. Keeps what it reads of immutable objects. Errors: hamal::Error.
class Repository {
 public:
  virtual ~Repository() = default;
  virtual ObjectStore& store() noexcept = 0;
  virtual const Keyring& keyring() const noexcept = 0;
  /// Random, made by init.
  virtual const std::string& id() const noexcept = 0;

  /// Machines with at least one slot.
  virtual std::vector<VmName> vms() = 0;
  /// Keys of all filled slots of a vm, ascending: versions and tombstones, dropped ones included.
  virtual std::vector<VersionName> slots(const VmName& vm) = 0;
  /// Waits list_lag first where the store has one.
  virtual Condemned condemned() = 0;
  /// nullopt: a tombstone.
  virtual std::optional<Manifest> read_version(const VersionName& slot) = 0;
  /// Those neither tombstones nor condemned, ascending by generation.
  virtual std::vector<Manifest> visible_versions(const VmName& vm) = 0;
  /// The newest visible version that includes the disk; nullopt: none.
  virtual std::optional<Manifest> newest_with_disk(const VmName& vm,
                                                   const std::string& disk_id) = 0;
  virtual LayerStack open_layers(const DiskVersion& disk) = 0;
  /// The compactions as they are now. Does not wait list_lag.
  virtual std::shared_ptr<const Moves> read_moves() = 0;
  /// Where a record lies now: compactions move records (moved.hpp). The place itself when nothing
  /// moved it.
  virtual RecordPlace current_place(const RecordPlace& place) = 0;
  /// After ObjectMissing of a pack: a compaction may have moved what was in it, so they are read
  /// again, once per pack. Names are never used again: what current_place() still finds in it is
  /// lost, and nobody need ask the store.
  virtual void look_again(const PackName& missing) = 0;
  /// look_again() has returned for it.
  virtual bool is_missing(const PackName& pack) = 0;
};

/// What init is told.
struct InitOptions {
  std::vector<std::string> recipients;  ///< public keys (PEM); empty: no encryption
  RepositorySection keys;               ///< of the configuration
};

/// Makes repository.json and returns what is in it; Error(usage) when there is one.
Description init_repository(ObjectStore& store, const InitOptions& options);

/// Opens one. Secrets (index key, private key) come from the [repository] section of the
/// configuration, by reference. Throws Error(usage) when there is none, naming `hamal-repo init`.
std::unique_ptr<Repository> open_repository(std::unique_ptr<ObjectStore> store,
                                            const Config& config);

}  // namespace hamal::repository
