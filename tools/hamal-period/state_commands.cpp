// hamal-period state export|import: from one database to another, without a new full.
#include "common/input.hpp"
#include "common/output.hpp"
#include "hamal-period/commands.hpp"
#include "hamal/state/state_dump.hpp"

namespace hamal {
namespace {

constexpr std::size_t k_largest_state = std::size_t{1} << 30;

}  // namespace

int run_export_state(Session& session) {
  write_stdout(to_json(session.state().dump()), session.cancel());
  return 0;
}

int run_import_state(const PeriodRequest& request, Session& session) {
  const std::string text = read_operand(request.file, session.cancel(), k_largest_state);
  const StateDump dump =
      parse_state_dump(text, request.file == "-" ? "standard input" : request.file);
  session.state().load(dump);
  std::size_t rows = 0;
  for (const auto& [table, of_table] : dump.rows) {
    rows += of_table.size();
  }
  session.log().info("the state was imported from {}: {} rows", request.file, rows);
  return 0;
}

}  // namespace hamal
