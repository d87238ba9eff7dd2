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
  std::string older_than;
  bool stale = false;
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
                   "PLATFORM:VM, PLATFORM VM, REPOSITORY VM, or an endpoint (file:PATH, nbd://...)")
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
  create->add_option("--at", request.options.at, "Of a repository: this version, not the newest")
      ->type_name("VERSION");
  create->add_flag_function(
      "--offline", [&request](std::int64_t) { request.options.offline = Offline::yes; },
      "The operator guarantees that nothing writes to the image");
  create->add_flag_function(
      "--fresh", [&request](std::int64_t) { request.fresh = Fresh::yes; },
      "End the snapshot held for an interrupted run and make a new one");
  add_wait(*create, raw);
}

void add_finish(CLI::App& app, Raw& raw, SnapshotRequest& request, int& outcomes) {
  CLI::App* finish = add_command(app, "finish", "End a snapshot after its run");
  finish->add_option("DOC", request.document, "The snapshot document, or - for standard input")
      ->required()
      ->type_name("DOC");
  const auto add_outcome = [&](const char* name, Outcome outcome, const char* meaning) {
    const auto set = [&request, &outcomes, outcome](std::int64_t) {
      request.outcome = outcome;
      ++outcomes;
    };
    finish->add_flag_function(name, set, meaning);
  };
  add_outcome("--committed", Outcome::committed, "All its disks are safely on their targets");
  add_outcome("--failed", Outcome::failed,
              "They are not: keep what the next run needs, and the snapshot if it goes on from it");
  add_wait(*finish, raw);
}

void add_delete(CLI::App& app, Raw& raw, SnapshotRequest& request) {
  CLI::App* remove = add_command(app, "delete", "End a snapshot by its id, or those nobody needs");
  remove
      ->add_option("SNAPSHOT", raw.operands,
                   "PLATFORM:VM@SNAPSHOT, PLATFORM:VM SNAPSHOT or PLATFORM VM SNAPSHOT; with "
                   "--stale PLATFORM, PLATFORM:VM or PLATFORM VM")
      ->required()
      ->expected(1, 3);
  remove->add_flag("--stale", raw.stale, "All that dead runs of this installation left");
  remove->add_flag("--dry-run", request.dry_run, "With --stale: only say what it would end");
  remove
      ->add_option("--older-than", raw.older_than,
                   "With --stale: how old a snapshot that was handed out must be (default "
                   "snapshot_max_hold)")
      ->type_name("DURATION");
  add_wait(*remove, raw);
}

void add_others(CLI::App& app, Raw& raw) {
  CLI::App* vms = add_command(app, "vms", "List a platform's vms and disks");
  vms->add_option("PLATFORM", raw.operands,
                  "NAME of a [platform NAME] section, or a repository (dir:PATH, s3://NAME/PREFIX)")
      ->required()
      ->expected(1);
  CLI::App* list = add_command(app, "list", "List snapshots");
  list->add_option("VM", raw.operands,
                   "PLATFORM, PLATFORM:VM or PLATFORM VM; PLATFORM may be a repository")
      ->required()
      ->expected(1, 2);
}

/// A platform alone, or a vm.
VmOperand platform_or_vm(const std::vector<std::string>& words) {
  if (words.size() == 1 && words[0].find_first_of(":/") == std::string::npos) {
    return {words[0], {}};
  }
  return parse_vm_operand(words.at(0), words.size() > 1 ? words[1] : std::string());
}

std::chrono::milliseconds duration_of(const std::string& text, const char* option) {
  const auto duration = parse_duration(text);
  if (!duration) {
    throw Error(ErrorKind::usage, "is not a duration: " + text, option,
                "seconds, or a number with s, m, h or d");
  }
  return *duration;
}

void understand_stale(const Raw& raw, SnapshotRequest& request) {
  if (raw.operands.size() > 2) {
    throw Error(ErrorKind::usage, "--stale takes no snapshot", raw.operands.back(),
                "see hamal-snapshot delete --help");
  }
  request.command = SnapshotCommand::remove_stale;
  request.vm = platform_or_vm(raw.operands);
  if (!raw.older_than.empty()) {
    request.older_than = duration_of(raw.older_than, "--older-than");
  }
}

void understand_delete(const Raw& raw, SnapshotRequest& request) {
  const std::vector<std::string>& words = raw.operands;
  if (request.dry_run || !raw.older_than.empty()) {
    throw Error(ErrorKind::usage, "belongs to --stale",
                request.dry_run ? "--dry-run" : "--older-than", "see hamal-snapshot delete --help");
  }
  request.command = SnapshotCommand::remove;
  if (words.size() > 1) {
    request.snapshot_id = words.back();
    request.vm = parse_vm_operand(words.at(0), words.size() > 2 ? words[1] : std::string());
    return;
  }
  const std::size_t at = words.at(0).rfind('@');
  if (at == std::string::npos || at + 1 == words[0].size()) {
    throw Error(ErrorKind::usage, "names no snapshot", words[0],
                "write PLATFORM:VM@SNAPSHOT; see hamal-snapshot delete --help");
  }
  request.snapshot_id = words[0].substr(at + 1);
  request.vm = parse_vm_operand(words[0].substr(0, at));
}

void understand_operands(const CLI::App& app, const Raw& raw, SnapshotRequest& request) {
  const std::vector<std::string>& words = raw.operands;
  if (app.got_subcommand("vms")) {
    request.command = SnapshotCommand::vms;
    request.vm.platform = words.at(0);
  } else if (app.got_subcommand("create")) {
    request.command = SnapshotCommand::create;
    request.vm = parse_vm_operand(words.at(0), words.size() > 1 ? words[1] : std::string());
  } else if (app.got_subcommand("list")) {
    request.command = SnapshotCommand::list;
    request.vm = platform_or_vm(words);
  } else if (app.got_subcommand("delete")) {
    raw.stale ? understand_stale(raw, request) : understand_delete(raw, request);
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
  add_delete(app, raw, request);
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
  request.wait = duration_of(raw.wait, "--wait");
  return request;
}

}  // namespace hamal
