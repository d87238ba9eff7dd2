#include "hamal/sync/disk_flag_check.hpp"

#include <fmt/format.h>

#include "hamal/extent/algebra.hpp"
#include "hamal/extent/sources.hpp"
#include "hamal/extent/spool.hpp"
#include "hamal/sync/disk_flag.hpp"
#include "hamal/sync/resume.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

FlagReport unchecked(FlagVerdict verdict, std::string reason) {
  FlagReport report;
  report.verdict = verdict;
  report.reason = std::move(reason);
  return report;
}

ExtentSourcePtr ignored_ranges(const FlagQuestion& question, const Spool* recorded) {
  const std::uint64_t before = question.checkpoint->size;
  const std::uint64_t now = question.disk.size;
  // A disk that was made smaller: what lay beyond its end is gone with the operator's consent.
  auto ignored =
      now < before ? vector_source({{now, before - now, ExtentKind::data}}) : empty_source();
  if (recorded != nullptr) {
    ignored = unite(std::move(ignored), recorded->extents());
    if (question.disk.mode == SyncMode::incremental) {
      ignored = unite(std::move(ignored), question.plan());
    }
  }
  return ignored;
}

std::string difference(const FlagComparison& found, const Checkpoint& checkpoint) {
  return fmt::format(
      "the target is not what was committed as generation {}: it differs at offset {} ({} of {} "
      "samples differ)",
      checkpoint.generation, found.first_wrong, found.wrong, found.compared);
}

void compare(BlockReader& target, const std::string& key, const FlagQuestion& question,
             FlagReport& report) {
  const Checkpoint& checkpoint = *question.checkpoint;
  const auto samples = parse_disk_flag(checkpoint.disk_flag, checkpoint.size, question.target);
  std::optional<Spool> recorded;
  if (question.mark) {
    recorded = recorded_plan(*question.mark);
    if (!recorded) {  // nobody knows which samples still count
      report = unchecked(FlagVerdict::skipped, "the plan of the interrupted run cannot be read");
      return;
    }
  }
  const auto ignored = ignored_ranges(question, recorded ? &*recorded : nullptr);
  const FlagComparison found = compare_disk_flag(target, key, checkpoint, samples, *ignored);
  report.compared = found.compared;
  report.ignored = found.ignored;
  report.wrong = found.wrong;
  report.verdict = FlagVerdict::matched;
  if (found.wrong > 0) {
    throw Error(ErrorKind::wrong_target, difference(found, checkpoint), question.target,
                "was the replica booted or written by something else? copy all of it again with "
                "--incremental=never --force (in a pipe with hamal-cbt-read --full)");
  }
}

}  // namespace

const char* to_string(FlagVerdict verdict) noexcept {
  switch (verdict) {
    case FlagVerdict::none:
      return "none";
    case FlagVerdict::skipped:
      return "skipped";
    case FlagVerdict::matched:
      return "matched";
    case FlagVerdict::differs:
      return "differs";
    case FlagVerdict::overridden:
      return "overridden";
  }
  return "none";
}

FlagReport why_unchecked(const FlagQuestion& question) {
  if (!question.checkpoint) {
    return unchecked(FlagVerdict::none, "the target has no checkpoint");
  }
  if (!question.checkpoint->released.empty()) {
    return unchecked(FlagVerdict::skipped,
                     "the target was released on " + question.checkpoint->released);
  }
  if (question.policy.skip) {
    return unchecked(FlagVerdict::skipped, "skip_disk_flag");
  }
  if (question.disk.size < question.policy.smallest_disk) {
    return unchecked(FlagVerdict::skipped, "the disk is smaller than disk_flag_size");
  }
  if (question.checkpoint->disk_flag.empty()) {
    return unchecked(FlagVerdict::none, "no samples were taken");
  }
  if (question.mark && question.mark->mode == SyncMode::full) {
    return unchecked(FlagVerdict::skipped, "a full was interrupted");
  }
  return {};
}

void check_disk_flag(BlockReader& target, const std::string& key, const FlagQuestion& question,
                     FlagReport& report) {
  report = why_unchecked(question);
  if (!report.reason.empty()) {
    return;
  }
  try {
    compare(target, key, question, report);
  } catch (const Error& error) {
    report.reason = error.problem();
    // A target that cannot be read is not known again either.
    if (question.disk.mode == SyncMode::full && question.force == Force::yes) {
      report.verdict = FlagVerdict::overridden;
      return;
    }
    if (error.kind() == ErrorKind::wrong_target) {
      report.verdict = FlagVerdict::differs;
    }
    throw;
  }
}

std::string take_disk_flag(BlockReader& target, const std::string& key, const Checkpoint& next,
                           const std::optional<Checkpoint>& before, const DiskFlagPolicy& policy,
                           const std::function<ExtentSourcePtr()>& plan, FlagReport& report) {
  if (next.size < policy.smallest_disk) {
    return {};
  }
  std::vector<FlagSample> samples;
  try {
    samples = before ? parse_disk_flag(before->disk_flag, before->size, next.target_uri)
                     : std::vector<FlagSample>();
  } catch (const Error&) {  // damaged, and overridden: only hints where data may lie
    samples.clear();
  }
  const auto taken =
      take_flag_samples(target, key, next, choose_flag_offsets(key, next, samples, plan));
  report.taken = taken.size();
  return to_text(taken);
}

}  // namespace hamal
