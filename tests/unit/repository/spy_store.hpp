// A store over another one that notes what is put, removed and listed, and fails when told to.
#pragma once
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "hamal/store/object_store.hpp"

namespace hamal::test {

/// What the test sees and says; outlives the store.
struct StoreSpy {
  std::mutex mutex;
  std::map<std::string, unsigned> puts;   ///< by the first part of the key
  std::map<std::string, unsigned> lists;  ///< by prefix
  /// "put KEY", "remove KEY", "list PREFIX"; "lag" where list_lag was asked for to be waited.
  std::vector<std::string> calls;
  /// Called before a put; what it throws is the put's error.
  std::function<void(const std::string& key)> before_put = [](const std::string&) {};

  unsigned count(const std::string& prefix) {
    const std::lock_guard lock(mutex);
    return puts[prefix];
  }
  void note(const std::string& key) {
    before_put(key);
    const std::lock_guard lock(mutex);
    ++puts[key.substr(0, key.find('/'))];
    calls.push_back("put " + key);
  }
};

class SpyStore final : public ObjectStore {
 public:
  SpyStore(std::unique_ptr<ObjectStore> store, StoreSpy& spy)
      : m_store(std::move(store)), m_spy(spy) {}
  const std::string& uri() const noexcept override { return m_store->uri(); }
  const std::string& canonical() const noexcept override { return m_store->canonical(); }
  void put(const std::string& key, std::span<const std::byte> bytes) override {
    m_spy.note(key);
    m_store->put(key, bytes);
  }
  bool put_if_absent(const std::string& key, std::span<const std::byte> bytes) override {
    m_spy.note(key);
    return m_store->put_if_absent(key, bytes);
  }
  std::unique_ptr<ObjectUpload> upload(const std::string& key) override {
    m_spy.note(key);
    return m_store->upload(key);
  }
  std::string get(const std::string& key, std::uint64_t limit) override {
    return m_store->get(key, limit);
  }
  void get_range(const std::string& key, std::uint64_t offset, std::span<std::byte> into) override {
    m_store->get_range(key, offset, into);
  }
  std::optional<ObjectInfo> head(const std::string& key) override { return m_store->head(key); }
  void list(const std::string& prefix,
            const std::function<void(const ObjectInfo&)>& each) override {
    {
      const std::lock_guard lock(m_spy.mutex);
      ++m_spy.lists[prefix];
      m_spy.calls.push_back("list " + prefix);
    }
    m_store->list(prefix, each);
  }
  void remove(const std::string& key) override {
    {
      const std::lock_guard lock(m_spy.mutex);
      m_spy.calls.push_back("remove " + key);
    }
    m_store->remove(key);
  }
  StoreTime now() override { return m_store->now(); }
  std::optional<StoreTime> locked_until(const std::string& key) override {
    return m_store->locked_until(key);
  }
  void lock_until(const std::string& key, StoreTime until) override {
    m_store->lock_until(key, until);
  }
  std::chrono::milliseconds list_lag() const noexcept override {
    const std::lock_guard lock(m_spy.mutex);
    m_spy.calls.push_back("lag");
    return m_store->list_lag();
  }

 private:
  std::unique_ptr<ObjectStore> m_store;
  StoreSpy& m_spy;
};

}  // namespace hamal::test
