// One pass, or one every interval: what is due, the runs, what other programs are told of it.
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "common/output.hpp"
#include "hamal-period/commands.hpp"
#include "hamal-period/info.hpp"
#include "hamal-period/metrics.hpp"
#include "hamal-period/other_proxies.hpp"
#include "hamal-period/pass.hpp"
#include "hamal-period/tasks.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/text.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

/// The tools beside this one are meant, whatever the service manager's PATH is.
void put_own_folder_into_path() {
  std::error_code none;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", none);
  const char* const path = std::getenv("PATH");
  if (!none) {
    const std::string all =
        self.parent_path().string() + (path == nullptr ? "" : std::string(":") + path);
    ::setenv("PATH", all.c_str(), 1);
  }
}

int print_lines(const PeriodRequest& request, Session& session) {
  const auto now = system_clock().wall();
  const DueCandidates found = due_candidates(request, session, now, false);
  std::string text;
  for (const Candidate& candidate : found.due) {
    const period::Hooks& hooks = candidate.job.hooks;
    text += escape_control(fmt::format("# job {}, vm {}:{}: {}", candidate.job.name,
                                       candidate.vm.platform, candidate.vm.name,
                                       candidate.due.reason)) +
            "\n";
    text += hooks.before.empty() ? "" : "# pre hook: " + escape_control(hooks.before) + "\n";
    text += shell_script(lines_of(candidate, found.due, session, now));
    text += hooks.after.empty() ? "" : "# post hook: " + escape_control(hooks.after) + "\n";
  }
  if (found.due.empty()) {
    text = "# nothing is due\n";
  }
  write_stdout(text, session.cancel());
  return found.failure;
}

/// As of hamal-sync: 3 when some were synced and some were not.
int status_of(const PassTotals& totals, int job_failure) {
  const int failure = totals.first_failure != 0 ? totals.first_failure : job_failure;
  return failure != 0 && totals.done > 0 ? static_cast<int>(ExitStatus::partial) : failure;
}

void finish_pass(const PeriodRequest& request, Session& session, const std::string& started,
                 PassTotals& totals) {
  totals.ended = rfc3339(system_clock().wall());
  write_info(session, started, request.loop, totals);
  write_metrics(request, session);
}

using Forsaken = std::map<std::string, std::vector<std::string>>;

/// Says what nobody syncs, once for as long as it stays so. `said` is what was said before.
void say_forsaken(Session& session, const Forsaken& forsaken, Forsaken& said) {
  for (const auto& [proxy, vms] : forsaken) {
    if (const auto before = said.find(proxy); before != said.end() && before->second == vms) {
      continue;
    }
    const std::string text = fmt::format(
        "{}: {}; its lines are those of hamal-period --dry-run --now --vm VM, with that option",
        fmt::join(vms, ", "), left_to(proxy));
    session.log().warning("{}", text);
    if (!session.mirrored()) {
      fmt::print(stderr, "{}: warning: {}\n", session.tool(), escape_control(text));
    }
  }
  said = forsaken;
}

/// What is due already is begun first: a console may be slow.
void add_tasks(Session& session, Tasks& tasks, Runs& runs, PassTotals& totals) {
  runs.work(std::chrono::steady_clock::now(), totals);
  try {
    auto found = tasks.fetch();
    totals.due += static_cast<unsigned>(found.size());
    runs.add(std::move(found));
  } catch (const Error& error) {
    if (!error.transient()) {
      throw;
    }
    // The runs that have begun are not to be stopped for it.
    session.log().warning("no tasks: {}", error.what());
  }
}

/// False when it failed as it may: a state that is locked or full now may be usable later.
bool step_of_loop(Session& session, const std::function<void()>& step) {
  try {
    step();
    return true;
  } catch (const Error& error) {
    if (!error.transient() && error.kind() != ErrorKind::failed) {
      throw;
    }
    session.log().error("this pass failed: {}", error.what());
    return false;
  }
}

int loop(const PeriodRequest& request, Session& session) {
  const std::string started = rfc3339(system_clock().wall());
  Tasks tasks(request, session);
  Runs runs(session, tasks);
  Forsaken said;
  session.log().info("loops, with a pass every {} ms", session.config().period.interval.count());
  while (!session.cancel().requested()) {
    const auto next = std::chrono::steady_clock::now() + session.config().period.interval;
    PassTotals totals;
    totals.started = rfc3339(system_clock().wall());
    const bool found = step_of_loop(session, [&] {
      auto candidates = due_candidates(request, session, system_clock().wall(), true);
      totals.due = static_cast<unsigned>(candidates.due.size());
      say_forsaken(session, candidates.forsaken, said);
      runs.add(std::move(candidates.due));
      add_tasks(session, tasks, runs, totals);
    });
    step_of_loop(session, [&] {
      // What runs longer than a pass does not keep others from becoming due; what ends is recorded
      // although it could not be told what is.
      runs.work(next, totals);
      if (found) {
        tasks.deliver();
        finish_pass(request, session, started, totals);
      }
    });
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        next - std::chrono::steady_clock::now());
    if (left.count() > 0 && !session.cancel().requested()) {
      session.cancel().sleep_ms(static_cast<int>(std::min<std::int64_t>(left.count(), 86'400'000)));
    }
  }
  PassTotals rest;
  runs.work(std::nullopt, rest);
  session.cancel().check();
  return 0;
}

}  // namespace

int run_passes(const PeriodRequest& request, Session& session) {
  put_own_folder_into_path();
  if (request.dry_run) {
    return print_lines(request, session);
  }
  selected_jobs(request, session);  // a mistake there ends a loop at once, too
  if (request.loop) {
    return loop(request, session);
  }
  const std::string started = rfc3339(system_clock().wall());
  PassTotals totals;
  totals.started = started;
  Tasks tasks(request, session);
  Runs runs(session, tasks);
  auto found = due_candidates(request, session, system_clock().wall(), true);
  Forsaken said;
  say_forsaken(session, found.forsaken, said);
  totals.due = static_cast<unsigned>(found.due.size());
  runs.add(std::move(found.due));
  add_tasks(session, tasks, runs, totals);
  runs.work(std::nullopt, totals);
  tasks.deliver();
  finish_pass(request, session, started, totals);
  session.cancel().check();
  session.log().info("pass: {} due, {} done, {} failed, {} busy", totals.due, totals.done,
                     totals.failed, totals.busy);
  return status_of(totals, found.failure);
}

}  // namespace hamal
