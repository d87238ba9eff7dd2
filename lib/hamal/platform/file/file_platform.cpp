// The file platform: inventory, reflink or offline snapshots, fulls.
#include "hamal/platform/file/file_platform.hpp"

#include <algorithm>

#include "hamal/platform/file/image_tree.hpp"
#include "hamal/platform/file/reflink.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/random_id.hpp"
#include "hamal/util/text.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

constexpr const char* k_untracked = "the file platform tracks no changes";
/// Snapshots that created nothing.
constexpr const char* k_offline_prefix = "offline-";

class FilePlatform final : public Platform {
 public:
  FilePlatform(std::string name, const NamedSection& section, const PlatformContext& context)
      : m_name(std::move(name)), m_context(context), m_directory(section.get("path")) {
    const std::string offline = to_lower(section.get("offline"));
    m_offline = offline == "true" || offline == "yes" || offline == "on" || offline == "1";
  }

  std::vector<Vm> vms() override {
    std::vector<Vm> result;
    if (is_adhoc()) {
      return result;
    }
    for (const ImageVm& found : find_image_vms(m_directory)) {
      Vm vm{found.id, found.name, "unknown", {}};
      for (const ImageFile& image : found.images) {
        vm.disks.push_back(
            {image.id, image.path.filename().string(), image.size, true, k_untracked});
      }
      result.push_back(std::move(vm));
    }
    return result;
  }

  SnapshotDocument create_snapshot(const std::string& vm, const SnapshotOptions& options) override {
    const ImageVm found = find(vm);
    const std::vector<ImageFile> chosen = choose(found, options.disks);
    const bool offline = m_offline || options.offline == Offline::yes;
    if (options.quiesce == Quiesce::require) {
      throw Error(ErrorKind::failed, "image files have no guest agent that could be quiesced",
                  object(found), "leave out --quiesce=require");
    }
    if (!offline && chosen.size() > 1) {
      throw Error(ErrorKind::failed,
                  "its " + std::to_string(chosen.size()) +
                      " disks are separate files, which cannot be frozen at one moment",
                  object(found), "choose one disk, or stop the machine and say --offline");
    }
    const ReflinkStore store(found.directory, m_context.mark);
    SnapshotDocument document;
    document.platform = m_name;
    document.platform_type = "file";
    document.vm_id = found.id;
    document.vm_name = found.name;
    document.snapshot_id = offline ? k_offline_prefix + random_hex(8) : store.new_id();
    document.created = rfc3339(system_clock().wall());
    document.quiesced = false;
    for (const ImageFile& image : chosen) {
      SnapshotDisk disk;
      disk.id = image.id;
      disk.label = image.path.filename().string();
      disk.size = image.size;
      disk.untracked_reason = k_untracked;
      if (offline) {
        disk.source = file_uri(image.path.string());
      } else {
        store.clone(image.path, document.snapshot_id);
        const auto copy = store.copy_path(document.snapshot_id, disk.label);
        disk.source = file_uri(copy.string());
        // The image may have grown since it was listed.
        disk.size = open_block_reader(parse_endpoint(disk.source))->size();
      }
      document.disks.push_back(std::move(disk));
    }
    return document;
  }

  std::vector<SnapshotInfo> list_snapshots(const std::string& vm) override {
    const ImageVm found = find(vm);
    const ReflinkStore store(found.directory, m_context.mark);
    std::vector<SnapshotInfo> result;
    for (const std::string& id : store.list()) {
      // Several images may share a directory: the snapshot is of the vm whose image it holds.
      std::error_code error;
      const bool holds =
          std::any_of(found.images.begin(), found.images.end(), [&](const ImageFile& image) {
            return std::filesystem::exists(store.copy_path(id, image.path.filename().string()),
                                           error);
          });
      if (holds) {
        result.push_back({id, found.id, created_of(id), "held", store.is_ours(id)});
      }
    }
    return result;
  }

  void finish_snapshot(const SnapshotDocument& document, Outcome,
                       const std::vector<std::string>&) override {
    // Nothing is tracked: committed or failed, the next run needs nothing of it.
    delete_snapshot(document.vm_id, document.snapshot_id);
  }

  void delete_snapshot(const std::string& vm, const std::string& snapshot_id) override {
    if (!snapshot_id.starts_with(k_offline_prefix)) {
      ReflinkStore(directory_of(vm), m_context.mark).remove(snapshot_id);
    }
  }

  Changes changed_extents(const SnapshotDocument&, const SnapshotDisk& disk,
                          const std::string& base) override {
    return {SyncMode::full, base.empty() ? "no base was given" : k_untracked,
            open_reader(disk)->allocated()};
  }

  std::unique_ptr<BlockReader> open_reader(const SnapshotDisk& disk) override {
    const Endpoint endpoint = parse_endpoint(disk.source);
    if (endpoint.kind != EndpointKind::file && endpoint.kind != EndpointKind::device) {
      throw Error(ErrorKind::usage, "not a source of the file platform", disk.source);
    }
    auto reader = open_block_reader(endpoint);
    if (reader->size() != disk.size) {
      throw Error(ErrorKind::failed,
                  "has " + std::to_string(reader->size()) + " bytes and had " +
                      std::to_string(disk.size) + " when the snapshot was made",
                  disk.source, "make a new snapshot, of an image that nothing changes");
    }
    return reader;
  }

  void verify_snapshot(const std::string& vm_id, const std::string& snapshot_id,
                       const SnapshotDisk& disk) override {
    try {
      open_reader(disk);
    } catch (const Error& error) {
      throw Error(ErrorKind::failed,
                  "the snapshot " + snapshot_id + " is not what it was: " + error.what(),
                  m_name + ":" + vm_id, "make a new snapshot and run again", Transience::transient);
    }
  }

 private:
  bool is_adhoc() const { return m_directory.empty(); }

  std::string object(const ImageVm& vm) const { return m_name + ":" + vm.id; }

  ImageVm find(const std::string& vm) const {
    if (is_adhoc()) {
      return adhoc_image_vm(vm);
    }
    for (ImageVm& one : find_image_vms(m_directory)) {
      if (one.id == vm || one.name == vm) {
        return std::move(one);
      }
    }
    throw Error(ErrorKind::usage, "no such vm in " + m_directory, m_name + ":" + vm,
                "hamal-snapshot vms " + m_name + " lists them");
  }

  /// Where the vm's snapshots are, even if its images are gone.
  std::filesystem::path directory_of(const std::string& vm) const {
    if (is_adhoc()) {
      if (vm.starts_with('/')) {
        return std::filesystem::path(vm).parent_path();
      }
      return adhoc_image_vm(vm).directory;
    }
    for (const ImageVm& one : find_image_vms(m_directory)) {
      if (one.id == vm || one.name == vm) {
        return one.directory;
      }
    }
    // Its images are gone, its snapshots need not be; the id is only trusted as a plain name.
    const std::filesystem::path inner = std::filesystem::path(m_directory) / vm;
    std::error_code error;
    const bool plain = !vm.empty() && vm.find('/') == std::string::npos && vm != "..";
    return plain && std::filesystem::is_directory(inner, error)
               ? inner
               : std::filesystem::path(m_directory);
  }

  std::vector<ImageFile> choose(const ImageVm& vm, const std::vector<std::string>& ids) const {
    if (ids.empty()) {
      return vm.images;
    }
    std::vector<ImageFile> chosen;
    for (const std::string& id : ids) {
      const auto image =
          std::find_if(vm.images.begin(), vm.images.end(), [&](const ImageFile& one) {
            return one.id == id || std::to_string(&one - vm.images.data()) == id;
          });
      if (image == vm.images.end()) {
        throw Error(ErrorKind::usage, "no such disk", object(vm) + "/" + id,
                    "hamal-snapshot vms " + m_name + " lists them");
      }
      chosen.push_back(*image);
    }
    return chosen;
  }

  /// MARK-20261122T212435Z-RANDOM → RFC 3339.
  static std::string created_of(const std::string& id) {
    const std::size_t dash = id.find('-');
    if (dash == std::string::npos || id.size() < dash + 17) {
      return {};
    }
    const std::string t = id.substr(dash + 1, 16);
    return t.substr(0, 4) + "-" + t.substr(4, 2) + "-" + t.substr(6, 5) + ":" + t.substr(11, 2) +
           ":" + t.substr(13, 3);
  }

  std::string m_name;
  PlatformContext m_context;
  std::string m_directory;
  bool m_offline = false;
};

}  // namespace

std::unique_ptr<Platform> make_file_platform(const std::string& name, const NamedSection& section,
                                             const PlatformContext& context) {
  return std::make_unique<FilePlatform>(name, section, context);
}

}  // namespace hamal
