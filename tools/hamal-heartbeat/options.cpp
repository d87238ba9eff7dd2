#include "hamal-heartbeat/options.hpp"

#include <CLI/CLI.hpp>

#include "hamal/util/error.hpp"

namespace hamal {

HeartbeatRequest parse_heartbeat_options(int argc, const char* const* argv) {
  HeartbeatRequest request;
  CLI::App app("Tell the console of [mass] that this proxy lives, once");
  add_common_options(app, "hamal-heartbeat", request.common);
  app.add_flag("--loop", request.loop, "Go on, with a heartbeat every [period] interval");
  app.add_flag("--dry-run", request.dry_run, "Print what would be sent; send nothing");
  parse_command_line(app, request.common, argc, argv);
  if (request.loop && request.dry_run) {
    throw Error(ErrorKind::usage, "--loop does not go with --dry-run", {},
                "see hamal-heartbeat --help");
  }
  return request;
}

}  // namespace hamal
