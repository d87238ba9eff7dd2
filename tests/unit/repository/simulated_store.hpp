// Many actors on one store, one at a time, in an order that a seed decides.
//
// Each actor is a thread with a SimulatedStore of its own. At every call that lists or changes
// something the actor may have to hand the baton to another one, or is killed: then this call and
// all later ones of the actor throw. So what runs between two calls is atomic, and a seed makes the
// same schedule again. Calls that only read are no such points: parts of the library make them from
// several threads.
//
// With lag, lists are stale: what was put or removed after the last moment for which somebody has
// waited list_lag is shown or not, each for itself. Asking for list_lag() is taken for waiting it.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "hamal/store/object_store.hpp"

namespace hamal::repository::test {

/// An actor was killed. No hamal::Error: nobody handles it.
struct Killed {};

class World {
 public:
  struct Settings {
    unsigned switch_percent = 50;  ///< how often the baton goes on
    unsigned kill_permille = 0;    ///< per call
    bool lag = false;
  };

  World(std::uint64_t seed, const Settings& settings) : m_random(seed), m_settings(settings) {}

  /// In [0, count).
  std::uint64_t dice(std::uint64_t count) { return m_random() % count; }
  bool lag() const { return m_settings.lag; }

  void add(std::function<void()> work) { m_work.push_back(std::move(work)); }
  /// Until all have ended. Throws the first error of an actor that was not killed.
  void run() {
    m_alive.assign(m_work.size(), true);
    m_current = dice(m_work.size());
    {
      std::vector<std::jthread> threads;
      for (std::size_t i = 0; i < m_work.size(); ++i) {
        threads.emplace_back([this, i] { live(i); });
      }
    }
    m_work.clear();
    if (m_error) {
      std::rethrow_exception(m_error);
    }
  }

  /// Before a call of an actor; threads that are none go through.
  void point() {
    if (!s_actor) {
      return;
    }
    std::unique_lock lock(m_mutex);
    if (s_killed || dice(1000) < m_settings.kill_permille) {
      s_killed = true;
      throw Killed{};
    }
    maybe_hand_on(lock);
  }

  // What lists may not show yet, or still.
  struct Change {
    std::uint64_t when = 0;
    std::optional<ObjectInfo> removed;
  };
  void changed(const std::string& key, std::optional<ObjectInfo> removed) {
    if (s_actor && m_settings.lag) {
      m_changes[key] = {++m_now, std::move(removed)};
    }
  }
  /// A wait: others do what they like meanwhile, and what was done before it is seen by all.
  void wait_lag() {
    if (!s_actor || !m_settings.lag) {
      return;
    }
    const std::uint64_t until = m_now;
    {
      std::unique_lock lock(m_mutex);
      maybe_hand_on(lock);
    }
    std::erase_if(m_changes, [&](const auto& change) { return change.second.when <= until; });
  }
  const std::map<std::string, Change>& changes() const { return m_changes; }

 private:
  void live(std::size_t i) {
    s_actor = i;
    s_killed = false;
    {
      std::unique_lock lock(m_mutex);
      m_changed.wait(lock, [&] { return m_current == i; });
    }
    try {
      m_work[i]();
    } catch (const Killed&) {
      // As it should be.
    } catch (...) {
      if (!m_error) {
        m_error = std::current_exception();
      }
    }
    const std::lock_guard lock(m_mutex);
    m_alive[i] = false;
    hand_on();
  }
  void maybe_hand_on(std::unique_lock<std::mutex>& lock) {
    if (dice(100) < m_settings.switch_percent) {
      hand_on();
      m_changed.wait(lock, [this] { return m_current == *s_actor; });
    }
  }
  void hand_on() {
    std::vector<std::size_t> others;
    for (std::size_t i = 0; i < m_alive.size(); ++i) {
      if (m_alive[i]) {
        others.push_back(i);
      }
    }
    if (!others.empty()) {
      m_current = others[dice(others.size())];
      m_changed.notify_all();
    }
  }

  std::mt19937_64 m_random;
  Settings m_settings;
  std::vector<std::function<void()>> m_work;
  std::vector<bool> m_alive;
  std::size_t m_current = 0;
  std::exception_ptr m_error;
  std::uint64_t m_now = 0;
  std::map<std::string, Change> m_changes;
  std::mutex m_mutex;
  std::condition_variable m_changed;
  inline static thread_local std::optional<std::size_t> s_actor;
  inline static thread_local bool s_killed = false;
};

/// plain: as it is, no part of the schedule.
enum class View { simulated, plain };

class SimulatedStore final : public ObjectStore {
 public:
  SimulatedStore(World& world, std::shared_ptr<ObjectStore> store, View view)
      : m_world(world), m_store(std::move(store)), m_view(view) {}

  const std::string& uri() const noexcept override { return m_store->uri(); }
  const std::string& canonical() const noexcept override { return m_store->canonical(); }
  void put(const std::string& key, std::span<const std::byte> bytes) override {
    point();
    m_store->put(key, bytes);
    m_world.changed(key, std::nullopt);
  }
  bool put_if_absent(const std::string& key, std::span<const std::byte> bytes) override {
    point();
    const bool created = m_store->put_if_absent(key, bytes);
    if (created) {
      m_world.changed(key, std::nullopt);
    }
    return created;
  }
  std::unique_ptr<ObjectUpload> upload(const std::string& key) override {
    return m_store->upload(key);
  }
  std::string get(const std::string& key, std::uint64_t limit) override {
    return m_store->get(key, limit);
  }
  void get_range(const std::string& key, std::uint64_t offset, std::span<std::byte> into) override {
    m_store->get_range(key, offset, into);
  }
  std::optional<ObjectInfo> head(const std::string& key) override {
    point();
    return m_store->head(key);
  }
  void list(const std::string& prefix,
            const std::function<void(const ObjectInfo&)>& each) override {
    point();
    std::map<std::string, ObjectInfo> shown;
    m_store->list(prefix, [&](const ObjectInfo& object) { shown[object.key] = object; });
    for (const auto& [key, change] : m_world.changes()) {
      if (m_view == View::plain || !key.starts_with(prefix) || m_world.dice(2) == 0) {
        continue;
      }
      if (change.removed) {
        shown.emplace(key, *change.removed);
      } else {
        shown.erase(key);
      }
    }
    for (const auto& [key, object] : shown) {
      each(object);
    }
    point();
  }
  void remove(const std::string& key) override {
    point();
    auto there = m_store->head(key);
    m_store->remove(key);
    if (there) {
      m_world.changed(key, std::move(there));
    }
  }
  StoreTime now() override { return m_store->now(); }
  std::optional<StoreTime> locked_until(const std::string& key) override {
    return m_store->locked_until(key);
  }
  void lock_until(const std::string& key, StoreTime until) override {
    m_store->lock_until(key, until);
  }
  /// One millisecond, because whoever is told of none does not wait.
  std::chrono::milliseconds list_lag() const noexcept override {
    if (m_view == View::plain) {
      return {};
    }
    m_world.wait_lag();
    return std::chrono::milliseconds(m_world.lag() ? 1 : 0);
  }

 private:
  void point() {
    if (m_view == View::simulated) {
      m_world.point();
    }
  }

  World& m_world;
  std::shared_ptr<ObjectStore> m_store;
  View m_view;
};

}  // namespace hamal::repository::test
