#include "hamal-config/options.hpp"

#include <CLI/CLI.hpp>

#include "hamal/util/error.hpp"

namespace hamal {

ConfigRequest parse_config_options(int argc, const char* const* argv) {
  ConfigRequest request;
  // Asking must not make files: root's log would be in the way of the service's user.
  request.common.log_level = LogLevel::off;
  CLI::App app("Check the configuration, and say what it means");
  add_common_options(app, "hamal-config", request.common);
  app.require_subcommand(1);
  const auto add = [&](const char* name, const char* purpose, ConfigCommand command) {
    CLI::App* added = app.add_subcommand(name, purpose);
    added->footer("The options of every tool are in `hamal-config --help`.");
    added->parse_complete_callback([&request, command] { request.command = command; });
    return added;
  };
  CLI::App* check = add("check", "Validate it, and print every key with its value and source",
                        ConfigCommand::check);
  check->add_flag("--quiet", request.quiet, "Print nothing; the exit status tells");
  check->add_flag("--secrets", request.secrets, "Read each secret, and fail when one cannot be");
  check->add_flag("--state", request.state,
                  "Read the state's tables, and fail when they are no use");
  CLI::App* get = add("get", "Print the value of one key, for scripts", ConfigCommand::get);
  get->add_option("SECTION", request.section, "DEFAULT, period, \"job NAME\" …")->required();
  get->add_option("KEY", request.key, "As in hamal.conf")->required();
  parse_command_line(app, request.common, argc, argv);
  return request;
}

}  // namespace hamal
