// A key is a path below the directory. What makes a put whole and durable:
//
//   temporary (in .hamal-tmp, same file system) -> fsync -> rename, or link when the key must be
//   free -> fsync of the directory and of every one above it, up to that of the store
//
// All of them each time: that a directory is there does not say that its entry is durable, since
// another process may have made it a moment ago. A directory that has nothing to write costs next
// to nothing. remove() takes empty directories away; a put that finds its directory gone makes it
// again.
//
// A file system that is not mounted looks like an empty store. So an object that is not there is
// missing only while the folder of the temporaries, which every store has since its first put, is
// there; without it the store is away: a transient error, and nothing is made where it was.
#include "hamal/store/directory_store.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <mutex>
#include <utility>

#include "hamal/store/directory_errors.hpp"
#include "hamal/store/directory_walk.hpp"
#include "hamal/store/keys.hpp"
#include "hamal/store/temporary.hpp"
#include "hamal/util/file.hpp"

namespace hamal {
namespace {

namespace fs = std::filesystem;

constexpr const char* k_temporaries = ".hamal-tmp";
/// Between two looks at the cancel token.
constexpr std::size_t k_write_size = 8U << 20U;

bool is_absent(int errno_value) {
  return errno_value == ENOENT || errno_value == ENOTDIR;
}

void flush(int fd, const std::string& path) {
  if (::fsync(fd) != 0) {
    throw directory_error("cannot flush", path, errno);
  }
}

/// How many bytes there were: fewer than asked for at the end of the file.
std::size_t read_at(int fd, std::uint64_t offset, std::span<std::byte> into,
                    const std::string& name) {
  std::size_t done = 0;
  while (done < into.size()) {
    const ssize_t got =
        ::pread(fd, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      throw directory_error("cannot read at offset " + std::to_string(offset + done), name, errno);
    }
    if (got == 0) {
      break;
    }
    done += static_cast<std::size_t>(got);
  }
  return done;
}

enum class Existing { replaced, kept };

class DirectoryStore final : public ObjectStore {
 public:
  DirectoryStore(std::string uri, const std::string& path, const CancelToken& cancel)
      : m_uri(std::move(uri)),
        m_root(fs::weakly_canonical(fs::absolute(path)).string()),
        m_canonical("dir:" + m_root),
        m_temporaries(m_root + "/" + k_temporaries),
        m_cancel(cancel),
        m_is_known(is_here()) {}

  const std::string& uri() const noexcept override { return m_uri; }
  const std::string& canonical() const noexcept override { return m_canonical; }

  void put(const std::string& key, std::span<const std::byte> bytes) override {
    require_key(key, m_uri);
    const auto temporary = new_temporary();
    write(*temporary, bytes);
    place(*temporary, key, Existing::replaced);
  }

  bool put_if_absent(const std::string& key, std::span<const std::byte> bytes) override {
    require_key(key, m_uri);
    const auto temporary = new_temporary();
    write(*temporary, bytes);
    return place(*temporary, key, Existing::kept);
  }

  std::unique_ptr<ObjectUpload> upload(const std::string& key) override;

  std::string get(const std::string& key, std::uint64_t limit) override {
    const UniqueFd fd = open_object(key);
    const std::uint64_t size = size_of(fd.get(), key);
    if (size > limit) {
      throw Error(ErrorKind::failed,
                  "has " + std::to_string(size) + " bytes, more than the " + std::to_string(limit) +
                      " that are expected at most",
                  name(key));
    }
    std::string content(size, '\0');
    content.resize(read_at(fd.get(), 0, std::as_writable_bytes(std::span(content)), name(key)));
    return content;
  }

  void get_range(const std::string& key, std::uint64_t offset, std::span<std::byte> into) override {
    const UniqueFd fd = open_object(key);
    const std::uint64_t size = size_of(fd.get(), key);
    if (offset > size || into.size() > size - offset ||
        read_at(fd.get(), offset, into, name(key)) < into.size()) {
      throw range_beyond_end(name(key), offset, into.size(), size);
    }
  }

  std::optional<ObjectInfo> head(const std::string& key) override {
    require_key(key, m_uri);
    m_cancel.check();
    struct stat status {};
    if (::lstat(path_of(key).c_str(), &status) != 0) {
      if (is_absent(errno)) {
        require_here();
        return std::nullopt;
      }
      throw directory_error("cannot look at the object", name(key), errno);
    }
    if (!S_ISREG(status.st_mode)) {
      return std::nullopt;
    }
    return object_info(key, status.st_size, status.st_mtim);
  }

  void list(const std::string& prefix,
            const std::function<void(const ObjectInfo&)>& each) override {
    require_list_prefix(prefix, m_uri);
    walk_directory({m_root}, prefix, each, m_cancel);
    require_here();
  }

  void remove(const std::string& key) override {
    require_key(key, m_uri);
    m_cancel.check();
    if (::unlink(path_of(key).c_str()) != 0) {
      if (is_absent(errno) || errno == EISDIR) {
        require_here();
        return;
      }
      throw directory_error("cannot remove the object", name(key), errno);
    }
    flush_directories(key);
    for (std::string at = key; at.find('/') != std::string::npos;) {
      at.resize(at.rfind('/'));
      if (::rmdir(path_of(at).c_str()) != 0) {
        break;  // it is not empty, as a rule
      }
    }
  }

  StoreTime now() override {
    const auto temporary = new_temporary();
    struct stat status {};
    if (::fstat(temporary->fd(), &status) != 0) {
      throw directory_error("cannot look at the file", temporary->path(), errno);
    }
    return store_time(status.st_mtim);
  }

  std::optional<StoreTime> locked_until(const std::string& key) override {
    if (!head(key)) {
      throw ObjectMissing(name(key));
    }
    return std::nullopt;
  }

  void lock_until(const std::string& key, StoreTime) override {
    throw Error(ErrorKind::usage, "a directory has no object lock", name(key),
                "use a bucket that was created with object lock");
  }

  std::chrono::milliseconds list_lag() const noexcept override { return {}; }

  // For the upload.
  std::unique_ptr<Temporary> new_temporary() {
    m_cancel.check();
    require_here();
    std::call_once(m_prepared, [this] { prepare(); });
    return std::make_unique<Temporary>(m_temporaries);
  }

  void write(const Temporary& temporary, std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
      m_cancel.check();
      const ssize_t put =
          ::write(temporary.fd(), bytes.data(), std::min(bytes.size(), k_write_size));
      if (put < 0 && errno != EINTR) {
        throw directory_error("cannot write", temporary.path(), errno);
      }
      bytes = bytes.subspan(static_cast<std::size_t>(std::max<ssize_t>(put, 0)));
    }
  }

  /// False when the key was to be free and is not.
  bool place(Temporary& temporary, const std::string& key, Existing existing) {
    flush(temporary.fd(), temporary.path());
    const std::string target = path_of(key);
    for (;;) {
      m_cancel.check();
      make_directories(key);
      const int result = existing == Existing::replaced
                             ? ::rename(temporary.path().c_str(), target.c_str())
                             : ::link(temporary.path().c_str(), target.c_str());
      const int error = result == 0 ? 0 : errno;
      if (error == ENOENT && ::access(temporary.path().c_str(), F_OK) == 0) {
        continue;  // remove() took the empty directory away
      }
      const bool taken = existing == Existing::kept && error == EEXIST;
      if (error != 0 && !taken) {
        require_here();
        throw place_error(key, error);
      }
      if (existing == Existing::replaced) {
        temporary.renamed();
      }
      // Even when another one's object is there: whoever is told of it may rely on it.
      flush_directories(key);
      return !taken || is_linked(temporary);
    }
  }

 private:
  std::string path_of(const std::string& key) const { return m_root + "/" + key; }
  std::string name(const std::string& key) const { return object_name(m_uri, key); }

  bool is_here() const { return ::access(m_temporaries.c_str(), F_OK) == 0; }

  /// Of a store that nobody ever put anything into there is nothing to miss.
  void require_here() {
    if (is_here()) {
      m_is_known = true;
    } else if (m_is_known) {
      throw Error(ErrorKind::failed, "the store is not there any more", m_uri,
                  "mount its file system again", Transience::transient);
    }
  }

  /// NFS: the reply to a link that succeeded may be lost, and the repeated one says that it exists.
  static bool is_linked(const Temporary& temporary) {
    struct stat status {};
    return ::fstat(temporary.fd(), &status) == 0 && status.st_nlink > 1;
  }

  Error place_error(const std::string& key, int error) const {
    if (error == EPERM || error == EOPNOTSUPP || error == EMLINK) {
      return {ErrorKind::usage, "the file system has no hard links", name(key),
              "put the store on one that has them, such as XFS, ext4, btrfs or NFS"};
    }
    return directory_error("cannot put the object in its place", name(key), error);
  }

  void prepare() const {
    const fs::path root = m_root;
    fs::path existing = root.parent_path();
    while (!fs::exists(existing)) {
      existing = existing.parent_path();
    }
    make_private_directories(m_temporaries);
    fs::path flushed = root;
    do {
      flushed = flushed.parent_path();
      flush_directory(flushed.string());
    } while (flushed != existing);
    collect_stale_temporaries(m_temporaries);
  }

  void make_directories(const std::string& key) const {
    for (std::size_t slash = key.find('/'); slash != std::string::npos;
         slash = key.find('/', slash + 1)) {
      const std::string path = path_of(key.substr(0, slash));
      // ENOENT: one above it was removed just now; the caller comes again.
      if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST && errno != ENOENT) {
        throw directory_error("cannot create the directory", path, errno);
      }
    }
  }

  /// One that is gone was empty: what its removal stands for is written with the one above it.
  static void flush_directory(const std::string& path) {
    const UniqueFd fd(
        ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));  // NOLINT: variadic
    if (!fd) {
      // Above the store there may be some that cannot be read; they are not ours.
      if (errno == ENOENT || errno == EACCES) {
        return;
      }
      throw directory_error("cannot open the directory", path, errno);
    }
    flush(fd.get(), path);
  }

  void flush_directories(const std::string& key) const {
    for (std::size_t end = key.rfind('/'); end != std::string::npos && end != 0;
         end = key.rfind('/', end - 1)) {
      flush_directory(path_of(key.substr(0, end)));
    }
    flush_directory(m_root);
  }

  UniqueFd open_object(const std::string& key) {
    require_key(key, m_uri);
    m_cancel.check();
    // NOLINTNEXTLINE: variadic
    UniqueFd fd(::open(path_of(key).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!fd && is_absent(errno)) {
      require_here();
      throw ObjectMissing(name(key));
    }
    if (!fd) {
      throw directory_error("cannot open the object", name(key), errno);
    }
    return fd;
  }

  std::uint64_t size_of(int fd, const std::string& key) const {
    struct stat status {};
    if (::fstat(fd, &status) != 0) {
      throw directory_error("cannot look at the object", name(key), errno);
    }
    if (!S_ISREG(status.st_mode)) {
      throw ObjectMissing(name(key));
    }
    return static_cast<std::uint64_t>(status.st_size);
  }

  std::string m_uri;
  std::string m_root;
  std::string m_canonical;
  std::string m_temporaries;
  const CancelToken& m_cancel;
  std::atomic<bool> m_is_known;  ///< the store was seen to be there
  std::once_flag m_prepared;
};

class DirectoryUpload final : public ObjectUpload {
 public:
  DirectoryUpload(DirectoryStore& store, std::string key)
      : m_store(store), m_key(std::move(key)), m_temporary(store.new_temporary()) {}

  void append(std::span<const std::byte> bytes) override { m_store.write(*m_temporary, bytes); }
  void finish() override { m_store.place(*m_temporary, m_key, Existing::replaced); }

 private:
  DirectoryStore& m_store;
  std::string m_key;
  std::unique_ptr<Temporary> m_temporary;
};

std::unique_ptr<ObjectUpload> DirectoryStore::upload(const std::string& key) {
  require_key(key, m_uri);
  return std::make_unique<DirectoryUpload>(*this, key);
}

}  // namespace

std::unique_ptr<ObjectStore> open_directory_store(const std::string& uri, const std::string& path,
                                                  const CancelToken& cancel) {
  return std::make_unique<DirectoryStore>(uri, path, cancel);
}

}  // namespace hamal
