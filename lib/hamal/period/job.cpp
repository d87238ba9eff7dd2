#include "hamal/period/job.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <limits>

#include "hamal/config/ini_text.hpp"
#include "hamal/config/values.hpp"
#include "hamal/period/words.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/nearest.hpp"
#include "hamal/util/units.hpp"

namespace hamal::period {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t k_least_bandwidth = 1024;  // what hamal-sync --bwlimit takes

[[noreturn]] void refuse(const NamedSection& section, const std::string& key,
                         const std::string& problem, const std::string& hint = {}) {
  const auto origin = section.origins.find(key);
  throw Error(ErrorKind::usage, fmt::format("[job {}] {}: {}", section.name, key, problem),
              place(origin == section.origins.end() ? section.origin : origin->second), hint);
}

std::vector<TimeWindow> windows_of(const NamedSection& section) {
  std::vector<TimeWindow> windows;
  const std::string text = section.get("window");
  if (text.empty()) {
    return windows;
  }
  for (const std::string_view part : split(text, ',')) {
    const auto window = TimeWindow::parse(part);
    if (!window) {
      refuse(section, "window", fmt::format("\"{}\" is no window", part),
             "write HH:MM-HH:MM, several with commas");
    }
    windows.push_back(*window);
  }
  return windows;
}

std::vector<BandwidthRule> bandwidth_of(const NamedSection& section) {
  std::vector<BandwidthRule> rules;
  const std::string text = section.get("bwlimit");
  if (text.empty()) {
    return rules;
  }
  for (const std::string_view part : split(text, ',')) {
    const std::vector<std::string_view> said = words(part);
    BandwidthRule rule;
    const auto limit = said.empty() ? std::nullopt : parse_size(said.back());
    if (said.size() == 2) {
      rule.window = TimeWindow::parse(said.front());
    }
    if (!limit || said.size() > 2 || (said.size() == 2 && !rule.window) ||
        (*limit != 0 && *limit < k_least_bandwidth)) {
      refuse(section, "bwlimit", fmt::format("\"{}\" is no limit", part),
             "write SIZE or HH:MM-HH:MM SIZE, several with commas; at least 1K, or 0 for none");
    }
    rule.bytes_per_second = *limit;
    rules.push_back(rule);
  }
  return rules;
}

// "last=7 daily=14 within=30d" → the options of hamal-repo prune
std::vector<std::string> keep_of(const NamedSection& section) {
  static constexpr std::array k_counts{"last", "hourly", "daily", "weekly", "monthly", "yearly"};
  std::vector<std::string> options;
  const std::string text = section.get("retention");
  for (const std::string_view word : words(text)) {
    const std::size_t equals = word.find('=');
    const std::string name(word.substr(0, equals));
    const std::string value(equals == std::string_view::npos ? "" : word.substr(equals + 1));
    const bool counted = std::find(k_counts.begin(), k_counts.end(), name) != k_counts.end();
    const bool right = counted ? parse_count(value, {1, 1'000'000}).has_value()
                               : name == "within" && parse_duration(value).has_value();
    if (!right) {
      refuse(section, "retention", fmt::format("\"{}\" is nothing to keep", word),
             "write last=N, hourly=N, daily=N, weekly=N, monthly=N, yearly=N, within=DURATION");
    }
    options.push_back("--keep-" + name);
    options.push_back(value);
  }
  return options;
}

void take_times(const NamedSection& section, Job& job) {
  const std::string interval = section.get("interval");
  const std::string schedule = section.get("schedule");
  if (interval.empty() == schedule.empty()) {
    refuse(section, interval.empty() ? "interval" : "schedule",
           interval.empty() ? "missing, and there is no schedule" : "there is an interval, too",
           "give one of the two");
  }
  if (schedule.empty()) {
    job.interval = parse_duration(interval);
  } else {
    job.schedule = Calendar::parse(schedule);
    if (!job.schedule) {
      refuse(section, "schedule", fmt::format("\"{}\" is no calendar expression", schedule),
             "write five fields as in crontab(5), or hourly, daily, weekly, monthly");
    }
  }
}

Job job_of(const NamedSection& section, const Config& config) {
  Job job;
  job.name = section.name;
  job.platform = section.require("platform");
  if (!config.platforms.contains(job.platform)) {
    std::vector<std::string> names;
    for (const auto& [name, platform] : config.platforms) {
      names.push_back(name);
    }
    const std::string near = nearest_name(job.platform, names);
    refuse(section, "platform", fmt::format("there is no [platform {}]", job.platform),
           near.empty() ? std::string() : fmt::format("did you mean {}?", near));
  }
  job.vm = section.require("vm");
  job.target = section.require("target");
  take_times(section, job);
  job.windows = windows_of(section);
  job.bandwidth = bandwidth_of(section);
  job.keep = keep_of(section);
  if (!job.keep.empty() && !job.into_repository()) {
    refuse(section, "retention", "the target keeps one version only", "leave it out");
  }
  job.quiesce = section.get("quiesce", job.quiesce);
  const std::string priority = section.get("priority");
  if (!priority.empty()) {
    job.priority = std::stoi(priority);  // its range was checked with the file
  }
  job.hooks.before = section.get("pre_hook");
  job.hooks.after = section.get("post_hook");
  const std::string timeout = section.get("hook_timeout");
  if (!timeout.empty()) {
    job.hooks.timeout = *parse_duration(timeout);
  }
  job.hooks.failure =
      section.get("hook_failure") == "warn" ? HookFailure::is_warned_about : HookFailure::fails_run;
  return job;
}

}  // namespace

bool Job::into_repository() const {
  return target.starts_with("dir:") || target.starts_with("s3://");
}

bool Job::matches(const std::string& vm_id, const std::string& vm_name) const {
  return vm == vm_id || vm == vm_name || matches_pattern(vm, vm_id) || matches_pattern(vm, vm_name);
}

std::uint64_t Job::bandwidth_at(TimePoint when) const {
  for (const BandwidthRule& rule : bandwidth) {
    if (!rule.window || rule.window->contains(when)) {
      return rule.bytes_per_second;
    }
  }
  return 0;
}

std::vector<Job> jobs_of(const Config& config) {
  std::vector<Job> jobs;
  for (const auto& [name, section] : config.jobs) {
    jobs.push_back(job_of(section, config));
  }
  return jobs;
}

bool matches_pattern(std::string_view pattern, std::string_view text) {
  // The last * and what it has swallowed so far: enough, since an earlier one need never give back.
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

}  // namespace hamal::period
