#!/usr/bin/env bats
# shellcheck disable=SC2154 # out and status are set by the helpers
# Machines of a vSphere (tests/lab/vsphere), end to end. The traps of vSphere have their tests, by name, in
# tests/conformance/platform_vmware_test.cpp.
load helpers
load vmware_helpers

setup() { make_world; }
teardown() {
  stop_vsphere
  end_world
}

# run_all TARGET [OPTION of hamal-sync…]: the whole loop of three disks; the frozen disks are kept to compare with.
run_all() {
  local target=$1 number
  hamal-snapshot create lab:web01 > "$W/snap.json"
  for number in 0 1 2; do
    [ ! -e "$(frozen "$number")" ] || cp --sparse=always "$(frozen "$number")" "$W/frozen$number"
  done
  pipe "$W/snap.json" "$target" "${@:2}"
  [ "$status" = 0 ] || { show "expected a run"; cat "$W/read.err" >&2; return 1; }
}
ended() {
  hamal-snapshot finish "$W/snap.json" --committed
  [ "$(snapshots)" = 0 ]
}
same() {
  local number
  for number in "$@"; do
    cmp "$W/frozen$number" "$W/web01-200$number.raw"
  done
}
mode() { field "$W/out" "[one['mode'] for one in d['disks']]"; }

# Break it: let create() keep the vm's change id instead of the snapshot's; leave the epoch out of why_not_comparable().
@test "a running vm: a full, incrementals, a reset, a grown and an added disk" {
  start_vsphere --vm web01:16M,8M,4M
  for number in 0 1 2; do guest_writes "$number" 1048576 300000; done
  run_all "file:$W/{vm}-{disk}.raw"
  [ "$(mode)" = "['full', 'full', 'full']" ]
  same 0 1 2
  ended

  for round in 1 2 3; do
    guest_writes 0 $((round * 2097152)) 100
    guest_writes 1 0 70000
    run_all "file:$W/{vm}-{disk}.raw"
    [ "$(mode)" = "['incremental', 'incremental', 'incremental']" ]
    [ "$(field "$W/out" 'd["disks"][0]["read_bytes"]')" = 65536 ]
    [ "$(field "$W/out" 'd["disks"][2]["read_bytes"]')" = 0 ]
    same 0 1 2
    ended
  done

  tell machine '{"vm":"web01","do":"reset_tracking"}'
  guest_writes 2 65536 10
  run_all "file:$W/{vm}-{disk}.raw"
  [ "$(mode)" = "['full', 'full', 'full']" ]
  has "$(field "$W/out" 'd["disks"][0]["reason"]')" "change tracking was reset*; read by VDDK: read_by says so"
  same 0 1 2
  ended

  tell machine '{"vm":"web01","do":"grow","disk":2001,"size":12582912}'
  guest_writes 1 10485760 5000
  run_all "file:$W/{vm}-{disk}.raw" --resize
  [ "$(mode)" = "['incremental', 'full', 'incremental']" ]
  same 0 1 2
  ended

  tell machine '{"vm":"web01","do":"add_disk","size":1048576}'
  run_all "file:$W/{vm}-{disk}.raw"
  [ "$(mode)" = "['incremental', 'incremental', 'incremental', 'full']" ]
  same 0 1 2
  ended
}

@test "into a repository and back" {
  start_vsphere --vm web01:4M,2M,1M
  guest_writes 0 0 200000
  guest_writes 1 1048576 4096
  hamal-repo init "dir:$W/repo" > /dev/null 2>&1
  for round in 1 2; do
    guest_writes 0 2097152 1000
    run_all "dir:$W/repo"
    hamal-repo commit "$W/snap.json" --target "dir:$W/repo" > /dev/null
    ended
  done
  [ "$(mode)" = "['incremental', 'incremental', 'incremental']" ]
  succeeds hamal-sync "dir:$W/repo" --vm web01 --target "file:$W/{vm}-{disk}.raw"
  same 0 1 2
}

# Break it: let the extents of VddkReader::allocated() outlive its nbdkit.
@test "without change tracking: a full of what VDDK says is allocated, each time" {
  start_vsphere --vm web01:4M,1M
  sed -i '/^enable_change_tracking/d' "$HAMAL_CONFIG"
  guest_writes 0 1048576 100000
  for round in 1 2; do
    guest_writes 1 0 100
    run_all "file:$W/{vm}-{disk}.raw" 2> /dev/null
    [ "$(mode)" = "['full', 'full']" ]
    cmp "$W/frozen0" "$W/web01-2000.raw"
    cmp "$W/frozen1" "$W/web01-2001.raw"
    ended
  done
}

@test "vms says what can be protected, and why not" {
  start_vsphere --vm web01:1M,2M --vm off01:1M:off --more 2
  tell machine '{"vm":"web01","do":"mode","disk":2001,"value":"independent_persistent"}'
  succeeds hamal-snapshot vms lab
  has "$out" "web01 *running*2000*1 MiB*yes*every run is a full: change tracking is off in the vm"
  has "$out" "2001*2 MiB*no*independent (independent_persistent): snapshots leave it out"
  has "$out" "off01 *stopped*2000*"
  succeeds hamal-snapshot create lab:web01
  has "$out" '"left_out":[{"id":"2001"'
  succeeds hamal-snapshot delete --stale lab --older-than 0
  [ "$(snapshots)" = 0 ]
}

# Break it: give the password as an argument; leave the socket's folder behind.
@test "VDDK gets the snapshot, the password as a file, and requests of whole sectors" {
  start_vsphere --vm web01:4M
  guest_writes 0 0 3000000
  sed -i 's/^connection = .*/&\n[vmware]\nmax_read_blocks = 64/' "$HAMAL_CONFIG"
  succeeds hamal-sync --source lab:web01/2000 --target "file:$W/web01.raw" --json
  cmp "$W/vsphere/live/web01/2000.img" "$W/web01.raw"
  # 46 blocks of 64 KiB, in requests of 32.
  [ "$(field "$W/out" 'd["disks"][0]["read_requests"]')" -ge 92 ]
  moref=$(asked "d['machines']['web01']['id']")
  told=$(tail -n 1 "$W/nbdkit.told")
  has "$told" "\"vm=moref=$moref\", \"snapshot=snapshot-"
  has "$told" '"file=\[LocalDS_0\] web01/web01.vmdk"'
  has "$told" '"transports=file:nbdssl:nbd"'
  has "$told" '"password=+/proc/self/fd/'
  [ -z "$(grep -F 'secret' "$W/nbdkit.told" || true)" ]
  [ -z "$(grep -rF 'secret &' "$W/log" "$W/lib" || true)" ]
  [ -z "$(find "$W" -maxdepth 1 -name 'hamal-vddk-*')" ]
  [ "$(snapshots)" = 0 ]

  echo "VixDiskLib_Open: The host is out of NFC connections" > "$VSPHERE_FAULT"
  fails 1 "*VixDiskLib_Open: The host is out of NFC connections*" hamal-sync --source lab:web01/2000 --target "file:$W/web01.raw"
  [ "$(snapshots)" = 0 ]
}

@test "a job of hamal-period: what is due is synced, and the snapshot ended" {
  start_vsphere --vm web01:2M,1M
  guest_writes 0 0 5000
  printf '%s\n' "[job all]" "platform = lab" "vm = web01" "target = file:$W/{vm}-{disk}.raw" "interval = 1h" >> "$HAMAL_CONFIG"
  succeeds hamal-period
  cmp "$W/vsphere/live/web01/2000.img" "$W/web01-2000.raw"
  guest_writes 1 65536 10
  succeeds hamal-period --job all --now
  cmp "$W/vsphere/live/web01/2001.img" "$W/web01-2001.raw"
  hamal-period status --json --job all > "$W/status"
  [ "$(field "$W/status" "d['vms'][0]['mode']")" = incremental ]
  [ "$(snapshots)" = 0 ]
}
