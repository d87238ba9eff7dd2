// hamal-config: says what the configuration means.
#include "common/tool_main.hpp"
#include "hamal-config/commands.hpp"
#include "hamal-config/options.hpp"

int main(int argc, char** argv) {
  return hamal::tool_main(argc, argv, "hamal-config", hamal::parse_config_options,
                          hamal::run_config);
}
