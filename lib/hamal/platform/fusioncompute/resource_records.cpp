#include "hamal/platform/fusioncompute/resource_records.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "hamal/util/random_id.hpp"

namespace hamal::fusioncompute {
namespace {

namespace fs = std::filesystem;

const LockHolder k_holder{.run_id = {}, .tool = "fusion_compute"};

fs::path folder_of(const std::string& lib_dir) {
  return fs::path(lib_dir) / "fusion_compute" / "resources";
}

fs::path with(const fs::path& stem, const char* suffix) {
  return stem.string() + suffix;
}

void remove_files(const fs::path& stem) noexcept {
  // A name is used once: nobody else locks the file that goes.
  std::error_code ignored;
  fs::remove(with(stem, ".json"), ignored);
  fs::remove(with(stem, ".lock"), ignored);
}

FileLock lock_of(const fs::path& stem, const CancelToken& cancel) {
  return {with(stem, ".lock"), "a backup resource", k_holder, std::chrono::milliseconds(0), cancel};
}

}  // namespace

ResourceRecord::ResourceRecord(const std::string& lib_dir, const std::string& platform,
                               const std::string& volume_uri, const CancelToken& cancel)
    : m_platform(platform),
      m_volume_uri(volume_uri),
      m_stem(folder_of(lib_dir) / random_hex(16)),
      m_lock(lock_of(m_stem, cancel)) {
  write({});
}

void ResourceRecord::write(const std::string& resource_uri) const {
  const nlohmann::json record{
      {"platform", m_platform}, {"volume_uri", m_volume_uri}, {"resource_uri", resource_uri}};
  write_file_atomically(with(m_stem, ".json"), record.dump() + "\n");
}

void ResourceRecord::set_uri(const std::string& resource_uri) {
  write(resource_uri);
}

void ResourceRecord::forget() noexcept {
  remove_files(m_stem);
}

std::vector<Leftover> find_leftovers(const std::string& lib_dir, const std::string& platform,
                                     const std::vector<std::string>& volume_uris) {
  std::vector<Leftover> found;
  std::error_code none;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_of(lib_dir), none)) {
    if (entry.path().extension() != ".json") {
      continue;
    }
    const fs::path stem = entry.path().parent_path() / entry.path().stem();
    try {
      const auto record = nlohmann::json::parse(read_file(entry.path()));
      const auto volume = record.at("volume_uri").get<std::string>();
      if (record.at("platform") != platform ||
          std::find(volume_uris.begin(), volume_uris.end(), volume) == volume_uris.end()) {
        continue;
      }
      const CancelToken now;
      found.push_back({stem, record.at("resource_uri").get<std::string>(), lock_of(stem, now)});
    } catch (const Error&) {  // NOLINT: its process lives, or it is gone by now
    } catch (const nlohmann::json::exception&) {
      remove_files(stem);  // written atomically: none of ours
    }
  }
  return found;
}

void forget(const Leftover& leftover) noexcept {
  remove_files(leftover.stem);
}

}  // namespace hamal::fusioncompute
