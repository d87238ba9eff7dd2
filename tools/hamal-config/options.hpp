// What hamal-config was asked to do.
#pragma once
#include <string>

#include "common/common_options.hpp"

namespace hamal {

enum class ConfigCommand { check, get };

struct ConfigRequest {
  CommonOptions common;
  ConfigCommand command = ConfigCommand::check;
  bool quiet = false;    ///< check: print nothing
  bool secrets = false;  ///< check: read each of them
  bool state = false;    ///< check: look at the state's tables
  std::string section;   ///< get
  std::string key;
};

/// Touches no file. Throws HelpRequested or Error(usage).
ConfigRequest parse_config_options(int argc, const char* const* argv);

}  // namespace hamal
