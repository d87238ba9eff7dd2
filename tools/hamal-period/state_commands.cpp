// hamal-period state export|import|reopen: from one database to another, without a new full.
#include <fmt/core.h>

#include <filesystem>

#include "common/input.hpp"
#include "common/output.hpp"
#include "hamal-period/commands.hpp"
#include "hamal/state/open_state.hpp"
#include "hamal/state/state_dump.hpp"
#include "hamal/state/state_dump_check.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

constexpr std::size_t k_largest_state = std::size_t{1} << 30;

void require_new(const PeriodRequest& request) {
  std::error_code none;
  if (!request.force && std::filesystem::exists(request.output, none)) {
    throw Error(ErrorKind::usage, "there is a file of that name already", request.output,
                "choose another name, or --force to replace it");
  }
}

void print(const PeriodRequest& request, const std::string& json, const Session& session) {
  if (request.output.empty()) {
    write_stdout(json, session.cancel());
  } else {
    write_file_atomically(request.output, json, 0600);
  }
}

}  // namespace

int run_export_state(const PeriodRequest& request, Session& session) {
  if (!request.output.empty()) {
    require_new(request);
  }
  // First: what opens it from here on is refused, so that nothing is committed behind the export.
  const bool closed =
      request.moved && mark_state_moved(session.config(), rfc3339(system_clock().wall()));
  try {
    print(request, to_json(open_moved_state(session.config())->dump()), session);
  } catch (...) {
    if (closed) {
      reopen_state(session.config());
    }
    throw;
  }
  session.log().info("the state was exported{}{}",
                     request.output.empty() ? std::string() : " to " + request.output,
                     request.moved ? ", and is closed: it was moved" : "");
  return 0;
}

int run_import_state(const PeriodRequest& request, Session& session) {
  const std::string name = request.file == "-" ? "standard input" : request.file;
  const std::string text = read_operand(request.file, session.cancel(), k_largest_state);
  StateDump dump = parse_state_dump(text, name);
  check_state_dump(dump, name);
  const std::filesystem::path plans =
      std::filesystem::path(session.config().defaults.hamal_lib_dir) / "plans";
  const std::size_t forgotten = forget_foreign_plans(dump, plans);
  session.state().load(dump);
  if (forgotten != 0) {
    session.log().warning(
        "{} interrupted runs have their plans elsewhere than below {}: the next runs of those "
        "disks are fulls",
        forgotten, plans.string());
  }
  std::size_t rows = 0;
  for (const auto& [table, of_table] : dump.rows) {
    rows += of_table.size();
  }
  session.log().info("the state was imported from {}: {} rows", request.file, rows);
  return 0;
}

int run_reopen_state(Session& session) {
  if (reopen_state(session.config())) {
    session.log().warning("the state is used again: it was not moved after all");
  } else {
    session.say_warning("the state was not moved: nothing was done");
  }
  return 0;
}

}  // namespace hamal
