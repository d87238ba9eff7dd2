// hamal-snapshot: create, list and end snapshots of vms.
#include "common/tool_main.hpp"
#include "hamal-snapshot/commands.hpp"
#include "hamal-snapshot/options.hpp"

int main(int argc, char** argv) {
  return hamal::tool_main(argc, argv, "hamal-snapshot", hamal::parse_snapshot_options,
                          hamal::run_snapshot);
}
