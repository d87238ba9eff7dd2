// Block nodes and jobs: the commands that are shared by freezing and thawing.
#pragma once
#include <string>
#include <vector>

#include "hamal/platform/qemu/block_graph.hpp"

namespace hamal::qemu {

/// A `raw` filter node and what it shall stand on.
struct Redirect {
  std::string filter;
  std::string onto;
};

/// Moves all filters in one command: QEMU drains them together, so no write falls between two
/// disks.
void redirect_filters(QmpClient& qmp, const BlockGraph& graph,
                      const std::vector<Redirect>& redirects);
/// Puts a permanent `raw` filter under a guest's device; the guest does not notice.
void insert_top_filter(QmpClient& qmp, const std::string& device, const std::string& attached,
                       const std::string& filter);
/// Removes top filters of ours whose device is gone.
void remove_unused_top_filters(QmpClient& qmp, const BlockGraph& graph, const std::string& mark);

/// One that is gone already is no error.
void delete_node(QmpClient& qmp, const std::string& name);

/// Runs blockdev-create to its end. Throws Error(failed) with QEMU's reason.
void create_image(QmpClient& qmp, const std::string& job, const Json& options);
/// Forgets a job that a dead run left behind.
void dismiss_jobs(QmpClient& qmp, const std::string& prefix);

}  // namespace hamal::qemu
