// The NBD platform: exports as disks, an operator's bitmap as the cursor.
#include "hamal/platform/nbd/nbd_platform.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "hamal/platform/nbd/nbd_sources.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/random_id.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

constexpr const char* k_change_prefix = "bitmap:";
constexpr const char* k_context_prefix = "qemu:dirty-bitmap:";
constexpr const char* k_disk_key = "disk.";

struct Export {
  std::string id;
  std::string uri;
};

class NbdPlatform final : public Platform {
 public:
  NbdPlatform(std::string name, const NamedSection& section, const CancelToken& cancel)
      : m_name(std::move(name)),
        m_bitmap(section.get("bitmap")),
        m_cancel(cancel),
        m_sources(m_bitmap.empty() ? "" : k_context_prefix + m_bitmap, cancel) {
    if (section.values.empty()) {
      return;  // ad hoc
    }
    m_vm_name = section.get("vm", section.name);
    m_vm_id = section.get("vm_id", m_vm_name);
    if (section.has("uri")) {
      m_exports.push_back({"0", section.require("uri")});
    }
    for (const auto& [key, value] : section.values) {
      if (key.starts_with(k_disk_key)) {
        m_exports.push_back({key.substr(std::string(k_disk_key).size()), section.require(key)});
      }
    }
    if (m_exports.empty()) {
      section.require("uri");
    }
  }

  std::vector<Vm> vms() override {
    if (m_exports.empty()) {
      return {};
    }
    Vm vm{m_vm_id, m_vm_name, "unknown", {}};
    for (const Export& one : m_exports) {
      VmDisk disk{one.id, one.uri, 0, true, {}};
      try {
        const auto reader = m_sources.open(one.uri);
        disk.size = reader->size();
        disk.reason = tracking(*reader).reason;
      } catch (const Error& error) {
        disk.protectable = false;
        disk.reason = error.what();
      }
      vm.disks.push_back(std::move(disk));
    }
    return {vm};
  }

  SnapshotDocument create_snapshot(const std::string& vm, const SnapshotOptions& options) override {
    const std::vector<Export> chosen = choose(vm, options.disks);
    if (options.offline != Offline::yes) {
      throw Error(ErrorKind::failed, "an NBD export cannot be frozen from here", m_name + ":" + vm,
                  "export a snapshot, or see that nothing writes to it, and say --offline");
    }
    if (options.quiesce == Quiesce::require) {
      throw Error(ErrorKind::failed, "an NBD server knows no guest that could be quiesced",
                  m_name + ":" + vm, "leave out --quiesce=require");
    }
    SnapshotDocument document;
    document.platform = m_name;
    document.platform_type = "nbd";
    document.vm_id = m_exports.empty() ? vm : m_vm_id;
    document.vm_name = m_exports.empty() ? export_name(vm) : m_vm_name;
    document.snapshot_id = "nbd-" + random_hex(8);
    document.created = rfc3339(system_clock().wall());
    for (const Export& one : chosen) {
      const auto reader = m_sources.open(one.uri);
      const Tracking tracked = tracking(*reader);
      SnapshotDisk disk;
      disk.id = one.id;
      disk.label = one.uri;
      disk.size = reader->size();
      disk.source = one.uri;
      disk.tracked = tracked.tracked;
      if (tracked.tracked) {
        disk.change_id = k_change_prefix + m_bitmap;
      } else {
        disk.untracked_reason = tracked.reason;
      }
      document.disks.push_back(std::move(disk));
    }
    return document;
  }

  std::vector<SnapshotInfo> list_snapshots(const std::string&) override { return {}; }

  void finish_snapshot(const SnapshotDocument&, Outcome, const std::vector<std::string>&) override {
    // Nothing was created; the bitmap is the operator's.
  }

  void delete_snapshot(const std::string&, const std::string&) override {}

  Changes changed_extents(const SnapshotDocument&, const SnapshotDisk& disk,
                          const std::string& base) override {
    const std::unique_ptr<NbdReader> reader = open_nbd(disk);
    if (base.empty()) {
      return {SyncMode::full, "no base was given", reader->allocated()};
    }
    if (!base.starts_with(k_change_prefix)) {
      return {SyncMode::full, "the base \"" + base + "\" is not a bitmap", reader->allocated()};
    }
    const std::string bitmap = base.substr(std::string(k_change_prefix).size());
    const std::string context = k_context_prefix + bitmap;
    if (reader->offers(context)) {
      return {SyncMode::incremental, "bitmap " + bitmap, reader->dirty(context)};
    }
    // Another bitmap than the configured one: only a connection that asked for it can tell.
    if (bitmap != m_bitmap && reader->max_queues() > 1) {
      NbdReader other(disk.source, {context}, &m_cancel);
      if (other.offers(context)) {
        return {SyncMode::incremental, "bitmap " + bitmap, other.dirty(context)};
      }
    }
    return {SyncMode::full, "the server no longer offers the bitmap \"" + bitmap + "\"",
            reader->allocated()};
  }

  std::unique_ptr<BlockReader> open_reader(const SnapshotDisk& disk) override {
    return open_nbd(disk);
  }

  void verify_snapshot(const std::string& vm_id, const std::string&,
                       const SnapshotDisk& disk) override {
    try {
      // Asks the server itself: a connection that has ended would only be noticed by using it.
      std::array<std::byte, 1> probe{};
      const auto reader = open_nbd(disk);
      reader->read(0, std::span(probe).first(disk.size == 0 ? 0 : 1));
    } catch (const Error& error) {
      throw Error(ErrorKind::failed,
                  std::string("the export that was read is not what it was: ") + error.what(),
                  m_name + ":" + vm_id, "run again", Transience::transient);
    }
  }

 private:
  struct Tracking {
    bool tracked;
    std::string reason;
  };

  Tracking tracking(const NbdReader& reader) const {
    if (m_bitmap.empty()) {
      return {false, "no bitmap is configured"};
    }
    if (!reader.offers(k_context_prefix + m_bitmap)) {
      return {false, "the server does not offer the bitmap \"" + m_bitmap + "\""};
    }
    return {true, "bitmap " + m_bitmap};
  }

  static std::string export_name(const std::string& uri) {
    const std::size_t scheme = uri.find("://");
    const std::size_t slash = uri.find('/', scheme == std::string::npos ? 0 : scheme + 3);
    const std::string name =
        slash == std::string::npos ? "" : uri.substr(slash + 1, uri.find('?') - slash - 1);
    return name.empty() ? "nbd" : name;
  }

  std::vector<Export> choose(const std::string& vm, const std::vector<std::string>& ids) const {
    std::vector<Export> all = m_exports;
    if (all.empty()) {
      if (parse_endpoint(vm).kind != EndpointKind::nbd) {
        throw Error(ErrorKind::usage, "not an NBD URI", vm,
                    "the platform \"nbd\" takes nbd:// and nbd+unix:// URIs");
      }
      all.push_back({"0", vm});
    } else if (vm != m_vm_id && vm != m_vm_name) {
      throw Error(ErrorKind::usage, "no such vm", m_name + ":" + vm,
                  "the section [platform " + m_name + "] describes the vm " + m_vm_name);
    }
    if (ids.empty()) {
      return all;
    }
    std::vector<Export> chosen;
    for (const std::string& id : ids) {
      const auto found = std::find_if(all.begin(), all.end(), [&](const Export& one) {
        return one.id == id || std::to_string(&one - all.data()) == id;
      });
      if (found == all.end()) {
        throw Error(ErrorKind::usage, "no such disk", m_name + ":" + vm + "/" + id,
                    "hamal-snapshot vms " + m_name + " lists them");
      }
      chosen.push_back(*found);
    }
    return chosen;
  }

  std::unique_ptr<NbdReader> open_nbd(const SnapshotDisk& disk) {
    if (parse_endpoint(disk.source).kind != EndpointKind::nbd) {
      throw Error(ErrorKind::usage, "not an NBD URI", disk.source);
    }
    auto reader = m_sources.open(disk.source);
    if (reader->size() != disk.size) {
      throw Error(ErrorKind::failed,
                  "the export has " + std::to_string(reader->size()) + " bytes and had " +
                      std::to_string(disk.size) + " when the snapshot was made",
                  disk.source, "make a new snapshot");
    }
    return reader;
  }

  std::string m_name;
  std::string m_vm_id;
  std::string m_vm_name;
  std::string m_bitmap;
  std::vector<Export> m_exports;  ///< empty: ad hoc
  const CancelToken& m_cancel;
  NbdSources m_sources;
};

}  // namespace

std::unique_ptr<Platform> make_nbd_platform(const std::string& name, const NamedSection& section,
                                            const PlatformContext& context) {
  return std::make_unique<NbdPlatform>(name, section, context.cancel);
}

}  // namespace hamal
