// The repository platform: versions listed, chosen, compared and opened.
#include "hamal/platform/repository/repository_platform.hpp"

#include <algorithm>
#include <utility>

#include "hamal/extent/algebra.hpp"
#include "hamal/platform/repository/version_names.hpp"
#include "hamal/repository/repository.hpp"
#include "hamal/repository/version_reader.hpp"
#include "hamal/store/open_store.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

using repository::DiskVersion;
using repository::Manifest;
using repository::Repository;
using repository::VmName;
using namespace repository_platform;

/// Keeps the repository as long as extents of its layers are read.
class KeptSource final : public ExtentSource {
 public:
  KeptSource(std::shared_ptr<Repository> repository, ExtentSourcePtr source)
      : m_repository(std::move(repository)), m_source(std::move(source)) {}
  bool next(std::vector<Extent>& window) override { return m_source->next(window); }

 private:
  std::shared_ptr<Repository> m_repository;
  ExtentSourcePtr m_source;
};

class RepositoryPlatform final : public Platform {
 public:
  RepositoryPlatform(std::string name, std::string endpoint, const PlatformContext& context)
      : m_name(std::move(name)), m_uri(std::move(endpoint)), m_context(context) {}

  std::vector<Vm> vms() override {
    std::vector<Vm> result;
    const auto condemned = repository().condemned();
    for (const VmName& name : repository().vms()) {
      const auto newest = newest_version(name, condemned);
      if (!newest) {
        continue;  // all its versions were dropped
      }
      Vm vm{vm_id_of(name), newest->vm_name, "unknown", {}};
      for (const DiskVersion& disk : newest->disks) {
        vm.disks.push_back({disk.id, disk.label, disk.size, true, "versions tell what changed"});
      }
      result.push_back(std::move(vm));
    }
    return result;
  }

  SnapshotDocument create_snapshot(const std::string& vm, const SnapshotOptions& options) override {
    const Manifest version = choose(find_vm(vm), options.at);
    SnapshotDocument document;
    document.platform = m_name;
    document.platform_type = "repository";
    document.vm_id = vm_id_of(version.vm);
    document.vm_name = version.vm_name;
    document.snapshot_id = std::to_string(version.generation);
    document.created = version.created;
    for (const DiskVersion& disk : version.disks) {
      SnapshotDisk frozen;
      frozen.id = disk.id;
      frozen.label = disk.label;
      frozen.size = disk.size;
      frozen.change_id = change_id_of(version.generation, disk);
      frozen.source = to_uri({m_uri, document.vm_id, disk.id, version.generation});
      frozen.tracked = true;
      // As in its own vm, also where the disks before it are not in this version.
      frozen.index = disk.index;
      document.disks.push_back(std::move(frozen));
    }
    if (!options.disks.empty()) {
      std::vector<SnapshotDisk> chosen;
      for (const std::string& disk : options.disks) {
        chosen.push_back(document.disk(disk));
      }
      document.disks = std::move(chosen);
    }
    return document;
  }

  std::vector<SnapshotInfo> list_snapshots(const std::string& vm) override {
    std::vector<SnapshotInfo> result;
    const VmName name = find_vm(vm);
    for (const Manifest& version : repository().visible_versions(name)) {
      result.push_back(
          {std::to_string(version.generation), vm_id_of(name), version.created, "held", false});
    }
    return result;
  }

  void finish_snapshot(const SnapshotDocument&, Outcome, const std::vector<std::string>&) override {
    // A version stays until hamal-repo prune drops it.
  }
  void delete_snapshot(const std::string&, const std::string&) override {}

  Changes changed_extents(const SnapshotDocument& document, const SnapshotDisk& disk,
                          const std::string& base) override {
    const auto to_generation = generation_of(document.snapshot_id);
    if (!to_generation) {
      throw Error(ErrorKind::usage, "not the id of a version", document.snapshot_id,
                  "hamal-snapshot list shows them");
    }
    const VmName vm = find_vm(document.vm_id);
    const Manifest to = choose(vm, document.snapshot_id);
    const DiskVersion& to_disk = disk_of(to, disk.id);
    const repository::LayerStack to_layers = repository().open_layers(to_disk);
    std::string reason = base.empty() ? "no base was given" : "";
    std::optional<DiskVersion> from;
    if (!base.empty()) {
      from = base_disk(vm, disk.id, base, to_disk.size, reason);
    }
    if (!from) {
      return {SyncMode::full, reason, kept(extents_of(visible_entries(to_layers)))};
    }
    return {SyncMode::incremental,
            "from version " + std::to_string(*generation_of(base)) + " to version " +
                document.snapshot_id,
            kept(repository::changed_extents(repository().open_layers(*from), to_layers))};
  }

  std::unique_ptr<BlockReader> open_reader(const SnapshotDisk& disk) override {
    const auto source = parse_source(disk.source);
    if (!source) {
      throw Error(ErrorKind::usage, "not a source of the repository platform", disk.source);
    }
    const VmName vm = find_vm(source->vm);
    const Manifest version = choose(vm, std::to_string(source->generation));
    const DiskVersion& found = disk_of(version, source->disk);
    if (found.size != disk.size) {
      throw Error(ErrorKind::failed,
                  "has " + std::to_string(found.size) + " bytes, the snapshot document says " +
                      std::to_string(disk.size),
                  disk.source, "choose the version anew: hamal-snapshot create");
    }
    repository();
    return open_version_reader(
        m_repository, {disk.source,
                       "disk " + found.id + " of version " + std::to_string(version.generation) +
                           " of " + version.vm_name,
                       found.size, repository().open_layers(found)});
  }

  void verify_snapshot(const std::string&, const std::string&, const SnapshotDisk&) override {
    // What was read was checked record by record, and versions never change.
  }

 private:
  /// Opened when first asked for: finishing a version needs no store.
  Repository& repository() {
    if (!m_repository) {
      m_repository = repository::open_repository(
          open_object_store(parse_endpoint(m_uri), m_context.config, m_context.cancel),
          m_context.config);
    }
    return *m_repository;
  }
  ExtentSourcePtr kept(ExtentSourcePtr source) {
    return std::make_unique<KeptSource>(m_repository, std::move(source));
  }

  std::optional<Manifest> newest_version(const VmName& vm, const repository::Condemned& condemned) {
    const auto slots = repository().slots(vm);
    for (auto slot = slots.rbegin(); slot != slots.rend(); ++slot) {
      if (!condemned.versions.contains(slot->key)) {
        if (auto manifest = repository().read_version(*slot)) {
          return manifest;
        }
      }
    }
    return std::nullopt;
  }

  /// By our id, by the id its platform gave it, or by name.
  VmName find_vm(const std::string& text) {
    const std::vector<VmName> all = repository().vms();
    if (const auto exact = parse_vm_id(text);
        exact && std::find(all.begin(), all.end(), *exact) != all.end()) {
      return *exact;
    }
    std::vector<VmName> found;
    std::string known;
    const auto condemned = repository().condemned();
    for (const VmName& vm : all) {
      const auto newest = newest_version(vm, condemned);
      if (newest && (vm.vm_id == text || newest->vm_name == text)) {
        found.push_back(vm);
      }
      if (newest) {
        known += (known.empty() ? "" : ", ") + newest->vm_name + " (" + vm_id_of(vm) + ")";
      }
    }
    if (found.size() == 1) {
      return found.front();
    }
    throw Error(ErrorKind::usage,
                found.empty() ? "the repository has no versions of the vm \"" + text + "\""
                              : std::to_string(found.size()) + " vms are called \"" + text + "\"",
                m_uri, known.empty() ? "it holds no versions yet" : "it holds " + known);
  }

  Manifest choose(const VmName& vm, const std::string& at) {
    const auto condemned = repository().condemned();
    if (at.empty()) {
      if (auto newest = newest_version(vm, condemned)) {
        return *newest;
      }
    } else if (const auto wanted = generation_of(at)) {
      for (const auto& slot : repository().slots(vm)) {
        if (slot.generation == *wanted && !condemned.versions.contains(slot.key)) {
          if (auto manifest = repository().read_version(slot)) {
            return *manifest;
          }
        }
      }
    }
    throw Error(ErrorKind::usage, "has no version " + (at.empty() ? "at all" : at),
                m_uri + ", vm " + vm_id_of(vm),
                "hamal-snapshot list " + m_uri + " shows the versions there are");
  }

  const DiskVersion& disk_of(const Manifest& version, const std::string& disk_id) {
    const auto found = std::find_if(version.disks.begin(), version.disks.end(),
                                    [&](const DiskVersion& disk) { return disk.id == disk_id; });
    if (found == version.disks.end()) {
      throw Error(
          ErrorKind::usage,
          "version " + std::to_string(version.generation) + " does not include disk " + disk_id,
          m_uri, "choose another version: hamal-repo show");
    }
    return *found;
  }

  /// The disk in the version that a change id names; else nullopt and the reason.
  std::optional<DiskVersion> base_disk(const VmName& vm, const std::string& disk_id,
                                       const std::string& base, std::uint64_t size,
                                       std::string& reason) {
    const auto generation = generation_of(base);
    if (!generation) {
      reason = "the base \"" + base + "\" is no version of this repository";
      return std::nullopt;
    }
    const std::string text = std::to_string(*generation);
    try {
      const Manifest version = choose(vm, text);
      DiskVersion disk = disk_of(version, disk_id);
      // A bare generation is a word of the operator; what a checkpoint says must fit in full.
      if (base != text && change_id_of(version.generation, disk) != base) {
        reason = "version " + text + " is not the one that the base names";
        return std::nullopt;
      }
      if (disk.size != size) {
        reason = "the disk has another size in version " + text;
        return std::nullopt;
      }
      return disk;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::usage) {
        throw;
      }
      reason = "version " + text + " is not there any more";
      return std::nullopt;
    }
  }

  std::string m_name;
  std::string m_uri;
  const PlatformContext m_context;
  std::shared_ptr<Repository> m_repository;
};

}  // namespace

bool is_repository_uri(std::string_view name) {
  return name.starts_with("dir:") || name.starts_with("s3:");
}

std::unique_ptr<Platform> make_repository_platform(const std::string& name,
                                                   const NamedSection& section,
                                                   const PlatformContext& context) {
  const std::string endpoint = section.require("endpoint");
  const EndpointKind kind = parse_endpoint(endpoint).kind;
  if (kind != EndpointKind::directory && kind != EndpointKind::s3) {
    throw Error(ErrorKind::usage, "not the endpoint of a repository: " + endpoint,
                "[platform " + name + "]", "write dir:PATH or s3://NAME/PREFIX");
  }
  return std::make_unique<RepositoryPlatform>(name, endpoint, context);
}

}  // namespace hamal
