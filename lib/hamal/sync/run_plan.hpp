// What a run copies: the plan it was given, what an interrupted run left of its own, or both
// (resume.hpp says when), and the file of it that the in-progress mark names.
//
//   choose() ──► open() ──► extents() … ──► keep(), once the mark names it
//            └► drop_recorded(), when the target turns out to be another
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "hamal/extent/spool.hpp"
#include "hamal/report/log.hpp"
#include "hamal/sync/plan.hpp"
#include "hamal/sync/resume.hpp"

namespace hamal {

/// Used by one thread. What it is given outlives it.
class RunPlan {
 public:
  /// `mark` is of an interrupted run of this disk on this target.
  RunPlan(PlannedDisk& planned, const std::optional<InProgress>& mark)
      : m_planned(planned), m_mark(mark) {}

  /// Decides what becomes of the interrupted run's plan. False: it would be of use, and is lost.
  bool choose(const std::string& snapshot_id);
  Continuation continuation() const noexcept { return m_continuation; }
  /// What it was to go on from is gone: the given plan alone.
  void drop_recorded() noexcept { m_continuation = Continuation::none; }

  /// Makes and opens what is to be copied.
  void open();
  /// From the start; after open().
  ExtentSourcePtr extents() const { return m_spool->extents(); }
  const ExtentTotals& totals() const noexcept { return m_spool->totals(); }
  /// The file; after open().
  const std::filesystem::path& path() const noexcept { return m_path; }
  /// The mark names the file: it stays.
  void keep() noexcept;

 private:
  PlannedDisk& m_planned;
  const std::optional<InProgress>& m_mark;
  Continuation m_continuation = Continuation::none;
  std::optional<Spool> m_recorded;
  PlanFile m_united;
  std::optional<Spool> m_spool;
  std::filesystem::path m_path;
};

}  // namespace hamal
