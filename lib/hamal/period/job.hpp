// [job NAME] of hamal.conf, typed: what to protect, where to, and when.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hamal/config/config.hpp"
#include "hamal/period/calendar.hpp"

namespace hamal::period {

enum class HookFailure { fails_run, is_warned_about };

struct Hooks {
  std::string before;  ///< absolute path; empty: none
  std::string after;
  std::chrono::milliseconds timeout{300'000};
  HookFailure failure = HookFailure::fails_run;
};

/// A limit of all vms of the job together.
struct BandwidthRule {
  std::optional<TimeWindow> window;  ///< nullopt: at any time
  std::uint64_t bytes_per_second = 0;
};

struct Job {
  std::string name;
  std::string platform;                               ///< NAME of [platform NAME]
  std::string vm;                                     ///< id or name, or a pattern
  std::string target;                                 ///< may hold {vm} …
  std::optional<std::chrono::milliseconds> interval;  ///< exactly one of the two
  std::optional<Calendar> schedule;
  std::vector<TimeWindow> windows;  ///< when runs may start; empty: always
  std::vector<BandwidthRule> bandwidth;
  /// Options of `hamal-repo prune`; empty: everything is kept.
  std::vector<std::string> keep;
  std::string quiesce = "no";
  int priority = 0;  ///< higher ones first
  Hooks hooks;

  bool into_repository() const;
  bool matches(const std::string& vm_id, const std::string& vm_name) const;
  /// Of the first rule that applies; 0: no limit.
  std::uint64_t bandwidth_at(TimePoint when) const;
};

/// Every [job NAME], validated. Throws Error(usage) "FILE:LINE: [job NAME] key: …".
std::vector<Job> jobs_of(const Config& config);

/// * and ? as in a shell, for the whole of the text.
bool matches_pattern(std::string_view pattern, std::string_view text);

}  // namespace hamal::period
