// hamal-cbt-read: print what changed on the disks of a snapshot.
#include "common/tool_main.hpp"
#include "hamal-cbt-read/options.hpp"
#include "hamal-cbt-read/read.hpp"

int main(int argc, char** argv) {
  return hamal::tool_main(argc, argv, "hamal-cbt-read", hamal::parse_read_options, hamal::run_read);
}
