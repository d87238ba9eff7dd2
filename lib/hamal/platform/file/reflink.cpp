// Making, listing and removing reflink snapshots.
#include "hamal/platform/file/reflink.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "hamal/util/clone_file.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "hamal/util/random_id.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

namespace fs = std::filesystem;

constexpr const char* k_prefix = ".hamal-";

/// Ids come from documents and command lines: only what new_id() makes is ever part of a path.
bool is_id(const std::string& id) {
  return !id.empty() && id.size() < 128 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == 'T' || c == 'Z' || c == '-';
  });
}

Error cannot_reflink(const fs::path& image, int error) {
  if (means_no_clones(error)) {
    return {ErrorKind::failed,
            "cannot be frozen: its file system has no reflinks (XFS and btrfs have)",
            image.string(), "stop what writes to it and say --offline"};
  }
  return system_error("cannot make a reflink", image.string(), error);
}

}  // namespace

ReflinkStore::ReflinkStore(fs::path directory, std::string mark)
    : m_directory(std::move(directory)), m_mark(std::move(mark)) {}

std::string ReflinkStore::new_id() const {
  if (m_mark.empty()) {
    throw Error(ErrorKind::failed, "a snapshot needs this installation's mark",
                m_directory.string());
  }
  std::string time = rfc3339(system_clock().wall()).substr(0, 19) + "Z";
  std::erase_if(time, [](char c) { return c == '-' || c == ':'; });
  return m_mark + "-" + time + "-" + random_hex(8);
}

fs::path ReflinkStore::directory_of(const std::string& id) const {
  if (!is_id(id)) {
    throw Error(ErrorKind::usage, "not the id of a snapshot of the file platform", id,
                "hamal-snapshot list shows them");
  }
  return m_directory / (k_prefix + id);
}

fs::path ReflinkStore::copy_path(const std::string& id, const std::string& file_name) const {
  return directory_of(id) / file_name;
}

void ReflinkStore::clone(const fs::path& image, const std::string& id) const {
  const UniqueFd from = open_file(image, O_RDONLY);
  const fs::path directory = directory_of(id);
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    throw system_error("cannot create the snapshot's directory", directory.string(), errno);
  }
  try {
    const fs::path copy = directory / image.filename();
    const UniqueFd to = open_file(copy, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (const int error = clone_file(from.get(), to.get()); error != 0) {
      throw cannot_reflink(image, error);
    }
    if (::fsync(to.get()) != 0) {
      throw system_error("cannot flush", copy.string(), errno);
    }
    fsync_directory(directory);
    fsync_directory(m_directory);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(directory, ignored);
    throw;
  }
}

std::vector<std::string> ReflinkStore::list() const {
  std::vector<std::string> ids;
  std::error_code error;
  fs::directory_iterator at(m_directory, error);
  for (; !error && at != fs::directory_iterator(); at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name.starts_with(k_prefix) && is_id(name.substr(std::string(k_prefix).size()))) {
      ids.push_back(name.substr(std::string(k_prefix).size()));
    }
  }
  if (error) {
    throw system_error("cannot list the directory", m_directory.string(), error.value());
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

bool ReflinkStore::is_ours(const std::string& id) const {
  return !m_mark.empty() && id.starts_with(m_mark + "-");
}

void ReflinkStore::remove(const std::string& id) const {
  const fs::path directory = directory_of(id);
  if (!is_ours(id)) {
    throw Error(ErrorKind::failed, "the snapshot was not made by this installation",
                directory.string(), "remove the directory by hand when nothing needs it");
  }
  std::error_code error;
  fs::remove_all(directory, error);
  if (error) {
    throw system_error("cannot remove the snapshot", directory.string(), error.value());
  }
  fsync_directory(m_directory);
}

}  // namespace hamal
