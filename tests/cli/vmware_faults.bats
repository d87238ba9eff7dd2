#!/usr/bin/env bats
# shellcheck disable=SC2154 # out and status are set by the helpers
# Machines of a vSphere: what dies, moves and is removed in the middle of a run, and what the next run makes of it.
load helpers
load vmware_helpers

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

# Break it: leave out verify_snapshot()'s places, or its look for the snapshot.
@test "a snapshot that somebody removes, and a vm that moves, in the middle of a run: not committed, the next run is right" {
  start_vsphere --vm web01:16M
  guest_writes 0 0 16000000
  for event in '"do":"host"' '"do":"remove_snapshot","name":"SNAPSHOT"'; do
    hamal-snapshot create lab:web01 > "$W/snap.json"
    hamal-cbt-read "$W/snap.json" --full > "$W/stream"
    before=$(generation "file:$W/web01.raw")
    in_background hamal-sync "$W/stream" --target "file:$W/web01.raw" --bwlimit 4M
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
