#!/usr/bin/env bats
# shellcheck disable=SC2154 # out and status are set by the helpers
# Machines of a FusionCompute (tests/lab/fusioncompute), end to end. The rules of hamal-fusioncompute(7) have their tests,
# by name, in tests/conformance/platform_fusioncompute_test.cpp.
load helpers
load fusioncompute_helpers

setup() { make_world; }
teardown() {
  stop_fc
  end_world
}

# run_all TARGET [OPTION of hamal-sync…]: the whole loop; the guest writes nothing meanwhile.
run_all() {
  hamal-snapshot create lab:web01 > "$W/snap.json"
  pipe "$W/snap.json" "$@"
  [ "$status" = 0 ] || { show "expected a run"; cat "$W/read.err" >&2; return 1; }
  hamal-snapshot finish "$W/snap.json" --committed
}
same() {
  local number
  for number in "$@"; do
    cmp "$W/fc/vol-$number.img" "$W/web01-disk$number.raw"
  done
}
mode() { field "$W/out" "[one['mode'] for one in d['disks']]"; }

# Break it: leave the size or the host out of why_not_comparable().
@test "a full, incrementals, somebody's snapshot, a moved vm, a grown disk" {
  start_fc web01:16M,8M
  for number in 1 2; do guest_writes $number 1048576 300000; done
  run_all "file:$W/{vm}-{disk}.raw"
  [ "$(mode)" = "['full', 'full']" ]
  same 1 2
  [ "$(snapshots)" = 1 ]

  for round in 1 2 3; do
    guest_writes 1 $((round * 2097152)) 100
    run_all "file:$W/{vm}-{disk}.raw"
    [ "$(mode)" = "['incremental', 'incremental']" ]
    [ "$(field "$W/out" 'd["disks"][0]["read_bytes"]')" = 65536 ]
    [ "$(field "$W/out" 'd["disks"][1]["read_bytes"]')" = 0 ]
    same 1 2
    [ "$(snapshots)" = 1 ]
  done
  has "$(field "$W/out" 'd["disks"][0]["reason"]')" "checkpoint of generation 3"
  [ "$(field "$W/out" 'd["disks"][0]["read_by"], d["disks"][0]["read_by_reason"]')" = "('file', 'file_path is configured')" ]

  tell machine '{"vm":"web01","do":"foreign_snapshot","name":"other"}'
  guest_writes 2 65536 10
  run_all "file:$W/{vm}-{disk}.raw"
  [ "$(mode)" = "['full', 'full']" ]
  has "$(field "$W/out" 'd["disks"][0]["reason"]')" "chgID went from 4 to 6"
  same 1 2

  tell machine '{"vm":"web01","do":"move"}'
  run_all "file:$W/{vm}-{disk}.raw"
  has "$(field "$W/out" 'd["disks"][0]["reason"]')" "runs on another host now"
  tell machine '{"vm":"web01","do":"grow","disk":2,"size":12582912}'
  guest_writes 2 10485760 5000
  run_all "file:$W/{vm}-{disk}.raw" --resize
  [ "$(mode)" = "['incremental', 'full']" ]
  same 1 2
}

@test "into a repository and back" {
  start_fc web01:4M,2M
  guest_writes 1 0 200000
  guest_writes 2 1048576 4096
  hamal-repo init "dir:$W/repo" > /dev/null 2>&1
  for round in 1 2 3 4; do
    guest_writes 1 2097152 1000
    hamal-snapshot create lab:web01 > "$W/snap.json"
    pipe "$W/snap.json" "dir:$W/repo"
    [ "$status" = 0 ]
    hamal-repo commit "$W/snap.json" --target "dir:$W/repo" > /dev/null
    hamal-snapshot finish "$W/snap.json" --committed
  done
  [ "$(mode)" = "['incremental', 'incremental']" ]
  [ "$(snapshots)" = 1 ]
  succeeds hamal-sync "dir:$W/repo" --vm web01 --target "file:$W/{vm}-{disk}.raw"
  same 1 2
}

@test "vms says what can be protected, and why not" {
  start_fc web01:1M,2M off01:1M
  tell machine '{"vm":"web01","do":"disk","disk":2,"set":{"indep":true}}'
  tell machine '{"vm":"off01","do":"set","set":{"status":"stopped","tools":"notRunning"}}'
  succeeds hamal-snapshot vms lab
  has "$out" "web01 *running*disk1*1 MiB*yes*changes are tracked by CBTbackup snapshots"
  has "$out" "disk2*2 MiB*no*independent: snapshots leave it out"
  has "$out" "off01 *stopped*disk1*no*Tools does not run in the vm (10300026): pvDriverStatus is notRunning"
  fails 1 "*Tools does not run*" hamal-snapshot create lab:off01
  succeeds hamal-snapshot create lab:web01
  has "$out" '"left_out":[{"id":"disk2"'
  succeeds hamal-snapshot delete --stale lab --older-than 0
  [ "$(snapshots)" = 0 ]
  [ -z "$(grep -rF 'secret &' "$W/log" "$W/lib" || true)" ]
}

@test "a job of hamal-period" {
  start_fc web01:2M,1M
  guest_writes 1 0 5000
  printf '%s\n' "[job all]" "platform = lab" "vm = web01" "target = file:$W/{vm}-{disk}.raw" "interval = 1h" >> "$HAMAL_CONFIG"
  succeeds hamal-period
  same 1 2
  guest_writes 2 65536 10
  succeeds hamal-period --job all --now
  same 1 2
  hamal-period status --json --job all > "$W/status"
  [ "$(field "$W/status" "d['vms'][0]['mode']")" = incremental ]
  [ "$(snapshots)" = 1 ]
}

# Break it: let Platform::finish_snapshot() look for the vm that is gone; leave ends_without_vm() out.
@test "snapshots of a vm that was removed are finished, deleted and swept with a word" {
  start_fc web01:1M two:1M three:1M
  for vm in web01 two three; do
    hamal-snapshot create "lab:$vm" > "$W/$vm.json"
    tell machine "{\"vm\":\"$vm\",\"do\":\"destroy\"}"
  done
  succeeds hamal-snapshot finish "$W/web01.json" --failed
  grep -q "the vm is not there any more, and its snapshot" "$W/log/hamal-snapshot.log"
  succeeds hamal-snapshot delete lab:two "$(field "$W/two.json" 'd["snapshot_id"]')"
  succeeds hamal-snapshot delete --stale lab --older-than 0
  has "$out" "$(field "$W/three.json" 'd["snapshot_id"]')*deleted*"
}

# The second run plans a full and fails: the third one must not count from the first.
@test "a restarted host and a run that fails cost a full" {
  start_fc web01:2M,1M
  run_all "file:$W/{vm}-{disk}.raw"
  guest_writes 1 0 5000
  tell machine '{"vm":"web01","do":"reboot_host"}'
  hamal-snapshot create lab:web01 > "$W/snap.json"
  hamal-snapshot finish "$W/snap.json" --failed
  guest_writes 1 1048576 5000
  run_all "file:$W/{vm}-{disk}.raw"
  [ "$(mode)" = "['full', 'full']" ]
  same 1 2
}
