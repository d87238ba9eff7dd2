#include "hamal/store/directory_walk.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <vector>

#include "hamal/store/directory_errors.hpp"
#include "hamal/store/keys.hpp"
#include "hamal/util/unique_fd.hpp"

namespace hamal {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};
using OpenDirectory = std::unique_ptr<DIR, CloseDirectory>;

enum class EntryType { file, directory, other };

EntryType type_of(int directory, const dirent& entry) {
  if (entry.d_type == DT_REG) {
    return EntryType::file;
  }
  if (entry.d_type == DT_DIR) {
    return EntryType::directory;
  }
  struct stat status {};
  if (entry.d_type != DT_UNKNOWN ||
      ::fstatat(directory, entry.d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return EntryType::other;
  }
  return S_ISREG(status.st_mode)   ? EntryType::file
         : S_ISDIR(status.st_mode) ? EntryType::directory
                                   : EntryType::other;
}

/// Null when it is not there.
OpenDirectory open_directory(const std::string& path) {
  OpenDirectory directory(::opendir(path.c_str()));
  if (!directory && errno != ENOENT && errno != ENOTDIR) {
    throw directory_error("cannot read the directory", path, errno);
  }
  return directory;
}

class Walker {
 public:
  Walker(const DirectoryWalk& walk, const std::function<void(const ObjectInfo&)>& each,
         const CancelToken& cancel)
      : m_walk(walk), m_each(each), m_cancel(cancel) {}

  void visit(const std::string& prefix) {
    std::string after;
    for (;;) {
      const std::vector<std::string> names = next_names(prefix, after);
      for (const std::string& name : names) {
        m_cancel.check();
        if (name.ends_with('/')) {
          visit(prefix + name);
        } else {
          tell(prefix + name);
        }
      }
      if (names.size() < m_walk.names_at_once) {
        return;
      }
      after = names.back();
    }
  }

 private:
  std::string path_of(const std::string& key) const { return m_walk.root + "/" + key; }

  /// The lowest names above `after`, ascending. Those of directories end with "/", which is how
  /// they sort among keys: "a-b" comes before "a/b".
  std::vector<std::string> next_names(const std::string& prefix, const std::string& after) const {
    std::vector<std::string> names;  // a heap, the highest first
    const std::string path = path_of(prefix);
    const OpenDirectory directory = open_directory(path);
    if (!directory) {
      return names;
    }
    for (;;) {
      errno = 0;
      const dirent* const entry = ::readdir(directory.get());
      if (entry == nullptr) {
        break;
      }
      std::optional<std::string> name = name_of(::dirfd(directory.get()), *entry, prefix);
      if (!name || *name <= after) {
        continue;
      }
      names.push_back(*std::move(name));
      std::push_heap(names.begin(), names.end());
      if (names.size() > m_walk.names_at_once) {
        std::pop_heap(names.begin(), names.end());
        names.pop_back();
      }
    }
    // ENOENT: the directory itself was removed meanwhile, and so it was empty.
    if (errno != 0 && errno != ENOENT) {
      throw directory_error("cannot read the directory", path, errno);
    }
    std::sort_heap(names.begin(), names.end());
    return names;
  }

  static std::optional<std::string> name_of(int directory, const dirent& entry,
                                            const std::string& prefix) {
    std::string name = entry.d_name;
    if (!is_key_part(name) || (prefix.empty() && name.starts_with(k_reserved_key))) {
      return std::nullopt;
    }
    switch (type_of(directory, entry)) {
      case EntryType::file:
        return name;
      case EntryType::directory:
        return name + "/";
      case EntryType::other:
        break;
    }
    return std::nullopt;
  }

  void tell(const std::string& key) const {
    struct stat status {};
    if (::lstat(path_of(key).c_str(), &status) != 0) {
      if (errno == ENOENT || errno == ENOTDIR) {
        return;
      }
      throw directory_error("cannot look at the file", path_of(key), errno);
    }
    if (S_ISREG(status.st_mode)) {
      m_each(object_info(key, status.st_size, status.st_mtim));
    }
  }

  const DirectoryWalk& m_walk;
  const std::function<void(const ObjectInfo&)>& m_each;
  const CancelToken& m_cancel;
};

}  // namespace

ObjectInfo object_info(const std::string& key, off_t size, const timespec& modified) {
  return {key, static_cast<std::uint64_t>(size), store_time(modified)};
}

StoreTime store_time(const timespec& when) {
  return StoreTime(std::chrono::duration_cast<StoreTime::duration>(
      std::chrono::seconds(when.tv_sec) + std::chrono::nanoseconds(when.tv_nsec)));
}

void walk_directory(const DirectoryWalk& walk, const std::string& prefix,
                    const std::function<void(const ObjectInfo&)>& each, const CancelToken& cancel) {
  Walker(walk, each, cancel).visit(prefix);
}

}  // namespace hamal
