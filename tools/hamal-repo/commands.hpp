// The commands of hamal-repo, one file each; each returns the exit status.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "common/session.hpp"
#include "hamal-repo/options.hpp"
#include "hamal/repository/repository.hpp"

namespace hamal {

int run_repo(const RepoRequest& request, Session& session);

int run_init(const RepoRequest& request, Session& session);
int run_list(const RepoRequest& request, Session& session);
int run_show(const RepoRequest& request, Session& session);
int run_commit(const RepoRequest& request, Session& session);
int run_stats(const RepoRequest& request, Session& session);
int run_verify(const RepoRequest& request, Session& session);
int run_prune(const RepoRequest& request, Session& session);
int run_compact(const RepoRequest& request, Session& session);
int run_key(const RepoRequest& request, Session& session);

/// Opens the repository that an operand names.
std::unique_ptr<repository::Repository> open_repository(const std::string& operand,
                                                        Session& session);

/// The vms that `text` means: an id, PLATFORM:ID, or the name in a newest version; all when it is
/// empty. Throws Error(usage) naming the ones there are.
std::vector<repository::VmName> find_vms(repository::Repository& repository,
                                         const std::string& text);

}  // namespace hamal
