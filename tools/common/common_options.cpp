#include "common/common_options.hpp"

#include <cstdlib>
#include <map>
#include <vector>

#include "common/help_formatter.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/nearest.hpp"
#include "hamal/version.hpp"

namespace hamal {
namespace {

/// The application and the subcommands that were chosen, outermost first.
std::vector<const CLI::App*> chosen_path(const CLI::App& app) {
  std::vector<const CLI::App*> path{&app};
  while (!path.back()->get_subcommands().empty()) {
    path.push_back(path.back()->get_subcommands().back());
  }
  return path;
}

std::vector<std::string> option_names(const std::vector<const CLI::App*>& path) {
  std::vector<std::string> names;
  for (const CLI::App* app : path) {
    for (const CLI::Option* option : app->get_options()) {
      for (const std::string& name : option->get_lnames()) {
        names.push_back("--" + name);
      }
    }
  }
  return names;
}

std::vector<std::string> subcommand_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* subcommand : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(subcommand->get_name());
  }
  return names;
}

std::string help_hint(const std::vector<const CLI::App*>& path) {
  std::string command;
  for (const CLI::App* app : path) {
    command += app->get_name() + " ";
  }
  return "see " + command + "--help";
}

Error unexpected_argument(const CLI::App& app) {
  const std::vector<const CLI::App*> path = chosen_path(app);
  const std::vector<std::string> rest = app.remaining(true);
  const std::string first = rest.empty() ? std::string() : rest.front();
  if (first.starts_with("-")) {
    const std::string name = first.substr(0, first.find('='));
    const std::string near = nearest_name(name, option_names(path));
    return {ErrorKind::usage,
            "unknown option " + name,
            {},
            near.empty() ? help_hint(path) : "did you mean " + near + "?"};
  }
  const std::vector<std::string> commands = subcommand_names(*path.back());
  if (!commands.empty()) {
    const std::string near = nearest_name(first, commands);
    return {ErrorKind::usage,
            "unknown command " + first,
            {},
            near.empty() ? help_hint(path) : "did you mean " + near + "?"};
  }
  return {ErrorKind::usage, "unexpected argument " + first, {}, help_hint(path)};
}

}  // namespace

void add_common_options(CLI::App& app, std::string_view tool, CommonOptions& options) {
  static const std::map<std::string, LogLevel> k_levels{{"debug", LogLevel::debug},
                                                        {"info", LogLevel::info},
                                                        {"warning", LogLevel::warning},
                                                        {"error", LogLevel::error},
                                                        {"off", LogLevel::off}};
  static const std::map<std::string, ProgressMode> k_modes{{"auto", ProgressMode::automatic},
                                                           {"text", ProgressMode::text},
                                                           {"json", ProgressMode::json},
                                                           {"quiet", ProgressMode::quiet}};
  app.name(std::string(tool));
  app.formatter(std::make_shared<HelpFormatter>());
  app.fallthrough();
  app.set_help_flag("-h,--help", "Print this help and exit")->group(k_common_group);
  app.set_version_flag("--version", std::string(tool) + " " + k_version,
                       "Print name and version, and exit")
      ->group(k_common_group);
  app.add_option("--config", options.config_path,
                 std::string("Configuration; must exist when named (default ") +
                     k_default_config_path + ")")
      ->type_name("FILE")
      ->envname("HAMAL_CONFIG")
      ->group(k_common_group);
  app.add_option_function<std::string>(
         "--log-level",
         [&options](const std::string& word) { options.log_level = k_levels.at(word); },
         "What goes to the log: debug, info, warning, error or off")
      ->type_name("LEVEL")
      ->check(CLI::IsMember(&k_levels).description(""))
      ->group(k_common_group);
  app.add_flag_function(
         "-v,--verbose", [&options](std::int64_t) { options.verbosity = Verbosity::verbose; },
         "Mirror the log on standard error")
      ->group(k_common_group);
  app.add_flag_function(
         "--json", [&options](std::int64_t) { options.format = ReportFormat::json; },
         "Print reports as JSON")
      ->group(k_common_group);
  app.add_option_function<std::string>(
         "--progress", [&options](const std::string& word) { options.progress = k_modes.at(word); },
         "Progress on standard error: auto, text, json or quiet")
      ->type_name("HOW")
      ->check(CLI::IsMember(&k_modes).description(""))
      ->group(k_common_group);
}

void parse_command_line(CLI::App& app, CommonOptions& options, int argc, const char* const* argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForVersion& version) {
    throw HelpRequested{std::string(version.what()) + "\n"};
  } catch (const CLI::CallForHelp&) {
    throw HelpRequested{app.help()};
  } catch (const CLI::ExtrasError&) {
    throw unexpected_argument(app);
  } catch (const CLI::ParseError& error) {
    // "A subcommand is required", or a required operand is missing, may only be the consequence of
    // a misspelt word.
    if (!app.remaining(true).empty()) {
      throw unexpected_argument(app);
    }
    throw Error(ErrorKind::usage, error.what(), {}, help_hint(chosen_path(app)));
  }
  if (app.get_option("--config")->count() > 0) {
    options.config_presence = ConfigPresence::required;
    if (options.config_path.empty()) {
      throw Error(ErrorKind::usage, "--config (or HAMAL_CONFIG) is empty", {},
                  "name a file, or leave it out");
    }
  }
}

}  // namespace hamal
