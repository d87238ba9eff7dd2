#include "hamal-period/options.hpp"

#include <CLI/CLI.hpp>

#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal {

namespace {

void add_state_commands(CLI::App& app, PeriodRequest& request) {
  CLI::App* state = app.add_subcommand("state", "Move what is known to another database");
  state->require_subcommand(1);
  const auto add = [&](const char* name, const char* purpose, PeriodCommand command) {
    CLI::App* added = state->add_subcommand(name, purpose);
    added->parse_complete_callback([&request, command] { request.command = command; });
    return added;
  };
  CLI::App* export_state = add("export", "Print all of it as JSON", PeriodCommand::export_state);
  CLI::Option* output =
      export_state->add_option("--output", request.output, "Write it there, for the owner alone")
          ->type_name("FILE");
  export_state->add_flag("--force", request.force, "Replace that file")->needs(output);
  export_state->add_flag("--moved", request.moved,
                         "It is moved: close this state for all but another export");
  add("import", "Take what was exported into an empty state", PeriodCommand::import_state)
      ->add_option("FILE", request.file, "What was exported, or - for standard input")
      ->required()
      ->type_name("FILE");
  add("reopen", "Use a state again that was moved, and never arrived", PeriodCommand::reopen_state);
}

}  // namespace

PeriodRequest parse_period_options(int argc, const char* const* argv) {
  PeriodRequest request;
  CLI::App app("Run the other tools for the machines of [job NAME] that are due, once");
  add_common_options(app, "hamal-period", request.common);
  app.require_subcommand(0, 1);
  app.add_flag("--loop", request.loop, "Go on, with a pass every [period] interval");
  app.add_flag("--dry-run", request.dry_run, "Print the command lines; run nothing");
  app.add_flag("--now", request.now, "Whether it is due or not");
  app.add_option("--job", request.jobs, "Only this job; may be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false);
  app.add_option("--vm", request.vms, "Only this vm, by id, name or pattern; may be repeated")
      ->type_name("VM")
      ->allow_extra_args(false);
  app.add_option("--metrics-file", request.metrics_file,
                 "Write metrics of every vm there, for Prometheus' node exporter")
      ->type_name("PATH");
  const auto add = [&](const char* name, const char* purpose, PeriodCommand command) {
    CLI::App* added = app.add_subcommand(name, purpose);
    added->footer("The options of every tool are in `hamal-period --help`.");
    added->parse_complete_callback([&request, command] { request.command = command; });
    return added;
  };
  add("status", "What became of each vm, and when it runs next", PeriodCommand::status);
  CLI::App* health =
      add("health", "Exit 0 when passes are made and targets do not fail", PeriodCommand::health);
  health
      ->add_option_function<std::string>(
          "--max-age",
          [&request](const std::string& text) {
            request.max_age = parse_duration(text);
            if (!request.max_age) {
              throw CLI::ValidationError("--max-age", text + " is no duration such as 10m");
            }
          },
          "The last pass must be younger (default: 3 intervals, at least 10m)")
      ->type_name("DURATION");
  health
      ->add_option("--max-failures", request.max_failures,
                   "A vm may have failed so often in a row (default 3)")
      ->type_name("N");
  add_state_commands(app, request);
  parse_command_line(app, request.common, argc, argv);
  if (request.command != PeriodCommand::run &&
      (request.loop || request.dry_run || request.now || !request.metrics_file.empty())) {
    throw Error(ErrorKind::usage, "--loop, --dry-run, --now and --metrics-file are for a pass", {},
                "see hamal-period --help");
  }
  if (request.loop && (request.dry_run || request.now)) {
    throw Error(ErrorKind::usage, "--loop goes neither with --dry-run nor with --now", {},
                "see hamal-period --help");
  }
  return request;
}

}  // namespace hamal
