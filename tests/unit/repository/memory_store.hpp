// An object store in memory that counts what is asked of it and can be damaged.
#pragma once
#include <atomic>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "hamal/store/object_store.hpp"

namespace hamal::test {

class MemoryStore final : public ObjectStore {
 public:
  const std::string& uri() const noexcept override { return m_uri; }
  const std::string& canonical() const noexcept override { return m_uri; }

  void put(const std::string& key, std::span<const std::byte> bytes) override {
    const std::lock_guard lock(m_mutex);
    m_objects[key].assign(bytes.begin(), bytes.end());
  }
  bool put_if_absent(const std::string& key, std::span<const std::byte> bytes) override {
    const std::lock_guard lock(m_mutex);
    return m_objects.try_emplace(key, bytes.begin(), bytes.end()).second;
  }
  std::unique_ptr<ObjectUpload> upload(const std::string&) override {
    throw Error(ErrorKind::failed, "the memory store has no uploads");
  }
  std::string get(const std::string& key, std::uint64_t limit) override {
    const std::lock_guard lock(m_mutex);
    const auto& bytes = find(key);
    if (bytes.size() > limit) {
      throw Error(ErrorKind::failed, "is too large", m_uri + "/" + key);
    }
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  void get_range(const std::string& key, std::uint64_t offset, std::span<std::byte> into) override {
    if (on_get) {
      on_get(key);
    }
    const std::lock_guard lock(m_mutex);
    ++gets;
    fetched += into.size();
    const auto& bytes = find(key);
    if (offset > bytes.size() || into.size() > bytes.size() - offset) {
      throw Error(ErrorKind::failed, "ends before that", m_uri + "/" + key);
    }
    std::memcpy(into.data(), bytes.data() + offset, into.size());
  }
  std::optional<ObjectInfo> head(const std::string& key) override {
    const std::lock_guard lock(m_mutex);
    const auto found = m_objects.find(key);
    if (found == m_objects.end()) {
      return std::nullopt;
    }
    return ObjectInfo{key, found->second.size(), {}};
  }
  void list(const std::string& prefix,
            const std::function<void(const ObjectInfo&)>& each) override {
    const std::lock_guard lock(m_mutex);
    ++lists[prefix];
    for (auto at = m_objects.lower_bound(prefix);
         at != m_objects.end() && at->first.starts_with(prefix); ++at) {
      each({at->first, at->second.size(), {}});
    }
  }
  void remove(const std::string& key) override {
    const std::lock_guard lock(m_mutex);
    m_objects.erase(key);
  }
  StoreTime now() override { return {}; }
  std::optional<StoreTime> locked_until(const std::string&) override { return std::nullopt; }
  void lock_until(const std::string&, StoreTime) override {}
  std::chrono::milliseconds list_lag() const noexcept override { return {}; }

  std::vector<std::byte>& object(const std::string& key) { return m_objects.at(key); }

  std::size_t gets = 0;
  std::uint64_t fetched = 0;
  std::map<std::string, std::size_t> lists;  ///< by prefix
  /// Before each ranged get; may throw. Set before threads start.
  std::function<void(const std::string& key)> on_get;

 private:
  const std::vector<std::byte>& find(const std::string& key) const {
    const auto found = m_objects.find(key);
    if (found == m_objects.end()) {
      throw ObjectMissing(m_uri + "/" + key);
    }
    return found->second;
  }

  std::string m_uri = "memory:";
  mutable std::mutex m_mutex;
  std::map<std::string, std::vector<std::byte>> m_objects;
};

}  // namespace hamal::test
