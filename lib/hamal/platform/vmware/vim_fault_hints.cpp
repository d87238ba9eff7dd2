#include "hamal/platform/vmware/vim_fault_hints.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "hamal/util/text.hpp"

namespace hamal::vmware {
namespace {

struct Entry {
  std::string_view fault;
  const char* hint;
  Transience transience;
};

constexpr std::array k_faults{
    Entry{"InvalidLogin", "check user and secret; a user of vCenter is written NAME@DOMAIN",
          Transience::permanent},
    Entry{"NotAuthenticated", "the session has ended: run it again", Transience::transient},
    Entry{"RestrictedVersion", "the licence of this host does not allow it (the free ESXi's not)",
          Transience::permanent},
    Entry{"InvalidRequest", "this version of vSphere does not understand the request: report it",
          Transience::permanent},
    Entry{"MethodNotFound", "this version of vSphere is too old: 6.0 is needed",
          Transience::permanent},
    Entry{"ManagedObjectNotFound", "it was removed in the meantime: run it again",
          Transience::transient},
    Entry{"TaskInProgress", "another task works on the vm: wait for it and run again",
          Transience::transient},
    Entry{"VmConfigFault", "see the vm's events in vCenter", Transience::permanent},
    Entry{"ToolsUnavailable", "start VMware Tools in the guest, or do not ask for quiesce",
          Transience::permanent},
    Entry{"ApplicationQuiesceFault",
          "see VSS or the quiesce scripts in the guest, or allow quiesce = try",
          Transience::permanent},
    Entry{"FilesystemQuiesceFault", "see VMware Tools in the guest, or allow quiesce = try",
          Transience::permanent},
    Entry{"SnapshotFault", "see the vm's events in vCenter", Transience::permanent},
    Entry{"MemorySnapshotOnIndependentDisk", "leave independent disks out", Transience::permanent},
    Entry{"TooManySnapshotLevels", "delete snapshots of the vm that nobody needs",
          Transience::permanent},
    Entry{"SnapshotNoChange", "", Transience::permanent},
    Entry{"FileLocked", "another host or backup has the disk open: wait for it",
          Transience::transient},
    Entry{"NoDiskSpace", "the datastore is full: make room on it", Transience::transient},
    Entry{"InsufficientResourcesFault", "the host lacks resources: see its events",
          Transience::transient},
    Entry{"HostNotConnected", "the vm's host is not connected to vCenter", Transience::transient},
    Entry{"HostNotReachable", "the vm's host cannot be reached from vCenter",
          Transience::transient},
    Entry{"HostCommunication", "the vm's host does not answer vCenter", Transience::transient},
    Entry{"InvalidPowerState", "the vm's power state does not allow it", Transience::permanent},
    Entry{"InvalidState", "the vm's state does not allow it: see its events",
          Transience::permanent},
    Entry{"Timedout", "the server was too slow: run it again", Transience::transient},
    Entry{"RequestCanceled", "somebody cancelled the task", Transience::transient},
};

const Entry* find(const std::string& fault) {
  const auto found = std::find_if(k_faults.begin(), k_faults.end(),
                                  [&](const Entry& entry) { return entry.fault == fault; });
  return found == k_faults.end() ? nullptr : &*found;
}

}  // namespace

std::string fault_hint(const std::string& fault, const XmlElement& detail) {
  if (fault == "NoPermission") {
    const std::string privilege = escape_control(detail.text_of("privilegeId").substr(0, 100));
    return "grant the privilege " + (privilege.empty() ? "that is missing" : privilege) +
           " to the user (hamal-vmware(7), PRIVILEGES)";
  }
  const Entry* const entry = find(fault);
  return entry == nullptr ? std::string() : entry->hint;
}

Transience fault_transience(const std::string& fault) {
  const Entry* const entry = find(fault);
  return entry == nullptr ? Transience::permanent : entry->transience;
}

}  // namespace hamal::vmware
