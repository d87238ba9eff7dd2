#!/usr/bin/env bats
# shellcheck disable=SC2154 # out and status are set by the helpers
# What the state records of snapshots of a vSphere, and what becomes of it: creations that nobody knows the end of, two ways to
# one server, vms that are gone, that were reverted or changed, datastores that fill up.
load helpers
load vmware_helpers

setup() { make_world; }
teardown() {
  stop_vsphere
  end_world
}

sql() { python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])' "$W/lib/hamal.db" "$1"; }
intents() { sql "select count(*) from snapshots where state = 'intended'"; }

# The request arrives and its reply does not, and neither do those of the calls that would look: create fails and undoes
# nothing. Break it: drop the intent of every create that fails.
@test "a creation that fails without a word of its end is looked for by the next run" {
  start_vsphere --vm web01:1M
  # How often a create looks before it creates, once change tracking is on.
  for _ in 1 2; do
    tell log '{}'
    hamal-snapshot create lab:web01 > "$W/snap.json"
    looks=$(asked "d['log'][:d['log'].index('CreateSnapshot_Task')].count('RetrievePropertiesEx')")
    hamal-snapshot finish "$W/snap.json" --failed
  done
  # Everything from the creation on: it was done, and nobody is told.
  tell rules "[{\"method\":\"CreateSnapshot_Task\",\"do\":\"cut_after\",\"times\":1},
    {\"method\":\"RetrievePropertiesEx\",\"do\":\"http:503\",\"skip\":$looks},{\"method\":\"Login\",\"do\":\"http:503\",\"skip\":1}]"
  capture hamal-snapshot create lab:web01
  [ "$status" != 0 ]
  tell rules '[]'
  until_true 60 one_snapshot
  [ "$(intents)" = 1 ]
  left=$(asked "d['machines']['web01']['snapshots'][0]['name']")
  succeeds hamal-sync --source lab:web01/2000 --target "file:$W/web01.raw"
  grep -q "snapshot $left ended: nobody recorded it" "$W/log/hamal-sync.log"
  [ "$(snapshots)" = 0 ]
  [ "$(intents)" = 0 ]
}
one_snapshot() { [ "$(snapshots)" = 1 ]; }

# Break it: look for records by the section's name alone.
@test "two sections of one server leave each other's snapshots alone" {
  start_vsphere --vm web01:1M
  sed -n '/^\[platform lab\]/,$p' "$HAMAL_CONFIG" | sed 's/^\[platform lab\]/[platform other]/' > "$W/other"
  cat "$W/other" >> "$HAMAL_CONFIG"
  hamal-snapshot create lab:web01 > "$W/snap.json"
  id=$(field "$W/snap.json" 'd["snapshot_id"]')
  succeeds hamal-snapshot delete --stale other --older-than 0
  has "$out" "$id *left*recorded by \[platform lab\]*"
  [ "$(snapshots)" = 1 ]
  succeeds hamal-snapshot list other
  has "$out" "$id *yes*yes*"
  # Nor what the other one may be making at this moment.
  python3 - "$W/lib/hamal.db" << 'PYTHON'
import datetime, sqlite3, sys
database = sqlite3.connect(sys.argv[1])
now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
database.execute("update snapshots set snapshot_id = 'intended-x', state = 'intended', document = '', created = ?", [now])
database.commit()
PYTHON
  succeeds hamal-snapshot delete --stale other --older-than 0
  has "$out" "$id *left*\[platform lab\] may be making it*"
  [ "$(snapshots)" = 1 ]
  # A section that is there no more has nothing.
  sed -i '/^\[platform lab\]/,/^\[platform other\]/{/^\[platform other\]/!d}' "$HAMAL_CONFIG"
  succeeds hamal-snapshot delete --stale other --older-than 0
  has "$out" "$id *deleted*"
  [ "$(snapshots)" = 0 ]
}

# Break it: let Platform::delete_snapshot() look for the vm that is gone, or leave resolve_recorded_vm() out.
@test "snapshots of a vm that was removed are finished, deleted and swept with a word" {
  start_vsphere --vm web01:1M --vm two:1M --vm three:1M
  for vm in web01 two three; do
    hamal-snapshot create "lab:$vm" > "$W/$vm.json"
    tell machine "{\"vm\":\"$vm\",\"do\":\"destroy\"}"
  done
  succeeds hamal-snapshot finish "$W/web01.json" --failed
  grep -q "the vm is not there any more, and its snapshot" "$W/log/hamal-snapshot.log"
  succeeds hamal-snapshot delete lab:two "$(field "$W/two.json" 'd["snapshot_id"]')"
  succeeds hamal-snapshot delete --stale lab --older-than 0
  has "$out" "$(field "$W/three.json" 'd["snapshot_id"]')*deleted*"
  [ "$(sql "select count(*) from snapshots")" = 0 ]
  fails 2 "*no vm of this id or name*" hamal-snapshot delete lab:two hamal-00000000-0000000000000000
}

# interrupted: a full of web01 that is killed in the middle, its snapshot held for the next run. It would take minutes, and
# is looked at while it is stopped.
interrupted() {
  guest_writes 0 0 8000000
  in_background hamal-sync --source lab:web01/2000 --target "file:$W/web01.raw" --bwlimit 64K
  until_true 120 test -s "$W/nbdkit.told"
  until_true 120 [ -s "$W/web01.raw" ]
  until_true 120 marked
  kill -STOP "$BACKGROUND"
  marked
  kill -9 "$BACKGROUND"
  wait "$BACKGROUND" || true
  [ "$(snapshots)" = 1 ]
}
marked() { [ "$(sql "select count(*) from in_progress")" = 1 ]; }

# Break it: leave why_not_to_hold() out of why_unusable().
@test "a held snapshot is given up when its datastore runs low, and no other is made" {
  start_vsphere --vm web01:8M
  interrupted
  tell machine '{"vm":"web01","do":"free","size":1000000}'
  fails 75 "*no snapshot is made: the datastore LocalDS_0 has*" hamal-sync --source lab:web01/2000 --target "file:$W/web01.raw"
  [ "$(snapshots)" = 0 ]
  grep -q "is not resumed: the datastore LocalDS_0 has" "$W/log/hamal-sync.log"
  tell machine '{"vm":"web01","do":"free","size":100000000000}'
  succeeds hamal-sync --source lab:web01/2000 --target "file:$W/web01.raw"
  cmp "$W/vsphere/live/web01/2000.img" "$W/web01.raw"
}

# Break it: leave why_reverted() out of VmwarePlatform::changes_of().
@test "a vm that is reverted between two runs: a full with the reason, and the right data" {
  start_vsphere --vm web01:4M
  sync() { hamal-sync --source lab:web01/2000 --target "file:$W/web01.raw" --json; }
  sync > /dev/null
  tell machine '{"vm":"web01","do":"snapshot","name":"before"}'
  guest_writes 0 0 200000
  sync > /dev/null
  tell machine '{"vm":"web01","do":"revert","name":"before"}'
  # Whoever makes snapshots meanwhile makes vSphere's own answer look right.
  tell machine '{"vm":"web01","do":"snapshot","name":"more"}'
  tell machine '{"vm":"web01","do":"snapshot","name":"and more"}'
  guest_writes 0 2097152 1000
  capture sync
  [ "$status" = 0 ]
  [ "$(field "$W/out" 'd["disks"][0]["mode"]')" = full ]
  has "$(field "$W/out" 'd["disks"][0]["reason"]')" "the vm was reverted to a snapshot at*"
  cmp "$W/vsphere/live/web01/2000.img" "$W/web01.raw"
  # And then it goes on as before.
  guest_writes 0 1048576 1000
  capture sync
  [ "$(field "$W/out" 'd["disks"][0]["mode"]')" = incremental ]
  cmp "$W/vsphere/live/web01/2000.img" "$W/web01.raw"
}

# Break it: leave verify_snapshot()'s places or its disks out.
@test "a vm that is moved or gets another disk while it is read: exit 75, nothing committed, and the next run is right" {
  start_vsphere --vm web01:8M
  guest_writes 0 0 8000000
  for event in '"do":"host"' '"do":"add_disk","size":1048576'; do
    rm -f "$W/nbdkit.told"
    # Its reader is being opened, and is not before the event has happened.
    touch "$VSPHERE_HELD"
    in_background hamal-sync --source lab:web01/2000 --target "file:$W/web01.raw" --incremental never
    until_true 120 test -s "$W/nbdkit.told"
    tell machine "{\"vm\":\"web01\",$event}"
    rm "$VSPHERE_HELD"
    status=0
    wait "$BACKGROUND" || status=$?
    [ "$status" = 75 ]
    guest_writes 0 1048576 100
    succeeds hamal-sync --source lab:web01/2000 --target "file:$W/web01.raw"
    succeeds hamal-sync --source lab:web01/2000 --target "file:$W/web01.raw"
    cmp "$W/vsphere/live/web01/2000.img" "$W/web01.raw"
    [ "$(snapshots)" = 0 ]
  done
}
