// hamal-repo: make, look into and keep a repository.
#include "common/tool_main.hpp"
#include "hamal-repo/commands.hpp"
#include "hamal-repo/options.hpp"

int main(int argc, char** argv) {
  return hamal::tool_main(argc, argv, "hamal-repo", hamal::parse_repo_options, hamal::run_repo);
}
