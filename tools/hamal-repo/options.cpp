#include "hamal-repo/options.hpp"

#include <CLI/CLI.hpp>

#include "hamal/util/units.hpp"

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

/// A duration such as 36h or 7d.
void add_duration(CLI::App& app, const char* name, std::chrono::seconds& value,
                  const char* purpose) {
  app.add_option_function<std::string>(
         name,
         [name, &value](const std::string& text) {
           const auto parsed = parse_duration(text);
           if (!parsed) {
             throw CLI::ValidationError(name, text + " is no duration such as 36h or 7d");
           }
           value = std::chrono::duration_cast<std::chrono::seconds>(*parsed);
         },
         purpose)
      ->type_name("DURATION");
}

void add_prune(CLI::App& app, RepoRequest& request) {
  CLI::App* prune = add_command(app, request, RepoCommand::prune, "prune",
                                "Drop versions, and delete what none needs any more");
  prune->add_option("VM", request.vm, "Drop versions of this vm alone, by id or name");
  auto& keep = request.prune.keep;
  const auto add_count = [&](const char* name, unsigned& count, const char* purpose) {
    prune->add_option(name, count, purpose)->type_name("N");
  };
  add_count("--keep-last", keep.last, "Keep the newest N versions of each vm");
  add_count("--keep-hourly", keep.hourly, "Keep the last of each of the last N hours");
  add_count("--keep-daily", keep.daily, "Keep the last of each of the last N days");
  add_count("--keep-weekly", keep.weekly, "Keep the last of each of the last N weeks");
  add_count("--keep-monthly", keep.monthly, "Keep the last of each of the last N months");
  add_count("--keep-yearly", keep.yearly, "Keep the last of each of the last N years");
  add_duration(*prune, "--keep-within", keep.within,
               "Keep what is not older than that before the newest");
  prune->add_option("--drop", request.drop, "Drop this version, whatever is kept")
      ->type_name("VM@VERSION")
      ->allow_extra_args(false);
  prune->add_flag("--yes", request.yes, "Do it (default: say what would go, and what it frees)");
  add_duration(*prune, "--wait", request.prune.wait,
               "Wait so long for runs that have not ended (default 0)");
  add_duration(*prune, "--abort-after", request.prune.abort_after,
               "Give up runs that were silent for so long (default 24h)");
  add_duration(*prune, "--extend-locks", request.prune.extend_locks,
               "Lock what is needed for at least so long from now");
}

CLI::App* add_key_command(CLI::App& key, RepoRequest& request, KeyAction action, const char* name,
                          const char* purpose) {
  CLI::App* added = key.add_subcommand(name, purpose);
  added->footer("The options of every tool are in `hamal-repo --help`.");
  added->parse_complete_callback([&request, action] {
    request.command = RepoCommand::key;
    request.key.action = action;
  });
  if (action != KeyAction::generate) {
    added->add_option("REPOSITORY", request.repository, "dir:PATH or s3://NAME/PREFIX")->required();
    added
        ->add_option_function<std::string>(
            "--private-key",
            [&request](const std::string& text) {
              const SecretReference reference = parse_secret(text);
              if (reference.kind == SecretReference::Kind::plain) {
                throw CLI::ValidationError(
                    "--private-key", "takes file:PATH, env:NAME or credential:NAME, never a key");
              }
              request.key.private_key = reference;
            },
            "Where a recipient's private key is: file:PATH, env:NAME or credential:NAME (default: "
            "private_key of the configuration)")
        ->type_name("REFERENCE");
  }
  return added;
}

void add_key(CLI::App& app, RepoRequest& request) {
  CLI::App* key = app.add_subcommand("key", "Who can read an encrypted repository");
  key->require_subcommand(1);
  key->footer("The options of every tool are in `hamal-repo --help`.");
  const auto add = [&](KeyAction action, const char* name, const char* purpose) {
    return add_key_command(*key, request, action, name, purpose);
  };
  const auto add_yes = [&](CLI::App* command) {
    command->add_flag("--yes", request.yes, "Do it (default: say what would be done)");
  };
  CLI::App* generate = add(KeyAction::generate, "generate",
                           "Make a key pair: FILE for who restores, FILE.pub to make him a "
                           "recipient");
  generate->add_option("FILE", request.key.file, "Where the private key goes")->required();
  generate->add_flag("--index-key", request.key.index_key,
                     "Make an index key instead, which every proxy needs");
  add(KeyAction::show, "show", "The recipients, and whether every data key is wrapped to them");
  add(KeyAction::change, "add", "Make public keys recipients")
      ->add_option("FILE", request.key.public_keys, "Public keys")
      ->required();
  CLI::App* remove = add(KeyAction::change, "remove", "Take recipients away");
  remove->add_option("RECIPIENT", request.key.recipients, "Their names, or at least 8 first digits")
      ->required();
  add_yes(remove);
  CLI::App* rotate = add(KeyAction::change, "rotate", "Put a public key in a recipient's place");
  const auto add_one = [&](const char* name, std::vector<std::string>& list, const char* purpose) {
    rotate
        ->add_option_function<std::string>(
            name, [&list](const std::string& text) { list = {text}; }, purpose)
        ->required();
  };
  add_one("RECIPIENT", request.key.recipients, "Whose place; at least 8 first digits");
  add_one("FILE", request.key.public_keys, "The new public key");
  add_yes(rotate);
  add(KeyAction::change, "rewrap",
      "Wrap anew what runs wrapped to the recipients of before, once they have ended");
}

}  // namespace

RepoRequest parse_repo_options(int argc, const char* const* argv) {
  RepoRequest request;
  CLI::App app("Make, look into and keep a repository of versions");
  add_common_options(app, "hamal-repo", request.common);
  app.require_subcommand(1);
  CLI::App* init =
      add_command(app, request, RepoCommand::init, "init", "Make an empty repository there");
  init->add_option("--recipient", request.key.public_keys,
                   "Encrypt it, for who has the private key of this public one")
      ->type_name("FILE")
      ->allow_extra_args(false);
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
  add_prune(app, request);
  CLI::App* compact = add_command(app, request, RepoCommand::compact, "compact",
                                  "Move what is needed out of packs that hold little else");
  compact
      ->add_option("--sparse", request.compaction.sparse_percent,
                   "Empty packs of which less than this is needed (default 50)")
      ->type_name("PERCENT")
      ->check(CLI::Range(1, 100));
  compact->add_flag("--dry-run", request.dry_run, "Say what would be moved, and move nothing");
  add_key(app, request);
  parse_command_line(app, request.common, argc, argv);
  return request;
}

}  // namespace hamal
