#include "hamal-repo/commands.hpp"

namespace hamal {

int run_repo(const RepoRequest& request, Session& session) {
  switch (request.command) {
    case RepoCommand::init:
      return run_init(request, session);
    case RepoCommand::list:
      return run_list(request, session);
    case RepoCommand::show:
      return run_show(request, session);
    case RepoCommand::commit:
      return run_commit(request, session);
    case RepoCommand::stats:
      return run_stats(request, session);
    case RepoCommand::verify:
      return run_verify(request, session);
    case RepoCommand::prune:
      return run_prune(request, session);
    case RepoCommand::compact:
      return run_compact(request, session);
    case RepoCommand::key:
      return run_key(request, session);
  }
  return 1;
}

}  // namespace hamal
