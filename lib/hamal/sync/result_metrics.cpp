#include "hamal/sync/result_metrics.hpp"

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace hamal {
namespace {

constexpr const char* k_last_success = "hamal_sync_last_success_timestamp_seconds";
constexpr const char* k_generation = "hamal_sync_generation";
constexpr const char* k_exit_status = "hamal_sync_exit_status";
constexpr const char* k_last_run = "hamal_sync_last_run_timestamp_seconds";

class Families {
 public:
  void add(const char* name, const char* help, const MetricLabels& labels, double value) {
    auto family = std::find_if(m_families.begin(), m_families.end(),
                               [&](const MetricFamily& known) { return known.name == name; });
    if (family == m_families.end()) {
      family = m_families.insert(family, MetricFamily{name, help, {}});
    }
    family->samples.push_back({labels, value});
  }
  std::vector<MetricFamily> take() { return std::move(m_families); }

 private:
  std::vector<MetricFamily> m_families;
};

std::vector<MetricSample> samples_of(const std::vector<MetricFamily>& families, const char* name) {
  const auto family = std::find_if(families.begin(), families.end(),
                                   [&](const MetricFamily& known) { return known.name == name; });
  return family == families.end() ? std::vector<MetricSample>{} : family->samples;
}

std::optional<double> value_of(const std::vector<MetricFamily>& families, const char* name,
                               const MetricLabels& labels) {
  for (const auto& sample : samples_of(families, name)) {
    if (sample.labels == labels) {
      return sample.value;
    }
  }
  return std::nullopt;
}

double seconds(std::uint64_t milliseconds) {
  return static_cast<double>(milliseconds) / 1000.0;
}

double number(std::uint64_t value) {
  return static_cast<double>(value);
}

MetricLabels labels_of(const SyncResult& result, const DiskResult& disk) {
  return {{"platform", result.platform},
          {"vm", result.vm_name.empty() ? result.vm_id : result.vm_name},
          {"disk", disk.disk},
          {"target", disk.target_uri}};
}

void add_outcome(Families& families, const MetricLabels& labels, double ended, int status) {
  families.add(k_last_run, "When the last run ended, committed or not.", labels, ended);
  families.add(k_exit_status, "Exit status of the last run for this disk; 0: committed.", labels,
               status);
}

// What is durably known of a disk, whatever became of the last run.
void add_known(Families& families, const MetricLabels& labels, std::optional<double> committed,
               std::optional<double> generation) {
  if (committed) {
    families.add(k_last_success, "When the checkpoint was committed that the target is at.", labels,
                 *committed);
  }
  if (generation) {
    families.add(k_generation, "Completed runs of this disk on this target.", labels, *generation);
  }
}

// Where the run did not get as far as the checkpoint, what the file said of it still holds.
void add_checkpoint(Families& families, const MetricLabels& labels, const DiskResult& disk,
                    const std::vector<MetricFamily>& previous) {
  const auto& checkpoint = disk.after ? disk.after : disk.before;
  if (checkpoint) {
    add_known(families, labels, unix_seconds(checkpoint->committed),
              number(checkpoint->generation));
  } else if (disk.status != ExitStatus::done) {
    add_known(families, labels, value_of(previous, k_last_success, labels),
              value_of(previous, k_generation, labels));
  }
}

void add_work(Families& families, const MetricLabels& labels, const DiskResult& disk) {
  const auto add = [&](const char* name, const char* help, double value) {
    families.add(name, help, labels, value);
  };
  add("hamal_sync_duration_seconds", "How long the last run took for this disk.",
      seconds(disk.total_ms));
  add("hamal_sync_disk_size_bytes", "Size of the disk.", number(disk.size));
  add("hamal_sync_planned_bytes", "What the last run was to copy or to zero.",
      number(disk.planned.data_bytes + disk.planned.zero_bytes));
  add("hamal_sync_read_bytes", "Read from the source by the last run.",
      number(disk.copied.read_bytes));
  add("hamal_sync_written_bytes", "Written to the target by the last run.",
      number(disk.copied.written_bytes));
  add("hamal_sync_zeroed_bytes", "Zeroed on the target by the last run.",
      number(disk.copied.zeroed_bytes));
  if (disk.stored) {
    add("hamal_sync_stored_bytes", "Added to the repository by the last run, compressed.",
        number(disk.stored->stored));
    add("hamal_sync_shared_bytes", "Of the last run's data, what the repository had already.",
        number(disk.stored->shared));
  }
  add("hamal_sync_source_wait_seconds",
      "Time the last run's readers spent on the source, summed over readers.",
      seconds(disk.copied.times.source_ms));
  add("hamal_sync_target_wait_seconds",
      "Time the last run's readers spent on the target, summed over readers.",
      seconds(disk.copied.times.target_ms));
  // Both modes, so that a mode that does not apply any more becomes 0 and not a stale 1.
  for (const SyncMode mode : {SyncMode::full, SyncMode::incremental}) {
    MetricLabels of_mode = labels;
    of_mode.emplace_back("mode", to_string(mode));
    families.add("hamal_sync_mode", "1 for the mode of the last run, 0 for the other.", of_mode,
                 disk.mode == mode ? 1 : 0);
  }
}

}  // namespace

std::vector<MetricFamily> sync_metrics(const RunOutcome& run,
                                       const std::optional<SyncResult>& result,
                                       const std::vector<MetricFamily>& previous) {
  Families families;
  const MetricLabels of_run{{"file", run.file}};
  families.add("hamal_sync_run_timestamp_seconds", "When the last run ended.", of_run, run.ended);
  families.add("hamal_sync_run_duration_seconds", "How long the last run took.", of_run,
               run.seconds);
  families.add("hamal_sync_run_exit_status", "Exit status of the last run.", of_run,
               run.exit_status);
  if (!result) {
    for (const auto& disk : samples_of(previous, k_exit_status)) {
      add_outcome(families, disk.labels, run.ended, run.exit_status);
      add_known(families, disk.labels, value_of(previous, k_last_success, disk.labels),
                value_of(previous, k_generation, disk.labels));
    }
    return families.take();
  }
  for (const auto& disk : result->disks) {
    const MetricLabels labels = labels_of(*result, disk);
    add_outcome(families, labels, run.ended, static_cast<int>(disk.status));
    add_checkpoint(families, labels, disk, previous);
    add_work(families, labels, disk);
  }
  return families.take();
}

std::optional<double> unix_seconds(const std::string& rfc3339) {
  std::tm time{};
  int used = 0;
  double second = 0;
  // NOLINTNEXTLINE(cert-err34-c): the count of conversions and the end are checked
  if (std::sscanf(rfc3339.c_str(), "%4d-%2d-%2dT%2d:%2d:%lfZ%n", &time.tm_year, &time.tm_mon,
                  &time.tm_mday, &time.tm_hour, &time.tm_min, &second, &used) != 6 ||
      static_cast<std::size_t>(used) != rfc3339.size() || used == 0) {
    return std::nullopt;
  }
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  return static_cast<double>(::timegm(&time)) + second;
}

}  // namespace hamal
