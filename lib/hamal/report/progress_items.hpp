// What is being done, per object: counted by many threads, read by the one that draws.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

namespace hamal {

/// Bytes per second over the last seconds, so that a stall shows and a start does not dilute.
class RateMeter {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  void restart(TimePoint now);
  void sample(TimePoint now, std::uint64_t bytes);
  double rate() const;

 private:
  struct Sample {
    TimePoint when;
    std::uint64_t bytes;
  };
  std::deque<Sample> m_samples;
};

/// One object as the drawer sees it.
struct ProgressView {
  std::string object;
  std::string phase;
  std::uint64_t done = 0;
  std::uint64_t total = 0;  ///< 0: unknown
  double rate = 0;          ///< bytes per second
  std::string bound_by{};   ///< empty: not known

  std::optional<unsigned> percent() const;
  std::optional<std::chrono::seconds> eta() const;
};

/// advance() takes a shared lock and adds to an atomic; everything else is rare and exclusive.
class ProgressItems {
 public:
  using TimePoint = RateMeter::TimePoint;
  /// What it is now. An object is made by its first phase.
  ProgressView begin_phase(std::string_view object, std::string_view phase, std::uint64_t total,
                           TimePoint now);
  void advance(std::string_view object, std::uint64_t bytes);
  /// Until the next phase.
  void bound(std::string_view object, std::string_view by);
  /// nullopt when there is no such object.
  std::optional<ProgressView> finish(std::string_view object, TimePoint now);
  /// All that are not done, with a sample taken of each.
  std::vector<ProgressView> sample(TimePoint now);

 private:
  struct Item {
    std::string phase;
    std::string bound_by;
    std::uint64_t total = 0;
    std::atomic<std::uint64_t> done{0};
    RateMeter meter;
  };
  static ProgressView view(const std::string& object, const Item& item);

  std::shared_mutex m_mutex;
  std::map<std::string, std::unique_ptr<Item>, std::less<>> m_items;
};

}  // namespace hamal
