#include "hamal/report/progress_items.hpp"

#include <algorithm>
#include <cmath>
#include <mutex>

namespace hamal {
namespace {
constexpr std::chrono::seconds k_window{5};
constexpr double k_longest_eta = 365.0 * 86'400;
}  // namespace

void RateMeter::restart(TimePoint now) {
  m_samples.assign(1, {now, 0});
}

void RateMeter::sample(TimePoint now, std::uint64_t bytes) {
  m_samples.push_back({now, bytes});
  // The oldest that stays is at or before the window's start: the rate is always over the whole
  // window once there is one.
  while (m_samples.size() > 2 && now - m_samples[1].when >= k_window) {
    m_samples.pop_front();
  }
}

double RateMeter::rate() const {
  if (m_samples.size() < 2) {
    return 0;
  }
  const std::chrono::duration<double> time = m_samples.back().when - m_samples.front().when;
  return time.count() > 0
             ? static_cast<double>(m_samples.back().bytes - m_samples.front().bytes) / time.count()
             : 0;
}

std::optional<unsigned> ProgressView::percent() const {
  if (total == 0) {
    return std::nullopt;
  }
  // Rounded down: 100 means all of it.
  const double part = static_cast<double>(std::min(done, total)) / static_cast<double>(total);
  return done >= total ? 100U : std::min(99U, static_cast<unsigned>(part * 100));
}

std::optional<std::chrono::seconds> ProgressView::eta() const {
  if (total == 0 || rate <= 0) {
    return std::nullopt;
  }
  const double left = static_cast<double>(total - std::min(done, total)) / rate;
  if (left > k_longest_eta) {
    return std::nullopt;
  }
  return std::chrono::seconds(static_cast<std::int64_t>(std::ceil(left)));
}

ProgressView ProgressItems::begin_phase(std::string_view object, std::string_view phase,
                                        std::uint64_t total, TimePoint now) {
  const std::unique_lock lock(m_mutex);
  auto found = m_items.find(object);
  if (found == m_items.end()) {
    found = m_items.emplace(std::string(object), std::make_unique<Item>()).first;
  }
  Item& item = *found->second;
  item.phase = phase;
  item.bound_by.clear();
  item.total = total;
  item.done = 0;
  item.meter.restart(now);
  return view(found->first, item);
}

void ProgressItems::advance(std::string_view object, std::uint64_t bytes) {
  const std::shared_lock lock(m_mutex);
  const auto found = m_items.find(object);
  if (found != m_items.end()) {
    found->second->done.fetch_add(bytes, std::memory_order_relaxed);
  }
}

void ProgressItems::bound(std::string_view object, std::string_view by) {
  const std::unique_lock lock(m_mutex);
  const auto found = m_items.find(object);
  if (found != m_items.end()) {
    found->second->bound_by = by;
  }
}

std::optional<ProgressView> ProgressItems::finish(std::string_view object, TimePoint now) {
  const std::unique_lock lock(m_mutex);
  const auto found = m_items.find(object);
  if (found == m_items.end()) {
    return std::nullopt;
  }
  found->second->meter.sample(now, found->second->done);
  ProgressView last = view(found->first, *found->second);
  m_items.erase(found);
  return last;
}

std::vector<ProgressView> ProgressItems::sample(TimePoint now) {
  const std::unique_lock lock(m_mutex);
  std::vector<ProgressView> views;
  for (const auto& [object, item] : m_items) {
    item->meter.sample(now, item->done);
    views.push_back(view(object, *item));
  }
  return views;
}

ProgressView ProgressItems::view(const std::string& object, const Item& item) {
  return {object, item.phase, item.done, item.total, item.meter.rate(), item.bound_by};
}

}  // namespace hamal
