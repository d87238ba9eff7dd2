// What is new waits in memory and goes to the file sorted, a batch in one transaction: a tree keyed
// by hashes takes a row at a time badly.
#include "hamal/repository/record_cache.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <set>
#include <unordered_map>

#include "hamal/repository/record_file.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal::repository {
namespace {

constexpr std::size_t k_batch = 16'384;    // of add(): 2 MB, and find() waits for its transaction
constexpr std::size_t k_learned = 65'536;  // of learn()

struct IdHash {
  std::size_t operator()(const RecordId& id) const noexcept {
    std::size_t hash = 0;
    std::memcpy(&hash, id.data(), sizeof(hash));
    return hash;
  }
};

class FileCache : public RecordCache {
 public:
  FileCache(std::filesystem::path path, std::string repository_id, Logger& log)
      : m_path(std::move(path)), m_repository_id(std::move(repository_id)), m_log(log) {
    try {
      make_private_directories(m_path.parent_path());
      open();
    } catch (const std::exception& error) {
      do_without(error.what());
    }
  }

  ~FileCache() override {
    const std::lock_guard lock(m_mutex);
    flush();
  }

  std::optional<RecordPlace> find(const RecordId& id, std::uint32_t plain) override {
    const std::lock_guard lock(m_mutex);
    if (const auto found = m_batch.find(id); found != m_batch.end()) {
      return found->second.plain == plain ? std::optional(found->second.place) : std::nullopt;
    }
    std::optional<RecordPlace> place;
    with_file([&](RecordFile& file) {
      const auto found = file.find(id);
      if (found && found->plain == plain && is_usable(found->place.pack)) {
        place = found->place;
      }
    });
    return place;
  }

  void add(const RecordId& id, std::uint32_t plain, const RecordPlace& place) override {
    const std::lock_guard lock(m_mutex);
    m_own.insert(place.pack);
    m_batch.insert_or_assign(id, CachedRecord{id, place, plain});
    if (m_batch.size() >= k_batch) {
      flush();
    }
  }

  void learn(Layer& layer) override {
    const std::string& key = layer.reference().key;
    if (knows(key)) {
      return;
    }
    std::vector<CachedRecord> records;
    const EntrySourcePtr entries = layer.entries();
    LayerEntry entry;
    while (entries->next(entry)) {
      if (entry.extent.kind == ExtentKind::data) {
        records.push_back({entry.id, entry.place, entry.plain});
      }
      if (records.size() >= k_learned) {
        store(records, {});
        records.clear();
      }
    }
    store(records, key);
  }

  bool knows(const std::string& layer_key) override {
    const std::lock_guard lock(m_mutex);
    bool known = false;
    with_file([&](RecordFile& file) { known = file.knows(layer_key); });
    return known;
  }

  void set_usable(std::function<bool(const PackName&)> usable) override {
    const std::lock_guard lock(m_mutex);
    m_usable = std::move(usable);
    with_file([&](RecordFile& file) {
      if (file.forget_if_stale([this](const PackName& pack) { return is_usable(pack); })) {
        m_log.info("most of the packs in {} are gone: it is begun anew", m_path.string());
      }
    });
  }

 private:
  bool is_usable(const PackName& pack) const {
    return m_own.contains(pack) || (m_usable && m_usable(pack));
  }

  void store(std::vector<CachedRecord>& records, const std::string& layer_key) {
    std::sort(records.begin(), records.end(),
              [](const auto& a, const auto& b) { return a.id < b.id; });
    const std::lock_guard lock(m_mutex);
    with_file([&](RecordFile& file) {
      file.store(records, layer_key, [this](const PackName& pack) { return is_usable(pack); });
    });
  }

  void flush() {
    if (m_batch.empty()) {
      return;
    }
    std::vector<CachedRecord> records;
    records.reserve(m_batch.size());
    for (const auto& [id, record] : m_batch) {
      records.push_back(record);
    }
    std::sort(records.begin(), records.end(),
              [](const auto& a, const auto& b) { return a.id < b.id; });
    m_batch.clear();
    with_file([&](RecordFile& file) {
      file.store(records, {}, [](const PackName& /*pack*/) { return true; });
    });
  }

  template <typename Use>
  void with_file(const Use& use) {
    if (!m_file) {
      return;
    }
    try {
      use(*m_file);
    } catch (const DatabaseDamaged& error) {
      begin_anew(error.what());
    } catch (const DatabaseFailed& error) {
      if (!m_told) {
        m_log.warning("{}: {}; content that is known may be stored again", m_path.string(),
                      error.what());
      }
      m_told = true;
    }
  }

  void do_without(const std::string& why) {
    m_file.reset();
    m_log.warning("{} cannot be used: {}; content that is known may be stored again",
                  m_path.string(), why);
  }

  void begin_anew(const std::string& why) {
    try {
      m_log.warning("{}: {}; it is thrown away and begun anew", m_path.string(), why);
      const UniqueFd guard = lock_opening();
      // Another process may have done so already.
      if (m_file && m_file->is_at(m_path)) {
        remove_record_file(m_path);
      }
      m_file.reset();
      m_file = std::make_unique<RecordFile>(m_path, m_repository_id);
    } catch (const std::exception& error) {
      do_without(error.what());
    }
  }

  void open() {
    const UniqueFd guard = lock_opening();
    try {
      m_file = std::make_unique<RecordFile>(m_path, m_repository_id);
    } catch (const DatabaseDamaged& error) {
      m_log.warning("{}: {}; it is thrown away and begun anew", m_path.string(), error.what());
      remove_record_file(m_path);
      m_file = std::make_unique<RecordFile>(m_path, m_repository_id);
    }
  }

  /// One process at a time makes the file or throws it away: the switch to WAL ignores the busy
  /// timeout. Held for moments only.
  UniqueFd lock_opening() const {
    UniqueFd lock = open_file(m_path.string() + ".lock", O_RDWR | O_CREAT);
    while (::flock(lock.get(), LOCK_EX) != 0) {
      if (errno != EINTR) {
        throw system_error("cannot lock", m_path.string() + ".lock", errno);
      }
    }
    return lock;
  }

  std::filesystem::path m_path;
  std::string m_repository_id;
  Logger& m_log;
  std::mutex m_mutex;  // of all below
  std::unique_ptr<RecordFile> m_file;
  std::unordered_map<RecordId, CachedRecord, IdHash> m_batch;
  std::set<PackName> m_own;  // packs of add()
  std::function<bool(const PackName&)> m_usable;
  bool m_told = false;
};

}  // namespace

std::unique_ptr<RecordCache> open_record_cache(const std::filesystem::path& file,
                                               const std::string& repository_id, Logger& log) {
  return std::make_unique<FileCache>(file, repository_id, log);
}

}  // namespace hamal::repository
