// The commands behind nodes.hpp.
#include "hamal/platform/qemu/nodes.hpp"

#include <fmt/format.h>

#include "hamal/platform/qemu/names.hpp"

namespace hamal::qemu {
namespace {

using namespace std::chrono_literals;

/// What a reopen does not name goes back to its default, so the present settings are repeated.
/// Whether a node discards cannot be asked: a filter that passes discards on leaves it to the image
/// below.
Json filter_options(const BlockNode& filter, const std::string& onto) {
  Json options{{"driver", "raw"},
               {"node-name", filter.name},
               {"file", onto},
               {"read-only", filter.read_only},
               {"discard", "unmap"},
               {"cache", {{"direct", filter.cache_direct}, {"no-flush", filter.cache_no_flush}}}};
  if (!filter.detect_zeroes.empty()) {
    options["detect-zeroes"] = filter.detect_zeroes;
  }
  return options;
}

/// The job's reply, null when there is no such job.
Json find_job(QmpClient& qmp, const std::string& id) {
  const Json jobs = qmp.execute("query-jobs");
  for (const Json& job : json_array(jobs, qmp.monitor())) {
    if (json_string(job, "id", qmp.monitor()) == id) {
      return job;
    }
  }
  return nullptr;
}

}  // namespace

void redirect_filters(QmpClient& qmp, const BlockGraph& graph,
                      const std::vector<Redirect>& redirects) {
  Json options = Json::array();
  for (const Redirect& redirect : redirects) {
    options.push_back(filter_options(graph.at(redirect.filter), redirect.onto));
  }
  if (!options.empty()) {
    qmp.execute("blockdev-reopen", {{"options", options}});
  }
}

void insert_top_filter(QmpClient& qmp, const std::string& device, const std::string& attached,
                       const std::string& filter) {
  qmp.execute("blockdev-add",
              {{"driver", "raw"}, {"node-name", filter}, {"file", attached}, {"discard", "unmap"}});
  try {
    qmp.execute("qom-set", {{"path", device}, {"property", "drive"}, {"value", filter}});
  } catch (const QmpError&) {
    delete_node(qmp, filter);
    throw;
  }
}

void remove_unused_top_filters(QmpClient& qmp, const BlockGraph& graph, const std::string& mark) {
  for (const auto& [name, node] : graph.nodes()) {
    if (is_top_filter_name(name, mark) && !graph.used(name)) {
      delete_node(qmp, name);
    }
  }
}

void delete_node(QmpClient& qmp, const std::string& name) {
  try {
    qmp.execute("blockdev-del", {{"node-name", name}});
  } catch (const QmpError& error) {
    if (error.description().find("Failed to find node") == std::string::npos) {
      throw;
    }
  }
}

void create_image(QmpClient& qmp, const std::string& job, const Json& options) {
  qmp.execute("blockdev-create", {{"job-id", job}, {"options", options}});
  const auto deadline = std::chrono::steady_clock::now() + 120s;
  for (;;) {
    const Json state = find_job(qmp, job);
    if (state.is_null()) {
      throw Error(ErrorKind::failed, "QEMU lost the job " + job, qmp.monitor());
    }
    if (json_string(state, "status", qmp.monitor()) == "concluded") {
      const std::string problem = json_string_or_empty(state, "error", qmp.monitor());
      qmp.execute("job-dismiss", {{"id", job}});
      if (!problem.empty()) {
        throw Error(ErrorKind::failed, "QEMU cannot create an image: " + problem, qmp.monitor());
      }
      return;
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      throw Error(ErrorKind::failed, "QEMU did not create an image within 120 seconds",
                  qmp.monitor(), "its storage hangs", Transience::transient);
    }
    qmp.wait_event("JOB_STATUS_CHANGE", 100ms);
  }
}

void dismiss_jobs(QmpClient& qmp, const std::string& prefix) {
  const Json jobs = qmp.execute("query-jobs");
  for (const Json& job : json_array(jobs, qmp.monitor())) {
    const std::string id = json_string(job, "id", qmp.monitor());
    if (id.starts_with(prefix) && json_string(job, "status", qmp.monitor()) == "concluded") {
      qmp.execute("job-dismiss", {{"id", id}});
    }
  }
}

}  // namespace hamal::qemu
