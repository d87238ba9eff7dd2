// hamal-period: runs the other tools for the machines that are due.
#include "common/tool_main.hpp"
#include "hamal-period/commands.hpp"
#include "hamal-period/options.hpp"

int main(int argc, char** argv) {
  return hamal::tool_main(argc, argv, "hamal-period", hamal::parse_period_options,
                          hamal::run_period);
}
