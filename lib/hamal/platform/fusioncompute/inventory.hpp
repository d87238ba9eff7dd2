// The vms of all sites, and what keeps one or its disks from being protected.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "hamal/platform/fusioncompute/vrm_client.hpp"
#include "hamal/platform/fusioncompute/vrm_reply.hpp"
#include "hamal/platform/platform.hpp"

namespace hamal::fusioncompute {

/// All vms, without their disks, page by page.
std::vector<Machine> list_machines(VrmClient& client);
/// With its disks, as it is now.
Machine look(VrmClient& client, const Machine& machine);
/// Whether that is how a vm's id looks (a UUID, or a URN), and not a name alone.
bool is_machine_id(const std::string& vm);
/// The one vm with that UUID, URN or name; nullopt: there is none. Throws Error(usage) when there
/// are several.
std::optional<Machine> seek_machine(VrmClient& client, const std::string& vm,
                                    const std::string& platform);
/// The same; throws Error(usage) when there is none.
Machine find_machine(VrmClient& client, const std::string& vm, const std::string& platform);
/// The datastore's name; empty when no site knows it.
std::string datastore_name(VrmClient& client, const std::string& urn);

/// Why no snapshot with change tracking can be made of it; empty: one can.
std::string why_unprotectable(const Machine& machine);
/// Why this disk cannot be protected, or its vm.
std::string why_unprotectable(const Machine& machine, const Disk& disk);
/// As Platform::vms() has it.
Vm describe(const Machine& machine);

}  // namespace hamal::fusioncompute
