// The options every tool has, and the rules by which all of them parse.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "hamal/config/config.hpp"
#include "hamal/report/log.hpp"
#include "hamal/report/progress.hpp"

namespace CLI {
class App;
}

namespace hamal {

enum class ReportFormat { text, json };
enum class ConfigPresence { optional, required };
enum class Verbosity { normal, verbose };

struct CommonOptions {
  std::string config_path = k_default_config_path;
  /// Required as soon as somebody named the file, by --config or HAMAL_CONFIG.
  ConfigPresence config_presence = ConfigPresence::optional;
  std::optional<LogLevel> log_level;
  Verbosity verbosity = Verbosity::normal;
  ReportFormat format = ReportFormat::text;
  ProgressMode progress = ProgressMode::automatic;
};

/// What --help and --version throw: a text for stdout and exit status 0. Not an error.
struct HelpRequested {
  std::string text;
};

/// Adds --config, --log-level, --verbose, --json, --progress and --version; subcommands added
/// afterwards accept them too (before or after the subcommand's name).
void add_common_options(CLI::App& app, std::string_view tool, CommonOptions& options);

/// Parses. Throws HelpRequested, or Error(usage) with the nearest known name as its hint.
/// Touches no file; reads only HAMAL_CONFIG of the environment.
void parse_command_line(CLI::App& app, CommonOptions& options, int argc, const char* const* argv);

}  // namespace hamal
