// hamal-heartbeat: tells the console that this proxy lives, and how.
#include "common/tool_main.hpp"
#include "hamal-heartbeat/beat.hpp"
#include "hamal-heartbeat/options.hpp"

int main(int argc, char** argv) {
  return hamal::tool_main(argc, argv, "hamal-heartbeat", hamal::parse_heartbeat_options,
                          hamal::run_heartbeat);
}
