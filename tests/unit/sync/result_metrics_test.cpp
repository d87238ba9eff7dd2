// What a run tells Prometheus; above all that the last success outlives runs that fail.
#include "hamal/sync/result_metrics.hpp"

#include <gtest/gtest.h>

namespace hamal {
namespace {

Checkpoint checkpoint(std::uint64_t generation, const std::string& committed) {
  Checkpoint checkpoint;
  checkpoint.generation = generation;
  checkpoint.committed = committed;
  return checkpoint;
}

SyncResult committed_run() {
  DiskResult disk;
  disk.disk = "vda";
  disk.target_uri = "file:/srv/web01-vda.raw";
  disk.size = 1U << 30;
  disk.mode = SyncMode::incremental;
  disk.status = ExitStatus::done;
  disk.planned = {3, 8192, 4096};
  disk.copied.read_bytes = 8192;
  disk.copied.written_bytes = 8000;
  disk.copied.zeroed_bytes = 4288;
  disk.copied.times.source_ms = 250;
  disk.copied.times.target_ms = 1500;
  disk.total_ms = 2000;
  disk.before = checkpoint(6, "2025-11-24T21:54:07.000Z");
  disk.after = checkpoint(7, "2025-11-24T21:54:07.125Z");
  SyncResult result;
  result.platform = "lab";
  result.vm_id = "vm-1";
  result.vm_name = "web01";
  result.disks = {disk};
  return result;
}

SyncResult failed_run(std::optional<Checkpoint> before) {
  SyncResult result = committed_run();
  result.disks[0].status = ExitStatus::temporary;
  result.disks[0].before = std::move(before);
  result.disks[0].after.reset();
  return result;
}

const MetricLabels k_disk{
    {"platform", "lab"}, {"vm", "web01"}, {"disk", "vda"}, {"target", "file:/srv/web01-vda.raw"}};

std::optional<double> value(const std::vector<MetricFamily>& families, const std::string& name,
                            const MetricLabels& labels = k_disk) {
  for (const auto& family : families) {
    for (const auto& sample : family.samples) {
      if (family.name == name && sample.labels == labels) {
        return sample.value;
      }
    }
  }
  return std::nullopt;
}

constexpr const char* k_golden =
    R"(# HELP hamal_sync_run_timestamp_seconds When the last run ended.
# TYPE hamal_sync_run_timestamp_seconds gauge
hamal_sync_run_timestamp_seconds{file="web01.prom"} 1764021248.5
# HELP hamal_sync_run_duration_seconds How long the last run took.
# TYPE hamal_sync_run_duration_seconds gauge
hamal_sync_run_duration_seconds{file="web01.prom"} 2.5
# HELP hamal_sync_run_exit_status Exit status of the last run.
# TYPE hamal_sync_run_exit_status gauge
hamal_sync_run_exit_status{file="web01.prom"} 0
# HELP hamal_sync_last_run_timestamp_seconds When the last run ended, committed or not.
# TYPE hamal_sync_last_run_timestamp_seconds gauge
hamal_sync_last_run_timestamp_seconds{DISK} 1764021248.5
# HELP hamal_sync_exit_status Exit status of the last run for this disk; 0: committed.
# TYPE hamal_sync_exit_status gauge
hamal_sync_exit_status{DISK} 0
# HELP hamal_sync_last_success_timestamp_seconds When the checkpoint was committed that the target is at.
# TYPE hamal_sync_last_success_timestamp_seconds gauge
hamal_sync_last_success_timestamp_seconds{DISK} 1764021247.125
# HELP hamal_sync_generation Completed runs of this disk on this target.
# TYPE hamal_sync_generation gauge
hamal_sync_generation{DISK} 7
# HELP hamal_sync_duration_seconds How long the last run took for this disk.
# TYPE hamal_sync_duration_seconds gauge
hamal_sync_duration_seconds{DISK} 2
# HELP hamal_sync_disk_size_bytes Size of the disk.
# TYPE hamal_sync_disk_size_bytes gauge
hamal_sync_disk_size_bytes{DISK} 1073741824
# HELP hamal_sync_planned_bytes What the last run was to copy or to zero.
# TYPE hamal_sync_planned_bytes gauge
hamal_sync_planned_bytes{DISK} 12288
# HELP hamal_sync_read_bytes Read from the source by the last run.
# TYPE hamal_sync_read_bytes gauge
hamal_sync_read_bytes{DISK} 8192
# HELP hamal_sync_written_bytes Written to the target by the last run.
# TYPE hamal_sync_written_bytes gauge
hamal_sync_written_bytes{DISK} 8000
# HELP hamal_sync_zeroed_bytes Zeroed on the target by the last run.
# TYPE hamal_sync_zeroed_bytes gauge
hamal_sync_zeroed_bytes{DISK} 4288
# HELP hamal_sync_source_wait_seconds Time the last run's readers spent on the source, summed over readers.
# TYPE hamal_sync_source_wait_seconds gauge
hamal_sync_source_wait_seconds{DISK} 0.25
# HELP hamal_sync_target_wait_seconds Time the last run's readers spent on the target, summed over readers.
# TYPE hamal_sync_target_wait_seconds gauge
hamal_sync_target_wait_seconds{DISK} 1.5
# HELP hamal_sync_mode 1 for the mode of the last run, 0 for the other.
# TYPE hamal_sync_mode gauge
hamal_sync_mode{DISK,mode="full"} 0
hamal_sync_mode{DISK,mode="incremental"} 1
)";

TEST(ResultMetricsTest, a_committed_run_in_full) {
  std::string expected = k_golden;
  const std::string labels =
      R"(platform="lab",vm="web01",disk="vda",target="file:/srv/web01-vda.raw")";
  for (auto at = expected.find("DISK"); at != std::string::npos; at = expected.find("DISK")) {
    expected.replace(at, 4, labels);
  }
  EXPECT_EQ(metrics_text(sync_metrics({"web01.prom", 1764021248.5, 2.5, 0}, committed_run(), {})),
            expected);
}

TEST(ResultMetricsTest, a_failed_run_keeps_the_last_success_of_its_checkpoint) {
  const auto families = sync_metrics({"f", 1764030000, 1, 75},
                                     failed_run(checkpoint(6, "2025-11-24T21:54:07.000Z")), {});
  EXPECT_EQ(value(families, "hamal_sync_last_success_timestamp_seconds"), 1764021247);
  EXPECT_EQ(value(families, "hamal_sync_generation"), 6);
  EXPECT_EQ(value(families, "hamal_sync_exit_status"), 75);
  EXPECT_EQ(value(families, "hamal_sync_last_run_timestamp_seconds"), 1764030000);
}

TEST(ResultMetricsTest,
     a_disk_that_failed_before_its_checkpoint_was_known_keeps_what_the_file_said) {
  const auto before = sync_metrics({"f", 1764021248, 1, 0}, committed_run(), {});
  const auto families = sync_metrics({"f", 1764030000, 1, 4}, failed_run({}), before);
  EXPECT_EQ(value(families, "hamal_sync_last_success_timestamp_seconds"), 1764021247.125);
  EXPECT_EQ(value(families, "hamal_sync_generation"), 7);
  // And without a file there is nothing to say, rather than a zero: 1970 would look like a success.
  EXPECT_FALSE(value(sync_metrics({"f", 1, 1, 4}, failed_run({}), {}),
                     "hamal_sync_last_success_timestamp_seconds"));
}

TEST(ResultMetricsTest, a_run_without_a_result_fails_the_disks_that_the_file_knew) {
  const auto before = sync_metrics({"f", 1764021248, 1, 0}, committed_run(), {});
  const auto families = sync_metrics({"f", 1764030000, 1, 75}, std::nullopt, before);
  EXPECT_EQ(value(families, "hamal_sync_run_exit_status", {{"file", "f"}}), 75);
  EXPECT_EQ(value(families, "hamal_sync_exit_status"), 75);
  EXPECT_EQ(value(families, "hamal_sync_last_run_timestamp_seconds"), 1764030000);
  EXPECT_EQ(value(families, "hamal_sync_last_success_timestamp_seconds"), 1764021247.125);
  EXPECT_EQ(value(families, "hamal_sync_generation"), 7);
  EXPECT_FALSE(value(families, "hamal_sync_read_bytes"));
}

TEST(ResultMetricsTest, a_vm_without_a_name_goes_by_its_id) {
  SyncResult result = committed_run();
  result.vm_name.clear();
  MetricLabels labels = k_disk;
  labels[1].second = "vm-1";
  EXPECT_EQ(value(sync_metrics({"f", 1, 1, 0}, result, {}), "hamal_sync_generation", labels), 7);
}

TEST(ResultMetricsTest, times_of_checkpoints_are_read_strictly) {
  EXPECT_EQ(unix_seconds("1970-01-01T00:00:00.000Z"), 0);
  EXPECT_EQ(unix_seconds("2025-11-24T21:54:07Z"), 1764021247);
  EXPECT_EQ(unix_seconds("2025-11-24T21:54:07.5Z"), 1764021247.5);
  for (const char* wrong : {"", "2025-11-24", "2025-11-24T21:54:07", "2025-11-24T21:54:07+01:00",
                            "2025-11-24T21:54:07Zx"}) {
    EXPECT_FALSE(unix_seconds(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace hamal
