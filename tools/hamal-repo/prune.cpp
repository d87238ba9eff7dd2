// hamal-repo prune.
#include "hamal/repository/prune.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/output.hpp"
#include "common/table.hpp"
#include "hamal-repo/commands.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

using repository::PlannedVersion;
using repository::PrunePlan;
using repository::PruneReport;

/// The slot of VM@VERSION.
std::string slot_of(repository::Repository& repository, const std::string& text) {
  const std::size_t at = text.rfind('@');
  const std::string digits = at == std::string::npos ? "" : text.substr(at + 1);
  constexpr std::size_t k_most_digits = 10;
  if (digits.empty() || digits.size() > k_most_digits ||
      digits.find_first_not_of("0123456789") != std::string::npos) {
    throw Error(ErrorKind::usage, "--drop takes VM@VERSION", text);
  }
  const auto vms = find_vms(repository, text.substr(0, at));
  if (vms.size() != 1) {
    throw Error(ErrorKind::usage, "means several vms", text, "name it as PLATFORM:ID@VERSION");
  }
  return repository::slot_key(vms.front(), std::stoull(digits));
}

nlohmann::json to_json(const PrunePlan& plan) {
  nlohmann::json versions = nlohmann::json::array();
  for (const PlannedVersion& version : plan.versions) {
    versions.push_back({{"platform", version.name.vm.platform},
                        {"vm_id", version.name.vm.vm_id},
                        {"version", version.name.generation},
                        {"created", version.created},
                        {"stays", !version.why.empty()},
                        {"why", version.why}});
  }
  return {{"versions", std::move(versions)},      {"packs", plan.round.packs.size()},
          {"objects", plan.round.objects.size()}, {"freed_bytes", plan.freed_bytes},
          {"kept_bytes", plan.kept_bytes},        {"pending_rounds", plan.pending_rounds}};
}

std::string to_text(const PrunePlan& plan) {
  std::vector<std::vector<std::string>> rows{{"VM", "VERSION", "CREATED", "", "WHY"}};
  for (const PlannedVersion& version : plan.versions) {
    rows.push_back({version.name.vm.platform + ":" + version.name.vm.vm_id,
                    std::to_string(version.name.generation), version.created,
                    version.why.empty() ? "goes" : "stays", version.why});
  }
  std::string text = format_table(rows);
  text +=
      fmt::format("\n{} versions, {} packs and {} other objects would go: {} freed, {} stay\n",
                  plan.round.versions.size(), plan.round.packs.size(), plan.round.objects.size(),
                  format_size(plan.freed_bytes), format_size(plan.kept_bytes));
  if (!plan.pending_rounds.empty()) {
    text += "An earlier prune has not ended; this one goes on with it first.\n";
  }
  return text + "Nothing was changed: --yes does it.\n";
}

nlohmann::json to_json(const PruneReport& report) {
  nlohmann::json text = {{"dropped", report.dropped}, {"packs", report.packs},
                         {"objects", report.objects}, {"ended_sessions", report.aborted},
                         {"locked", report.locked},   {"extended_locks", report.extended},
                         {"done", !report.waits}};
  if (report.waits) {
    text["waits"] = report.waits->what();
  }
  return text;
}

std::string to_text(const PruneReport& report) {
  std::string text = fmt::format("{} versions dropped, {} packs and {} other objects deleted\n",
                                 report.dropped.size(), report.packs, report.objects);
  if (report.aborted > 0) {
    text += fmt::format("{} runs were silent for too long and are given up\n", report.aborted);
  }
  if (report.locked > 0) {
    text += fmt::format("{} objects stay until their lock ends\n", report.locked);
  }
  if (report.extended > 0) {
    text += fmt::format("{} locks extended\n", report.extended);
  }
  return text;
}

template <typename Report>
void print(const Report& report, Session& session) {
  const bool json = session.options().format == ReportFormat::json;
  write_stdout(json ? to_json(report).dump() + "\n" : to_text(report), session.cancel());
}

}  // namespace

int run_prune(const RepoRequest& request, Session& session) {
  repository::PruneOptions options = request.prune;
  if (options.keep.empty() && request.drop.empty()) {
    throw Error(ErrorKind::usage, "prune must be told what to keep, or what to drop", "",
                "for example --keep-last 7 --keep-weekly 5 --keep-monthly 12");
  }
  const auto repository = open_repository(request.repository, session);
  if (!request.vm.empty()) {
    const auto vms = find_vms(*repository, request.vm);
    options.vms.insert(vms.begin(), vms.end());
  }
  for (const std::string& version : request.drop) {
    options.drop.insert(slot_of(*repository, version));
  }
  const repository::KeepingContext context{*repository, session.log(), session.cancel(),
                                           system_clock()};
  if (!request.yes) {
    print(plan_prune(context, options), session);
    return 0;
  }
  const PruneReport report = prune(context, options);
  print(report, session);
  if (report.waits) {
    throw Error(*report.waits);
  }
  return 0;
}

}  // namespace hamal
