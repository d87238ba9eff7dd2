// A configuration as operators have it: comments behind the values, empty quotes, every key of the
// documentation.
#pragma once

namespace hamal::test {

inline constexpr const char* k_operators_block = R"ini([DEFAULT]
debug = False # Enable debug logs
verbose = False # Also print the log on stderr
log_dir = /var/log/hamal # Directory of the logs
log_rotation_type = size # Log rotation: size, daily or none
max_logfile_count = 10 # Number of rotated logs to keep
max_logfile_size_mb = 64 # Size of one log (MB)
hamal_lib_dir = /var/lib/hamal/ # State of hamal
hamal_info_path = /var/lib/hamal/hamal_info # Program info

[period]
interval = 60 # Interval for scheduled tasks (seconds)
task_update_wait_time = 1 # Interval of progress reports (seconds)
openstack_release_cpu_time = 0 # CPU release time per MB (milliseconds)
vmware_release_cpu_time = 0 # CPU release time per MB (milliseconds)

[mass]
mass_endpoint = "https://console.example:443/" # Address of the console
auth_key = "0123#456;789" # Key of this proxy
hyper_exporter_id = "6c1d0a0e-5ac1-4bd1-a6d9-7d7d4c1a7c11" # Id of this proxy
default_request_timeout = 600 # Timeout of requests (seconds)
public_key_path = "" # Public key of the console (optional)
enable_get_public_ips = False # Report public addresses
get_public_ip_timeout = 5 # Timeout for that (seconds)
enable_heartbeat_msg = True # Log heartbeats

[vmware]
skip_disk_flag = False # Skip the disk flag check
disk_flag_size = 48 # Size from which disks are flagged (MB)
max_read_blocks = 1024 # Blocks of one read request

[openstack_ceph]
skip_disk_flag = False # Skip the disk flag check
disk_flag_size = 48 # Size from which disks are flagged (MB)

[sync]
save_local_snapshot_metadata = False # Keep snapshot documents
upload_metadata_to_oss = False # Upload snapshot documents
metadata_store = "" # Where they go (optional)
snapshot_max_hold = 24h # How long a snapshot is held
outage_max = 6h # How long an outage is waited for
memory_limit = 512 # Memory for data in flight (MB)
scratch_dir = "" # Overlays (optional)
lease_ttl = 60 # Lease of a vm (seconds)

[data_sync_v2]
fsync_period_frequency = 3 # Interval of flushes (seconds)
fsync_timeout = 0 # Timeout of a flush, 0 for none (seconds)
parallel_sync_disks_count = 4 # Disks at a time
pre_disk_readers_count = 2 # Readers per disk
max_parallel_sync_disks_count = 16 # At most so many disks
max_pre_disk_readers_count = 16 # At most so many readers

[fusion_compute]
task_timeout = 3600 # Timeout of tasks (seconds)
create_snap_task_timeout = 3600 # Timeout of snapshots (seconds)
delete_snap_task_timeout = 3600 # Timeout of their deletion (seconds)
local_host_ip = "" # Local host IP (optional)
max_socket_connections_per_host = 8 # Connections per host
max_writer_num = 10 # Writers

[database]
connection = sqlite:///var/lib/hamal/hamal.db ; Where the state is kept
)ini";

}  // namespace hamal::test
