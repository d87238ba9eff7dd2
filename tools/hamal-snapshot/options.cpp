#include "hamal-snapshot/options.hpp"

#include <CLI/CLI.hpp>
#include <vector>

#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

/// What CLI11 fills in before the operands are understood together.
struct Raw {
  std::vector<std::string> operands;
  std::string quiesce = "no";
  std::string wait = "0";
};

CLI::App* add_command(CLI::App& app, const char* name, const char* purpose) {
  CLI::App* command = app.add_subcommand(name, purpose);
  command->footer("The options of every tool are in `hamal-snapshot --help`.");
  return command;
}

void add_wait(CLI::App& command, Raw& raw) {
  command
      .add_option("--wait", raw.wait,
                  "Wait so long for a vm that another run holds (default 0: exit 4 at once)")
      ->type_name("SECONDS");
}

void add_create(CLI::App& app, Raw& raw, SnapshotRequest& request) {
  CLI::App* create =
      add_command(app, "create", "Freeze a vm's disks and print the snapshot document");
  create
      ->add_option("VM", raw.operands,
                   "PLATFORM:VM, PLATFORM VM, or an endpoint (file:PATH, nbd://...)")
      ->required()
      ->expected(1, 2);
  create->add_option("--disk", request.options.disks, "Only this disk (may be repeated)")
      ->type_name("ID")
      ->allow_extra_args(false);
  create
      ->add_option("--quiesce", raw.quiesce,
                   "Ask the guest to settle: no, try or require (default no)")
      ->type_name("HOW")
      ->check(CLI::IsMember({"no", "try", "require"}).description(""));
  create->add_flag_function(
      "--offline", [&request](std::int64_t) { request.options.offline = Offline::yes; },
      "The operator guarantees that nothing writes to the image");
  add_wait(*create, raw);
}

void add_finish(CLI::App& app, Raw& raw, SnapshotRequest& request, int& outcomes) {
  CLI::App* finish = add_command(app, "finish", "End a snapshot after its run");
  finish->add_option("DOC", request.document, "The snapshot document, or - for standard input")
      ->required()
      ->type_name("DOC");
  finish->add_flag_function(
      "--committed",
      [&request, &outcomes](std::int64_t) {
        request.outcome = Outcome::committed;
        ++outcomes;
      },
      "All its disks are safely on their targets");
  finish->add_flag_function(
      "--failed",
      [&request, &outcomes](std::int64_t) {
        request.outcome = Outcome::failed;
        ++outcomes;
      },
      "They are not: keep what the next run needs");
  add_wait(*finish, raw);
}

void add_others(CLI::App& app, Raw& raw) {
  CLI::App* vms = add_command(app, "vms", "List a platform's vms and disks");
  vms->add_option("PLATFORM", raw.operands, "NAME of a [platform NAME] section")
      ->required()
      ->expected(1);
  CLI::App* list = add_command(app, "list", "List snapshots");
  list->add_option("VM", raw.operands, "PLATFORM, PLATFORM:VM or PLATFORM VM")
      ->required()
      ->expected(1, 2);
  CLI::App* remove = add_command(app, "delete", "End a snapshot whose document was lost");
  remove->add_option("SNAPSHOT", raw.operands, "PLATFORM:VM SNAPSHOT, or PLATFORM VM SNAPSHOT")
      ->required()
      ->expected(2, 3);
  add_wait(*remove, raw);
}

void understand_operands(const CLI::App& app, Raw& raw, SnapshotRequest& request) {
  std::vector<std::string>& words = raw.operands;
  if (app.got_subcommand("vms")) {
    request.command = SnapshotCommand::vms;
    request.vm.platform = words.at(0);
  } else if (app.got_subcommand("create")) {
    request.command = SnapshotCommand::create;
    request.vm = parse_vm_operand(words.at(0), words.size() > 1 ? words[1] : std::string());
  } else if (app.got_subcommand("list")) {
    request.command = SnapshotCommand::list;
    if (words.size() == 1 && words[0].find_first_of(":/") == std::string::npos) {
      request.vm.platform = words[0];
    } else {
      request.vm = parse_vm_operand(words.at(0), words.size() > 1 ? words[1] : std::string());
    }
  } else if (app.got_subcommand("delete")) {
    request.command = SnapshotCommand::remove;
    request.snapshot_id = words.back();
    request.vm = parse_vm_operand(words.at(0), words.size() > 2 ? words[1] : std::string());
  } else {
    request.command = SnapshotCommand::finish;
  }
}

}  // namespace

SnapshotRequest parse_snapshot_options(int argc, const char* const* argv) {
  SnapshotRequest request;
  Raw raw;
  int outcomes = 0;
  CLI::App app("Create, list and end snapshots of vms");
  add_common_options(app, "hamal-snapshot", request.common);
  app.require_subcommand(1);
  add_others(app, raw);
  add_create(app, raw, request);
  add_finish(app, raw, request, outcomes);
  parse_command_line(app, request.common, argc, argv);

  understand_operands(app, raw, request);
  if (request.command == SnapshotCommand::finish && outcomes != 1) {
    throw Error(ErrorKind::usage, "finish needs one of --committed and --failed", {},
                "see hamal-snapshot finish --help");
  }
  request.options.quiesce = raw.quiesce == "no"    ? Quiesce::no
                            : raw.quiesce == "try" ? Quiesce::try_to
                                                   : Quiesce::require;
  const auto wait = parse_duration(raw.wait);
  if (!wait) {
    throw Error(ErrorKind::usage, "is not a duration: " + raw.wait, "--wait",
                "seconds, or a number with s, m, h or d");
  }
  request.wait = *wait;
  return request;
}

}  // namespace hamal
