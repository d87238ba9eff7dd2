// What the commands of hamal-repo begin with.
#include "hamal-repo/commands.hpp"
#include "hamal/block/endpoint.hpp"
#include "hamal/store/open_store.hpp"
#include "hamal/util/error.hpp"

namespace hamal {

std::unique_ptr<repository::Repository> open_repository(const std::string& operand,
                                                        Session& session) {
  return repository::open_repository(
      open_object_store(parse_endpoint(operand), session.config(), session.cancel()),
      session.config());
}

namespace {

bool is_meant(repository::Repository& repository, const repository::VmName& vm,
              const std::string& text) {
  if (text == vm.vm_id || text == vm.platform + ":" + vm.vm_id) {
    return true;
  }
  const auto versions = repository.visible_versions(vm);
  return !versions.empty() && versions.back().vm_name == text;
}

}  // namespace

std::vector<repository::VmName> find_vms(repository::Repository& repository,
                                         const std::string& text) {
  const auto all = repository.vms();
  if (text.empty()) {
    return all;
  }
  std::vector<repository::VmName> found;
  std::string known;
  for (const auto& vm : all) {
    if (is_meant(repository, vm, text)) {
      found.push_back(vm);
    }
    known += (known.empty() ? "" : ", ") + vm.platform + ":" + vm.vm_id;
  }
  if (found.empty()) {
    throw Error(ErrorKind::usage, "is no vm of this repository", text,
                known.empty() ? "it holds no versions yet" : "it holds " + known);
  }
  return found;
}

}  // namespace hamal
