#include "hamal-repo/options.hpp"

#include <CLI/CLI.hpp>

namespace hamal {
namespace {

CLI::App* add_command(CLI::App& app, RepoRequest& request, RepoCommand command, const char* name,
                      const char* purpose) {
  CLI::App* added = app.add_subcommand(name, purpose);
  added->footer("The options of every tool are in `hamal-repo --help`.");
  added->parse_complete_callback([&request, command] { request.command = command; });
  added->add_option("REPOSITORY", request.repository, "dir:PATH or s3://NAME/PREFIX")->required();
  return added;
}

// The end of the pipe: it takes the document, and the target that hamal-sync was given.
void add_commit(CLI::App& app, RepoRequest& request) {
  CLI::App* commit = app.add_subcommand(
      "commit", "Publish what hamal-sync staged of a snapshot, all its disks at once");
  commit->footer("The options of every tool are in `hamal-repo --help`.");
  commit->parse_complete_callback([&request] { request.command = RepoCommand::commit; });
  commit->add_option("DOCUMENT", request.document, "The snapshot document; - for standard input")
      ->required();
  commit->add_option("--target", request.repository, "dir:PATH or s3://NAME/PREFIX")
      ->type_name("REPOSITORY")
      ->required();
  commit
      ->add_option_function<unsigned>(
          "--wait",
          [&request](const unsigned& seconds) { request.wait = std::chrono::seconds(seconds); },
          "Wait so long for a busy vm (default 0: exit 4 at once)")
      ->type_name("SECONDS")
      ->check(CLI::Range(0U, 604800U).description(""));
}

}  // namespace

RepoRequest parse_repo_options(int argc, const char* const* argv) {
  RepoRequest request;
  CLI::App app("Make, look into and keep a repository of versions");
  add_common_options(app, "hamal-repo", request.common);
  app.require_subcommand(1);
  add_command(app, request, RepoCommand::init, "init", "Make an empty repository there");
  CLI::App* list = add_command(app, request, RepoCommand::list, "list", "The versions of each vm");
  list->add_option("VM", request.vm, "Only of this vm, by id or name");
  CLI::App* show = add_command(app, request, RepoCommand::show, "show",
                               "One version: its disks, what they hold, what was stored for them");
  show->add_option("VERSION", request.vm, "VM@VERSION, or VM for its newest")->required();
  add_commit(app, request);
  add_command(app, request, RepoCommand::stats, "stats", "What is stored, and for what");
  CLI::App* verify = add_command(app, request, RepoCommand::verify, "verify",
                                 "Check that every version can be restored");
  verify->add_option("VM", request.vm, "Only this vm's versions, by id or name");
  verify->add_flag_function(
      "--full", [&request](std::int64_t) { request.depth = repository::VerifyDepth::full; },
      "Read every byte (default: structure, and that all is there)");
  verify->add_flag("--mark", request.mark,
                   "Tell the writers which packs are damaged: the next runs store again what their "
                   "sources still have");
  parse_command_line(app, request.common, argc, argv);
  return request;
}

}  // namespace hamal
