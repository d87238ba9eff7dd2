// A repository in a scratch directory, sessions of it, and disks that are staged and read back.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "hamal/block/awaited_io.hpp"
#include "hamal/repository/pack.hpp"
#include "hamal/repository/write_session.hpp"
#include "hamal/store/directory_store.hpp"
#include "repository/bytes.hpp"
#include "repository/spy_store.hpp"
#include "util/temporary_directory.hpp"

namespace hamal::repository {

inline constexpr std::uint64_t k_block = 4096;

class SessionLab : public testing::Test {
 protected:
  SessionLab() {
    const auto store = open_store();
    init_repository(*store, {});
    reopen();
  }

  std::unique_ptr<ObjectStore> open_store() {
    return std::make_unique<test::SpyStore>(
        open_directory_store("dir:" + (directory / "store").string(),
                             (directory / "store").string(), cancel),
        spy);
  }

  // As another process would find it.
  void reopen() { repository = open_repository(open_store(), config); }

  SessionContext context() {
    return {*repository, directory / "lib",       log, cancel, system_clock(), outage_max, 4U << 20,
            compression, [this] { still_ours(); }};
  }
  std::unique_ptr<WriteSession> begin(const std::string& snapshot) {
    return begin_session(context(), vm, "web01", snapshot);
  }

  StageRequest request(const std::string& change_id, std::uint64_t size,
                       const std::string& base = {}) {
    StageRequest wanted;
    wanted.id = "vda";
    wanted.label = "root";
    wanted.size = size;
    wanted.change_id = change_id;
    wanted.mode = base.empty() ? SyncMode::full : SyncMode::incremental;
    wanted.reason = "test";
    wanted.base_change_id = base;
    return wanted;
  }

  SnapshotDocument document(const std::string& snapshot) {
    SnapshotDocument one;
    one.platform = vm.platform;
    one.platform_type = "qemu";
    one.vm_id = vm.vm_id;
    one.vm_name = "web01";
    one.snapshot_id = snapshot;
    one.created = "2026-11-25T00:00:00.000Z";
    for (const char* id : {"vda", "vdb"}) {
      SnapshotDisk disk;
      disk.id = id;
      disk.size = k_block;
      disk.source = "file:/gone";
      one.disks.push_back(disk);
    }
    return one;
  }

  static void write(DiskStage& stage, std::uint64_t offset, ByteView bytes) {
    const auto queue = stage.writer().open_queue();
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t part =
          std::min<std::size_t>(stage.writer().max_request(), bytes.size() - at);
      AwaitedIo done;
      queue->write(offset + at, bytes.subspan(at, part), done);
      done.wait(*queue);
      at += part;
    }
  }

  static void zero(DiskStage& stage, std::uint64_t offset, std::uint64_t length) {
    const auto queue = stage.writer().open_queue();
    AwaitedIo done;
    queue->zero(offset, length, done);
    done.wait(*queue);
  }

  /// A whole version of one disk.
  Manifest commit_full(const std::string& snapshot, ByteView disk) {
    const auto session = begin(snapshot);
    const auto stage = session->stage(request("c-" + snapshot, disk.size()));
    write(*stage, 0, disk);
    stage->finish();
    return session->commit(document(snapshot));
  }

  /// What the version says the disk holds, record by record from the packs.
  Bytes read_back(const DiskVersion& disk) {
    Bytes bytes(disk.size);
    RecordDecoder decoder(repository->keyring(), [](const KeyId&) { return std::string(); });
    const auto entries = visible_entries(repository->open_layers(disk));
    for (LayerEntry entry; entries->next(entry);) {
      if (entry.extent.kind == ExtentKind::zero) {
        continue;
      }
      Bytes stored(entry.place.length);
      repository->store().get_range(pack_key(entry.place.pack), entry.place.offset, stored);
      Bytes plain(entry.plain);
      decoder.decode(stored, entry.id, {}, "pack", plain);
      std::copy_n(plain.begin() + entry.skip, entry.extent.length,
                  bytes.begin() + static_cast<std::ptrdiff_t>(entry.extent.offset));
    }
    return bytes;
  }

  test::TemporaryDirectory directory;
  test::StoreSpy spy;
  CancelToken cancel;
  Logger log;
  Config config;
  std::chrono::milliseconds outage_max{0};
  std::function<void()> still_ours = [] {};
  unsigned compression = 1;
  VmName vm{"lab", "vm-1"};
  std::unique_ptr<Repository> repository;
};

}  // namespace hamal::repository
