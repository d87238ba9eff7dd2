// What the commands of hamal-repo begin with.
#include <algorithm>
#include <iterator>

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

/// As its newest visible version says that can be read; a damaged one is for verify to name.
std::string name_of(repository::Repository& repository, const repository::Condemned& condemned,
                    const repository::VmName& vm) {
  auto slots = repository.slots(vm);
  std::reverse(slots.begin(), slots.end());
  for (const auto& slot : slots) {
    if (condemned.versions.contains(slot.key)) {
      continue;
    }
    try {
      if (const auto version = repository.read_version(slot)) {
        return version->vm_name;
      }
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::failed || error.transient()) {
        throw;
      }
    }
  }
  return {};
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
    if (text == vm.vm_id || text == vm.platform + ":" + vm.vm_id) {
      found.push_back(vm);
    }
    known += (known.empty() ? "" : ", ") + vm.platform + ":" + vm.vm_id;
  }
  if (found.empty()) {
    const auto condemned = repository.condemned();
    std::copy_if(all.begin(), all.end(), std::back_inserter(found),
                 [&](const auto& vm) { return name_of(repository, condemned, vm) == text; });
  }
  if (found.empty()) {
    throw Error(ErrorKind::usage, "is no vm of this repository", text,
                known.empty() ? "it holds no versions yet" : "it holds " + known);
  }
  return found;
}

}  // namespace hamal
