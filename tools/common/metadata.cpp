#include "common/metadata.hpp"

#include <algorithm>
#include <filesystem>
#include <span>
#include <vector>

#include "hamal/block/endpoint.hpp"
#include "hamal/repository/names.hpp"
#include "hamal/store/open_store.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal {
namespace {

namespace fs = std::filesystem;

// Of one vm, here and waiting: years of daily snapshots, and no disk filled by hourly ones.
constexpr std::size_t k_kept = 1000;
constexpr std::uint64_t k_largest = 16U << 20;

/// PLATFORM/VM, in characters that are the same in a path and in a key.
fs::path folder_of(const SnapshotDocument& document) {
  return fs::path(repository::escape_key_part(document.platform)) /
         repository::escape_key_part(document.vm_id);
}

/// Oldest first: names begin with the time.
std::vector<fs::path> documents_in(const fs::path& folder) {
  std::vector<fs::path> found;
  if (fs::exists(folder)) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() == ".json") {
        found.push_back(entry.path());
      }
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

void drop_oldest(const fs::path& folder) {
  const auto all = documents_in(folder);
  for (std::size_t i = 0; i + k_kept < all.size(); ++i) {
    fs::remove(all[i]);
  }
}

void upload(const fs::path& waiting, const fs::path& kept, const fs::path& vm, Session& session) {
  if (session.config().sync.metadata_store.empty()) {
    throw Error(ErrorKind::usage, "upload_metadata_to_oss needs a store", "[sync]",
                "set metadata_store = s3://NAME/PREFIX or dir:PATH");
  }
  const auto store = open_object_store(parse_endpoint(session.config().sync.metadata_store),
                                       session.config(), session.cancel());
  for (const fs::path& document : documents_in(waiting)) {
    const std::string text = read_file(document, k_largest);
    store->put("metadata/" + (vm / document.filename()).string(), std::as_bytes(std::span(text)));
    if (session.config().sync.save_local_snapshot_metadata) {
      make_private_directories(kept);
      fs::rename(document, kept / document.filename());
    } else {
      fs::remove(document);
    }
  }
}

void keep(const SnapshotDocument& document, Session& session) {
  const SyncSection& config = session.config().sync;
  const fs::path vm = folder_of(document);
  const fs::path root = fs::path(session.config().defaults.hamal_lib_dir) / "metadata";
  const fs::path kept = root / vm;
  const fs::path waiting = root / "pending" / vm;
  const fs::path folder = config.upload_metadata_to_oss ? waiting : kept;
  make_private_directories(folder);
  write_file_atomically(
      folder /
          (repository::escape_key_part(document.created + "_" + document.snapshot_id) + ".json"),
      to_json(document));
  if (config.upload_metadata_to_oss) {
    drop_oldest(waiting);
    upload(waiting, kept, vm, session);
  }
  drop_oldest(kept);
}

}  // namespace

void keep_metadata(const SnapshotDocument& document, Session& session) {
  const SyncSection& config = session.config().sync;
  if (!config.save_local_snapshot_metadata && !config.upload_metadata_to_oss) {
    return;
  }
  const auto warn = [&](const std::string& why) {
    session.log().warning(
        "the document of snapshot {} is not where it should be kept: {}{}", document.snapshot_id,
        why,
        config.upload_metadata_to_oss
            ? "; what waits in hamal_lib_dir/metadata/pending goes with the next one"
            : "");
  };
  try {
    keep(document, session);
  } catch (const Error& error) {
    warn(error.what());
  } catch (const fs::filesystem_error& error) {
    warn(error.what());
  }
}

}  // namespace hamal
