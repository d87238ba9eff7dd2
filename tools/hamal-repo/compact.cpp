// hamal-repo compact.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "common/output.hpp"
#include "hamal-repo/commands.hpp"
#include "hamal/repository/compaction.hpp"
#include "hamal/util/file.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

std::string to_json(const repository::CompactionReport& report, bool done) {
  const nlohmann::json text = {{"packs", report.packs},
                               {"sparse_packs", report.sparse_packs},
                               {"sparse_bytes", report.sparse_bytes},
                               {"live_bytes", report.live_bytes},
                               {"new_packs", report.new_packs},
                               {"damaged_records", report.damaged},
                               {"more", report.more},
                               {"done", done}};
  return text.dump() + "\n";
}

std::string to_text(const repository::CompactionReport& report, bool done) {
  std::string text = fmt::format(
      "{} of {} packs hold little: {}, of which {} {} needed\n", report.sparse_packs, report.packs,
      format_size(report.sparse_bytes), format_size(report.live_bytes), done ? "were" : "are");
  if (report.damaged > 0) {
    text += fmt::format("{} damaged records stay where they are: see hamal-repo verify\n",
                        report.damaged);
  }
  if (report.more) {
    text += "There is more to do: run it again.\n";
  }
  if (!done) {
    return text + "Nothing was changed.\n";
  }
  return text + fmt::format("moved into {} new packs; the next prune deletes the old ones\n",
                            report.new_packs);
}

}  // namespace

int run_compact(const RepoRequest& request, Session& session) {
  const auto repository = open_repository(request.repository, session);
  const repository::KeepingContext context{*repository, session.log(), session.cancel(),
                                           system_clock()};
  repository::CompactionOptions options = request.compaction;
  options.scratch = session.config().defaults.hamal_lib_dir;
  make_private_directories(options.scratch);
  repository::CompactionReport report = plan_compaction(context, options);
  const bool done = !request.dry_run && report.sparse_packs > 0;
  if (done) {
    report = compact(context, options);
  }
  write_stdout(session.options().format == ReportFormat::json ? to_json(report, done)
                                                              : to_text(report, done),
               session.cancel());
  return 0;
}

}  // namespace hamal
