// Replies of a VRM: parsed strictly, tolerant where servers differ (numbers and truth values as
// strings, both spellings of chgID).
//
// Each parser throws Error naming the call and the field. What is needed is refused when missing;
// texts for people are empty then.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hamal/util/error.hpp"

namespace hamal::fusioncompute {

/// A site, a host or a datastore.
struct Place {
  std::string uri;
  std::string urn;
  std::string name;
};

struct VersionOffer {
  std::string version;
  std::string login_uri;
};

struct Disk {
  std::uint64_t sequence = 0;  ///< its slot in the vm
  std::string name;
  std::string bus;  ///< pciType: IDE, SCSI, VIRTIO
  std::string volume_urn;
  std::string volume_uri;
  std::string volume_uuid;
  std::string datastore_urn;
  std::string storage_type;
  std::uint64_t size = 0;  ///< bytes
  bool independent = false;
  bool shared = false;

  /// As hamal names it: stable as long as the disk stays in its slot.
  std::string id() const { return "disk" + std::to_string(sequence); }
};

struct Machine {
  std::string uri;
  std::string urn;
  std::string uuid;
  std::string name;
  std::string host_urn;
  std::string status;
  std::string tools;  ///< pvDriverStatus: running, notRunning, starting
  bool is_template = false;
  bool is_linked_clone = false;
  std::vector<Disk> disks;

  /// Its UUID, else its URN.
  const std::string& id() const { return uuid.empty() ? urn : uuid; }
};

struct VmPage {
  std::uint64_t total = 0;
  std::vector<Machine> vms;  ///< without their disks
};

struct Snapshot {
  std::string uri;
  std::string urn;
  std::string name;
  std::string description;
  std::string created;
  std::string status;  ///< creating, resuming, ready, deleting
  std::string parent;  ///< its parent's URN; empty at a root
};

/// One volume in a snapshot.
struct VolumeSnapshot {
  std::string volume_urn;
  std::string volume_uri;
  std::string datastore_urn;
  std::string uuid;
  std::string name_on_device;
  std::string tracking_begun;       ///< volCBTCreateTime, as it is written
  std::uint64_t change_number = 0;  ///< chgID; 0: changes are not tracked
};

struct SnapshotDetail {
  Snapshot snapshot;
  std::vector<VolumeSnapshot> volumes;
};

struct StartedTask {
  std::string task_uri;
  std::string uri;  ///< of what is being made; may be empty
  std::string urn;
};

struct TaskState {
  std::string status;  ///< waiting, running, success, failed, cancelling
  std::string reason;
  std::string words;
};

/// One page of a changed-block bitmap. The bits in it are as many as it says, and no others are
/// set.
struct ChangedPage {
  std::uint64_t block_size = 0;  ///< bytes
  std::uint64_t blocks = 0;
  std::vector<std::uint8_t> bits;  ///< low bit first

  bool is_set(std::uint64_t block) const {
    return ((static_cast<unsigned>(bits[block / 8]) >> (block % 8)) & 1U) != 0;
  }
};

struct BackupResource {
  std::string host;
  std::uint16_t port = 0;
  std::string target_file;
  std::string token;
  std::string status;
  std::string ca_pem;
};

struct Volume {
  std::string uuid;
  std::string name_on_device;
  std::string datastore_urn;
};

/// `call` names the reply in messages: "GET /service/sites".
std::vector<VersionOffer> parse_versions(std::string_view body, const std::string& call);
/// Milliseconds; 0 when the server does not say.
std::uint64_t parse_validity(std::string_view body, const std::string& call);
/// Under "sites", "hosts" or "datastores".
std::vector<Place> parse_places(std::string_view body, const char* field, const std::string& call);
VmPage parse_vm_page(std::string_view body, const std::string& call);
Machine parse_machine(std::string_view body, const std::string& call);
Volume parse_volume(std::string_view body, const std::string& call);
/// Parents before their children.
std::vector<Snapshot> parse_snapshots(std::string_view body, const std::string& call);
SnapshotDetail parse_snapshot(std::string_view body, const std::string& call);
StartedTask parse_started(std::string_view body, const std::string& call);
TaskState parse_task(std::string_view body, const std::string& call);
/// `asked`: the blocks that were asked for; a page of more is refused.
ChangedPage parse_changed(std::string_view body, std::uint64_t asked, const std::string& call);
BackupResource parse_resource(std::string_view body, const std::string& call);
/// Throws the VrmError that an {errorCode, errorDes} is; an Error when the body is no such thing.
[[noreturn]] void throw_refusal(std::string_view body, int status, const std::string& call);

/// urn:sites:A:volumes:1 → /service/sites/A/volumes/1. Throws Error for what is none.
std::string uri_of_urn(const std::string& urn, const std::string& call);

}  // namespace hamal::fusioncompute
