// How an operator names a machine: "PLATFORM:VM", "PLATFORM VM", or an endpoint for an ad-hoc
// source.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "hamal/platform/platform.hpp"

namespace hamal {

struct VmOperand {
  std::string platform;
  std::string vm;
};

/// The type word of what opens an endpoint that is no platform's disk.
std::string adhoc_platform(const Endpoint& endpoint);

/// `second` empty: `first` is "NAME:VM" (VM percent-encoded) or an endpoint, whose platform is the
/// type word (file, nbd, rbd) and whose vm is the endpoint itself; a repository's endpoint is a
/// platform, its vm is empty then. Throws Error(usage).
VmOperand parse_vm_operand(const std::string& first, const std::string& second = {});

/// The one of this id; else all of this name, of which there may be none or several.
std::vector<Vm> vms_called(const std::vector<Vm>& vms, std::string_view id_or_name);

}  // namespace hamal
