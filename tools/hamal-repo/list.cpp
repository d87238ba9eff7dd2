// hamal-repo list, show.
#include <algorithm>

#include "common/output.hpp"
#include "hamal-repo/commands.hpp"
#include "hamal-repo/report.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

using repository::Manifest;

struct NamedVersion {
  std::string vm;
  std::string generation;  ///< empty: the newest
};

NamedVersion split(const std::string& text) {
  const std::size_t at = text.rfind('@');
  if (at == std::string::npos) {
    return {text, {}};
  }
  return {text.substr(0, at), text.substr(at + 1)};
}

}  // namespace

int run_list(const RepoRequest& request, Session& session) {
  const auto repository = open_repository(request.repository, session);
  std::vector<Manifest> all;
  for (const auto& vm : find_vms(*repository, request.vm)) {
    auto versions = repository->visible_versions(vm);
    std::move(versions.begin(), versions.end(), std::back_inserter(all));
  }
  write_stdout(report_versions(all, session.options().format), session.cancel());
  return 0;
}

int run_show(const RepoRequest& request, Session& session) {
  const auto repository = open_repository(request.repository, session);
  const NamedVersion wanted = split(request.vm);
  const auto vms = find_vms(*repository, wanted.vm);
  if (vms.size() != 1) {
    throw Error(ErrorKind::usage, "means several vms", wanted.vm, "write PLATFORM:ID");
  }
  const auto versions = repository->visible_versions(vms.front());
  const auto found =
      wanted.generation.empty()
          ? versions.empty() ? versions.end() : std::prev(versions.end())
          : std::find_if(versions.begin(), versions.end(), [&](const Manifest& version) {
              return std::to_string(version.generation) == wanted.generation;
            });
  if (found == versions.end()) {
    throw Error(ErrorKind::usage, "has no such version", request.vm,
                "hamal-repo list " + request.repository + " shows them");
  }
  write_stdout(report_version(*found, session.options().format), session.cancel());
  return 0;
}

}  // namespace hamal
