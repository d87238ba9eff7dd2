// hamal-sync: writes the disks of a snapshot to their targets (hamal-sync(1)).
#include "common/tool_main.hpp"
#include "hamal-sync/commands.hpp"
#include "hamal-sync/options.hpp"

int main(int argc, char** argv) {
  return hamal::tool_main(argc, argv, "hamal-sync", hamal::parse_sync_options,
                          hamal::run_hamal_sync);
}
