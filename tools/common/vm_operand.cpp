#include "common/vm_operand.hpp"

#include <algorithm>
#include <iterator>

#include "hamal/block/endpoint.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal {

std::string adhoc_platform(const Endpoint& endpoint) {
  if (endpoint.kind == EndpointKind::rbd) {
    return "rbd";
  }
  return endpoint.kind == EndpointKind::nbd ? "nbd" : "file";
}

VmOperand parse_vm_operand(const std::string& first, const std::string& second) {
  if (!second.empty()) {
    return {first, second};
  }
  const std::size_t colon = first.find(':');
  const std::string word = first.substr(0, colon);
  if (first.starts_with("/") || (colon != std::string::npos && is_reserved_scheme(word))) {
    const Endpoint endpoint = parse_endpoint(first);
    if (endpoint.kind == EndpointKind::directory || endpoint.kind == EndpointKind::s3) {
      return {first, {}};
    }
    return {adhoc_platform(endpoint), first};
  }
  if (colon == std::string::npos || colon == 0 || colon + 1 == first.size()) {
    throw Error(ErrorKind::usage, "names no vm", first,
                "write PLATFORM:VM or PLATFORM VM, or an endpoint such as file:PATH");
  }
  const auto vm = percent_decode(first.substr(colon + 1));
  if (!vm) {
    throw Error(ErrorKind::usage, "the vm has a broken %XX escape", first, "write % itself as %25");
  }
  return {word, *vm};
}

std::vector<Vm> vms_called(const std::vector<Vm>& vms, std::string_view id_or_name) {
  const auto by_id =
      std::find_if(vms.begin(), vms.end(), [&](const Vm& vm) { return vm.id == id_or_name; });
  if (by_id != vms.end()) {
    return {*by_id};
  }
  std::vector<Vm> named;
  std::copy_if(vms.begin(), vms.end(), std::back_inserter(named),
               [&](const Vm& vm) { return vm.name == id_or_name; });
  return named;
}

}  // namespace hamal
