#include "hamal-sync/options.hpp"

#include <CLI/CLI.hpp>
#include <map>

#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

constexpr const char* k_description =
    "Sync the disks of a snapshot to their targets, durably, and record the checkpoint.\n\n"
    "  hamal-cbt-read - --target T | hamal-sync - --target T     an extent or data stream\n"
    "  hamal-sync --source URI --target URI                      one disk by hand\n"
    "  hamal-sync dir:PATH --vm VM --target URI                  restore from a repository\n"
    "  hamal-sync --compare --source URI --target URI            names what differs\n"
    "  hamal-sync release --target URI                           before a replica is booted";

std::uint64_t size_of(const char* option, const std::string& text, std::uint64_t least) {
  const auto size = parse_size(text);
  if (!size || *size < least) {
    throw Error(ErrorKind::usage,
                std::string("not a size of at least ") + format_size(least) + ": " + text, option,
                "write a number of bytes, or with K, M, G behind it");
  }
  return *size;
}

void add_sync_options(CLI::App& app, SyncRequest& request) {
  static const std::map<std::string, Incremental> k_incremental{{"auto", Incremental::automatic},
                                                                {"require", Incremental::require},
                                                                {"never", Incremental::never}};
  app.add_option("STREAM", request.stream,
                 "Extent or data stream: a file, or - for standard input; or the repository to "
                 "restore from: dir:PATH, s3://NAME/PREFIX");
  app.add_option("--source", request.source, "Read this endpoint instead of a stream")
      ->type_name("URI");
  app.add_option("--target", request.target,
                 "Where to write: an endpoint URI, or a pattern with {vm} {vm_id} {disk} {index}")
      ->type_name("URI");
  app.add_option("--map", request.maps, "Write disk DISK to URI instead of --target (repeatable)")
      ->type_name("DISK=URI")
      ->allow_extra_args(false);
  app.add_option("--at", request.at, "Restore this version of a repository, not the newest")
      ->type_name("VERSION");
  app.add_option("--disk", request.disks, "Only this disk, by id or index (repeatable)")
      ->type_name("DISK")
      ->allow_extra_args(false);
  app.add_option("--vm", request.vm,
                 "The vm of a repository to restore, by id or name; the name of the machine of a "
                 "raw --source that goes into one (--disk names the disk)")
      ->type_name("VM");
  app.add_option_function<std::string>(
         "--incremental",
         [&request](const std::string& word) { request.incremental = k_incremental.at(word); },
         "auto: incremental where safe; require: never fall back to a full; never: always full")
      ->type_name("WHEN")
      ->check(CLI::IsMember(&k_incremental).description(""));
  app.add_flag_function(
      "--compare", [&request](std::int64_t) { request.command = SyncCommand::compare; },
      "Read both sides, write nothing, name the extents that differ (status 1 if any)");
  app.add_flag_function(
      "--resize", [&request](std::int64_t) { request.resize = Resize::allow; },
      "Give a target file of another size the size of the disk");
  app.add_flag_function(
      "--force", [&request](std::int64_t) { request.force = Force::yes; },
      "Overwrite a target that looks used, holds another disk or was written by something "
      "else (never a device in use)");
  app.add_flag_function(
      "--take-over", [&request](std::int64_t) { request.take_over = TakeOver::yes; },
      "Take a file, device or NBD target from another proxy, which writes no more");
  app.add_flag("--dry-run", request.dry_run, "Say what would be done; write nothing");
  app.add_option("--readers", request.readers,
                 "Parallel readers per disk (default: pre_disk_readers_count)")
      ->type_name("N")
      ->check(CLI::Range(1U, 64U).description(""));
  app.add_option("--parallel-disks", request.parallel_disks,
                 "Disks at a time, and no more (default: parallel_sync_disks_count, at first)")
      ->type_name("N")
      ->check(CLI::Range(1U, 64U).description(""));
  app.add_option_function<std::string>(
         "--bwlimit",
         [&request](const std::string& text) {
           request.bytes_per_second = size_of("--bwlimit", text, 1024);
         },
         "Read so many bytes per second at most, all disks together (10M)")
      ->type_name("SIZE");
  app.add_option_function<std::string>(
         "--memory-limit",
         [&request](const std::string& text) {
           request.memory_limit = size_of("--memory-limit", text, 1U << 20);
         },
         "Memory of the run, all disks together (default: [sync] memory_limit)")
      ->type_name("SIZE");
  app.add_option("--metrics-file", request.metrics_file,
                 "Write metrics of the run there, for Prometheus' node exporter")
      ->type_name("PATH");
  app.add_option_function<unsigned>(
         "--wait",
         [&request](const unsigned& seconds) { request.wait = std::chrono::seconds(seconds); },
         "Wait so long for a busy vm or target (default 0: exit 4 at once)")
      ->type_name("SECONDS")
      ->check(CLI::Range(0U, 604800U).description(""));
}

void add_checkpoint_commands(CLI::App& app, SyncRequest& request) {
  auto* checkpoint = app.add_subcommand("checkpoint", "What is durably known of the targets");
  checkpoint->require_subcommand(1);
  const auto add = [&](const char* name, const char* text, SyncCommand command) {
    auto* sub = checkpoint->add_subcommand(name, text);
    sub->callback([&request, command] { request.command = command; });
    sub->add_option("--vm", request.vm, "Only of this vm, by id or name")->type_name("VM");
    return sub;
  };
  add("list", "A table of all checkpoints", SyncCommand::list_checkpoints);
  add("show", "One checkpoint in full; --json is what hamal-cbt-read --checkpoint takes",
      SyncCommand::show_checkpoints);
  add("forget", "Forget it: the next run is a full copy (the target is not touched)",
      SyncCommand::forget_checkpoints);
}

void add_release_command(CLI::App& app, SyncRequest& request) {
  auto* release = app.add_subcommand(
      "release", "Say that a target is given away (to be booted): the next run is a full copy");
  release->callback([&request] { request.command = SyncCommand::release; });
  release->add_option("--vm", request.vm, "All targets of this vm, by id or name")->type_name("VM");
}

void add_rollback_command(CLI::App& app, SyncRequest& request) {
  auto* rollback = app.add_subcommand(
      "rollback", "Put a target that a run has been changing back to its checkpoint");
  rollback->callback([&request] { request.command = SyncCommand::roll_back; });
  rollback->add_option("--vm", request.vm, "All targets of this vm, by id or name")
      ->type_name("VM");
}

[[noreturn]] void refuse(const std::string& what, const std::string& hint) {
  throw Error(ErrorKind::usage, what, "", hint);
}

void check(const SyncRequest& request) {
  const bool checkpoint_command = request.command == SyncCommand::list_checkpoints ||
                                  request.command == SyncCommand::show_checkpoints ||
                                  request.command == SyncCommand::forget_checkpoints;
  if (request.command != SyncCommand::sync && !request.metrics_file.empty()) {
    refuse("--metrics-file is for a run", "leave it out");
  }
  if (checkpoint_command) {
    if (request.command == SyncCommand::forget_checkpoints && request.target.empty() &&
        request.vm.empty()) {
      refuse("checkpoint forget needs --target or --vm", "see hamal-sync checkpoint list");
    }
    return;
  }
  if (request.command == SyncCommand::roll_back) {
    if (request.target.empty() && request.vm.empty()) {
      refuse("rollback needs --target or --vm", "see hamal-sync checkpoint list");
    }
    return;
  }
  if (request.command == SyncCommand::release) {
    if (request.target.empty() && request.vm.empty()) {
      refuse("release needs --target or --vm", "see hamal-sync checkpoint list");
    }
    return;
  }
  if (!request.stream.empty() && !request.source.empty()) {
    refuse("a stream and --source were given", "leave one of them out");
  }
  if (request.stream.empty() && request.source.empty()) {
    refuse("nothing to read", "give a stream (- for standard input) or --source URI");
  }
  if (request.target.empty() && request.maps.empty()) {
    refuse("--target is missing",
           "say where to write, for example --target file:/srv/{vm}-{disk}.raw");
  }
  if (request.command == SyncCommand::compare &&
      (request.source.empty() || request.target.empty())) {
    refuse("--compare needs --source and --target", "it reads two endpoints, never a stream");
  }
}

}  // namespace

SyncRequest parse_sync_options(int argc, const char* const* argv) {
  SyncRequest request;
  CLI::App app(k_description);
  add_common_options(app, "hamal-sync", request.common);
  add_sync_options(app, request);
  add_checkpoint_commands(app, request);
  add_release_command(app, request);
  add_rollback_command(app, request);
  parse_command_line(app, request.common, argc, argv);
  check(request);
  return request;
}

}  // namespace hamal
