#include "hamal-cbt-read/options.hpp"

#include <CLI/CLI.hpp>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

void check_base(const CLI::App& app, ReadRequest& request) {
  int given = 0;
  const auto count = [&](const char* name, BaseFrom base) {
    if (app.get_option(name)->count() > 0) {
      request.base = base;
      ++given;
    }
  };
  count("--target", BaseFrom::target);
  count("--checkpoint", BaseFrom::checkpoint);
  count("--since", BaseFrom::since);
  count("--full", BaseFrom::full);
  if (request.form == ReadForm::raw && given > 0 && request.base != BaseFrom::full) {
    throw Error(ErrorKind::usage, "--raw is a whole disk: it has no base", {},
                "leave --target, --checkpoint and --since out");
  }
  if (given > 1) {
    throw Error(ErrorKind::usage,
                "only one of --target, --checkpoint, --since and --full can be the base", {},
                "see hamal-cbt-read --help");
  }
  if (!is_repository_operand(request.operand) && (!request.vm.empty() || !request.at.empty())) {
    throw Error(ErrorKind::usage, "--vm and --at choose what is in a repository", request.operand,
                "leave them out, or read dir:PATH or s3://NAME/PREFIX");
  }
  // Who restores wants all of it, unless a base is named.
  if (given == 0 && request.form != ReadForm::raw && !is_repository_operand(request.operand)) {
    throw Error(ErrorKind::usage, "changes since when?", {},
                "say --target PATTERN, --checkpoint FILE, --since CHANGE_ID or --full");
  }
  if (request.base == BaseFrom::target && request.target.empty()) {
    throw Error(ErrorKind::usage, "is empty", "--target", "name an endpoint");
  }
}

}  // namespace

bool is_repository_operand(const std::string& operand) {
  return operand.starts_with("dir:") || operand.starts_with("s3:");
}

bool is_endpoint(const std::string& operand) {
  if (operand.starts_with("/dev/")) {
    // A shell's <(…), the name of standard input and files in shared memory are documents.
    return !operand.starts_with("/dev/fd/") && !operand.starts_with("/dev/shm/") &&
           operand != "/dev/stdin";
  }
  const std::size_t colon = operand.find(':');
  return colon != std::string::npos && colon > 0 && operand.find('/') > colon;
}

ReadRequest parse_read_options(int argc, const char* const* argv) {
  ReadRequest request;
  CLI::App app("Print what changed on the disks of a snapshot");
  add_common_options(app, "hamal-cbt-read", request.common);
  app.add_option("SOURCE", request.operand,
                 "A snapshot document, - for standard input, or an endpoint: file:PATH, /dev/..., "
                 "nbd://..., NAME:VM/DISK@SNAPSHOT, or a repository: dir:PATH, s3://NAME/PREFIX")
      ->required();
  app.add_option("--target", request.target,
                 "Since the checkpoint of this target (may hold {vm} {vm_id} {disk} {index})")
      ->type_name("PATTERN");
  app.add_option("--checkpoint", request.checkpoints,
                 "Since the checkpoint in this file (one per disk; may be repeated)")
      ->type_name("FILE")
      ->allow_extra_args(false);
  app.add_option("--since", request.since,
                 "Since this change id; DISK=CHANGE_ID for one disk (may be repeated)")
      ->type_name("CHANGE_ID")
      ->allow_extra_args(false);
  app.add_flag_function(
      "--full", [&request](std::int64_t) { request.base = BaseFrom::full; },
      "Everything that is allocated");
  app.add_option("--disk", request.disks, "Only this disk, by id or index (may be repeated)")
      ->type_name("ID")
      ->allow_extra_args(false);
  app.add_option("--vm", request.vm, "Of a repository: this vm, by id or name")->type_name("VM");
  app.add_option("--at", request.at, "Of a repository: this version, not the newest")
      ->type_name("VERSION");
  CLI::Option* data = app.add_flag_function(
      "--data", [&request](std::int64_t) { request.form = ReadForm::data; },
      "The data stream: with the bytes themselves");
  app.add_flag_function(
         "--raw", [&request](std::int64_t) { request.form = ReadForm::raw; },
         "One disk as a plain image, holes as zeros")
      ->excludes(data);
  parse_command_line(app, request.common, argc, argv);
  check_base(app, request);
  return request;
}

}  // namespace hamal
