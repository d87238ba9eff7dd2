#include "common/output.hpp"
#include "hamal-repo/commands.hpp"
#include "hamal/block/endpoint.hpp"
#include "hamal/store/open_store.hpp"

namespace hamal {

int run_init(const RepoRequest& request, Session& session) {
  const auto store =
      open_object_store(parse_endpoint(request.repository), session.config(), session.cancel());
  repository::init_repository(*store, {});
  session.log().info("made a repository in {}", store->uri());
  write_stdout("made a repository in " + store->uri() + "\n", session.cancel());
  return 0;
}

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
  }
  return 1;
}

}  // namespace hamal
