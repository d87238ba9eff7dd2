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
  /// Where a record lies now: compactions move records (moved.hpp). The place itself when nothing
  /// moved it. `refresh` reads the compactions again: after ObjectMissing.
  virtual RecordPlace current_place(const RecordPlace& place, bool refresh) = 0;
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
