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
    cp --sparse=always "$(frozen "$number")" "$W/frozen$number"
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
  has "$(field "$W/out" 'd["disks"][0]["reason"]')" "change tracking was reset"
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

# Break it: leave exitwhen out of nbdkit's command line, or remove_left().
@test "nbdkit that dies in the middle is started again, and ends with a hamal that is killed" {
  start_vsphere --vm web01:64M
  guest_writes 0 0 67108864
  in_background hamal-sync --source lab:web01/2000 --target "file:$W/web01.raw" --bwlimit 16M --json
  until_true 60 test -s "$W/nbdkit.told"
  until_true 60 pgrep -P "$BACKGROUND" nbdkit
  until_true 60 blocks_of "$W/web01.raw" 8192
  kill -9 "$(pgrep -P "$BACKGROUND" nbdkit)"
  wait "$BACKGROUND"
  cmp "$W/vsphere/live/web01/2000.img" "$W/web01.raw"
  [ "$(wc -l < "$W/nbdkit.told")" -gt 1 ]

  # One whose hamal is killed ends as well; what it left in the file system goes with the next run.
  in_background hamal-sync --source lab:web01/2000 --target "file:$W/web01.raw" --incremental never --bwlimit 8M
  until_true 60 pgrep -P "$BACKGROUND" nbdkit
  left=$(pgrep -P "$BACKGROUND" nbdkit)
  kill -9 "$BACKGROUND"
  until_true 60 test ! -e "/proc/$left"
  [ -n "$(find "$W" -maxdepth 1 -name 'hamal-vddk-*')" ]
  wait "$BACKGROUND" || true
  succeeds hamal-sync --source lab:web01/2000 --target "file:$W/web01.raw"
  [ -z "$(find "$W" -maxdepth 1 -name 'hamal-vddk-*')" ]
}
blocks_of() { [ "$(stat -c %b "$1")" -ge "$2" ]; }

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

# Break it: leave out verify_snapshot()'s places, or its look for the snapshot.
@test "a snapshot that somebody removes, and a vm that moves, in the middle of a run: not committed, the next run is right" {
  start_vsphere --vm web01:16M
  guest_writes 0 0 16000000
  for event in '"do":"host"' '"do":"remove_snapshot","name":"SNAPSHOT"'; do
    hamal-snapshot create lab:web01 > "$W/snap.json"
    hamal-cbt-read "$W/snap.json" --full > "$W/stream"
    before=$(generation "file:$W/web01.raw")
    in_background hamal-sync "$W/stream" --target "file:$W/web01.raw" --bwlimit 8M
    until_true 60 grep -q snapshot= "$W/nbdkit.told"
    tell machine "{\"vm\":\"web01\",${event/SNAPSHOT/$(field "$W/snap.json" 'd["snapshot_id"]')}}"
    ! wait "$BACKGROUND" || { echo "a run committed" >&2; false; }
    [ "$(generation "file:$W/web01.raw")" = "$before" ]
    rm "$W/nbdkit.told"
    hamal-snapshot finish "$W/snap.json" --failed
    guest_writes 0 1048576 100
    # The first goes on from the snapshot that is held, where it is still there.
    succeeds hamal-sync --source lab:web01/2000 --target "file:$W/web01.raw"
    succeeds hamal-sync --source lab:web01/2000 --target "file:$W/web01.raw"
    cmp "$W/vsphere/live/web01/2000.img" "$W/web01.raw"
    [ "$(snapshots)" = 0 ]
  done
}

# Every call is a place to be killed at: after it was done and before its reply. HAMAL_VMWARE_KILLS=all tries each, otherwise
# some. Break it: do not look for our snapshots that no record has (end_unrecorded), or record the intent after it.
@test "killed between any two calls: the next run has the right data and leaves no snapshot" {
  start_vsphere --vm web01:2M:off
  sed -i 's/^read_by = .*/read_by = https/' "$HAMAL_CONFIG"
  tell settings '{"task_delay_ms":1}'
  sync() { hamal-sync --source lab:web01/2000 --target "file:$W/web01.raw"; }
  guest_writes 0 0 100000
  sync
  tell log '{}'
  guest_writes 0 65536 100
  sync
  calls=$(asked 'len(d["log"])')
  step=9
  [ "${HAMAL_VMWARE_KILLS:-}" != all ] || step=1
  for ((call = 0; call < calls; call += step)); do
    guest_writes 0 $((call % 32 * 65536)) 100
    tell rules "[{\"method\":\"*\",\"skip\":$call,\"do\":\"hold_after\",\"times\":1}]"
    in_background hamal-sync --source lab:web01/2000 --target "file:$W/web01.raw"
    until_true 60 holds 'd["held"] == 1'
    kill -9 "$BACKGROUND"
    wait "$BACKGROUND" || true
    tell rules '[]'
    capture sync
    [ "$status" = 0 ] || { show "killed at call $call of $calls"; return 1; }
    cmp "$W/vsphere/live/web01/2000.img" "$W/web01.raw" || { echo "killed at call $call" >&2; return 1; }
    [ "$(snapshots)" = 0 ] || { echo "a snapshot is left of the run killed at call $call" >&2; return 1; }
  done
}
