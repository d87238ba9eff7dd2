#include "hamal/repository/retention.hpp"

#include <algorithm>
#include <array>
#include <ctime>
#include <numeric>

namespace hamal::repository {
namespace {

using Time = std::chrono::system_clock::time_point;

struct Rule {
  const char* word;
  unsigned left;
  const char* period;  ///< for strftime; null: each version is its own
  std::string last_seen;
};

std::string period_of(Time when, const char* format) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(when);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), format, &local)};
}

void add_reason(std::string& reasons, const char* word) {
  reasons += reasons.empty() ? "" : ", ";
  reasons += word;
}

}  // namespace

bool RetentionPolicy::empty() const noexcept {
  return last == 0 && hourly == 0 && daily == 0 && weekly == 0 && monthly == 0 && yearly == 0 &&
         within.count() == 0;
}

std::vector<std::string> reasons_to_keep(const RetentionPolicy& policy,
                                         const std::vector<Time>& times) {
  std::vector<std::string> reasons(times.size());
  if (times.empty()) {
    return reasons;
  }
  std::vector<std::size_t> newest_first(times.size());
  std::iota(newest_first.begin(), newest_first.end(), 0);
  // Of one moment the later in the list is the newer.
  std::stable_sort(newest_first.begin(), newest_first.end(), [&](std::size_t a, std::size_t b) {
    return times[a] != times[b] ? times[a] > times[b] : a > b;
  });
  std::array<Rule, 6> rules{{{"last", policy.last, nullptr, {}},
                             {"hourly", policy.hourly, "%Y%m%d%H", {}},
                             {"daily", policy.daily, "%Y%m%d", {}},
                             {"weekly", policy.weekly, "%G%V", {}},
                             {"monthly", policy.monthly, "%Y%m", {}},
                             {"yearly", policy.yearly, "%Y", {}}}};
  const Time newest = times[newest_first.front()];
  for (const std::size_t version : newest_first) {
    for (Rule& rule : rules) {
      if (rule.left == 0) {
        continue;
      }
      std::string period =
          rule.period == nullptr ? std::to_string(version) : period_of(times[version], rule.period);
      if (period != rule.last_seen || version == newest_first.back()) {
        add_reason(reasons[version], rule.word);
        rule.last_seen = std::move(period);
        --rule.left;
      }
    }
    if (policy.within.count() > 0 && newest - times[version] <= policy.within) {
      add_reason(reasons[version], "within");
    }
  }
  if (reasons[newest_first.front()].empty()) {
    reasons[newest_first.front()] = "newest";
  }
  return reasons;
}

}  // namespace hamal::repository
