// The prechecks are those whose codes the vendor's tables have: what the platform would refuse is
// said before it is asked.
#include "hamal/platform/fusioncompute/inventory.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>

#include "hamal/util/error.hpp"
#include "hamal/util/text.hpp"

namespace hamal::fusioncompute {
namespace {

constexpr std::size_t k_page = 100;  // the most that is given at once
constexpr std::size_t k_most_vms = 1'000'000;

std::vector<Place> places(VrmClient& client, const std::string& path, const char* field) {
  return parse_places(client.get(path), field, "GET " + path);
}

void list_site(VrmClient& client, const std::string& site, std::vector<Machine>& into) {
  const std::size_t before = into.size();
  for (;;) {
    const std::string path =
        fmt::format("{}/vms?limit={}&offset={}", site, k_page, into.size() - before);
    VmPage page = parse_vm_page(client.get(path), "GET " + path);
    std::move(page.vms.begin(), page.vms.end(), std::back_inserter(into));
    if (page.vms.empty() || into.size() - before >= page.total) {
      return;
    }
    if (into.size() > k_most_vms) {
      throw Error(ErrorKind::failed, "the list of vms has no end", "GET " + path);
    }
  }
}

std::string power_of(const std::string& status) {
  if (status == "running") {
    return "running";
  }
  return status == "stopped" || status == "hibernated" ? "stopped" : "unknown";
}

}  // namespace

std::vector<Machine> list_machines(VrmClient& client) {
  std::vector<Machine> all;
  for (const Place& site : places(client, "/service/sites", "sites")) {
    list_site(client, site.uri, all);
  }
  return all;
}

Machine look(VrmClient& client, const Machine& machine) {
  return parse_machine(client.get(machine.uri), "GET " + machine.uri);
}

bool is_machine_id(const std::string& vm) {
  constexpr std::string_view k_uuid = "00000000-0000-0000-0000-000000000000";
  const auto fits = [](char c, char pattern) {
    return pattern == '-' ? c == '-' : std::isxdigit(static_cast<unsigned char>(c)) != 0;
  };
  return vm.starts_with("urn:sites:") ||
         std::equal(vm.begin(), vm.end(), k_uuid.begin(), k_uuid.end(), fits);
}

std::optional<Machine> seek_machine(VrmClient& client, const std::string& vm,
                                    const std::string& platform) {
  std::vector<Machine> named;
  std::vector<Machine> unknown;
  for (Machine& one : list_machines(client)) {
    if (one.urn == vm || (!one.uuid.empty() && one.uuid == vm)) {
      return look(client, one);
    }
    if (one.name == vm) {
      named.push_back(std::move(one));
    } else if (one.uuid.empty()) {
      unknown.push_back(std::move(one));
    }
  }
  if (named.size() == 1) {
    return look(client, named.front());
  }
  if (named.size() > 1) {
    throw Error(ErrorKind::usage, "several vms have this name", platform + ":" + vm,
                "use the id: `hamal-snapshot vms " + platform + "` shows them");
  }
  // Lists of some versions leave the UUID out.
  for (const Machine& one : unknown) {
    Machine now = look(client, one);
    if (now.uuid == vm) {
      return now;
    }
  }
  return std::nullopt;
}

Machine find_machine(VrmClient& client, const std::string& vm, const std::string& platform) {
  std::optional<Machine> found = seek_machine(client, vm, platform);
  if (!found) {
    throw Error(ErrorKind::usage, "no vm of this id or name", platform + ":" + vm,
                "`hamal-snapshot vms " + platform + "` lists them");
  }
  return std::move(*found);
}

std::string datastore_name(VrmClient& client, const std::string& urn) {
  for (const Place& site : places(client, "/service/sites", "sites")) {
    for (const Place& store : places(client, site.uri + "/datastores", "datastores")) {
      if (store.urn == urn) {
        return store.name;
      }
    }
  }
  return {};
}

std::string why_unprotectable(const Machine& machine) {
  if (machine.is_template) {
    return "the vm is a template (10300141)";
  }
  if (machine.is_linked_clone) {
    return "the vm is a linked clone (10300142)";
  }
  if (machine.tools != "running") {
    return fmt::format("Tools does not run in the vm (10300026): pvDriverStatus is {}",
                       machine.tools.empty() ? "empty" : escape_control(machine.tools));
  }
  for (const Disk& disk : machine.disks) {
    if (disk.shared) {
      return fmt::format(
          "{} is shared, and a vm with a shared disk gets no such snapshot (10420108)", disk.id());
    }
  }
  return {};
}

std::string why_unprotectable(const Machine& machine, const Disk& disk) {
  if (std::string why = why_unprotectable(machine); !why.empty()) {
    return why;
  }
  if (disk.independent) {
    return "independent: snapshots leave it out";
  }
  if (to_lower(disk.bus) == "ide") {
    return "on the IDE bus: changes are not tracked there";
  }
  if (disk.size == 0) {
    return "it has no size";
  }
  return {};
}

Vm describe(const Machine& machine) {
  Vm vm{.id = machine.id(), .name = machine.name, .power = power_of(machine.status), .disks = {}};
  for (const Disk& disk : machine.disks) {
    const std::string why = why_unprotectable(machine, disk);
    vm.disks.push_back(
        {.id = disk.id(),
         .label = disk.name,
         .size = disk.size,
         .protectable = why.empty(),
         .reason = why.empty() ? "changes are tracked by CBTbackup snapshots" : why});
  }
  return vm;
}

}  // namespace hamal::fusioncompute
