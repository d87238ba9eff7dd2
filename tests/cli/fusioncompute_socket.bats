#!/usr/bin/env bats
# shellcheck disable=SC2154 # out and status are set by the helpers
# Disks of a FusionCompute read over the socket, in hamal's OWN frames: what goes on around them, and what goes wrong.
# Nothing here says anything of the frames that real hosts speak (tests/lab/fusioncompute/README.md).
load helpers
load fusioncompute_helpers

setup() { make_world; }
teardown() {
  stop_fc
  end_world
}

sync_all() {
  hamal-snapshot create lab:web01 > "$W/snap.json"
  pipe "$W/snap.json" "file:$W/{vm}-{disk}.raw"
  [ "$status" = 0 ] || { show "expected a run"; cat "$W/read.err" >&2; return 1; }
  hamal-snapshot finish "$W/snap.json" --committed
  for number in 1 2; do
    cmp "$W/fc/vol-$number.img" "$W/web01-disk$number.raw"
  done
  [ "$(resources)" = 0 ]
  [ "$(snapshots)" = 1 ]
  [ -z "$(find "$W/lib/fusion_compute/resources" -type f)" ]
}
read_bytes() { field "$W/out" "sum(one['read_bytes'] for one in d['disks'])"; }
reads() { asked "d['calls'].count('SOCKET 2')"; }

# Break it: leave the label out of choose_reader(); keep the resource in ~PreparedResource().
@test "a full and three incrementals; lan and lanssl" {
  start_fc web01:4M,2M
  by_socket
  guest_writes 1 1048576 300000
  sync_all
  [ "$(read_bytes)" = 6291456 ]
  label="reader says so; its frames are hamal's own, no host of FusionCompute is known to speak them"
  has "$(cat "$W"/log/*.log)" "web01/disk1: read by vna_socket: $label"
  [ "$(field "$W/out" 'd["disks"][0]["read_by"]')" = vna_socket ]
  [ "$(field "$W/out" 'd["disks"][0]["read_by_reason"]')" = "$label" ]
  for round in 1 2 3; do
    [ $round != 3 ] || sed -i 's/^vna_lease/vna_transport = lan\nfull_by_bitmap = yes\nvna_lease/' "$HAMAL_CONFIG"
    guest_writes 1 $((round * 655360)) 100
    sync_all
    [ "$(read_bytes)" = 65536 ]
  done
  tell machine '{"vm":"web01","do":"move"}'
  sync_all
  has "$(field "$W/out" 'd["disks"][0]["reason"]')" "another host*; what getcbt says holds anything"
  [ "$(field "$W/out" 'd["disks"][0]["read_by_reason"]')" = "$label" ]
  [ "$(read_bytes)" -lt 1000000 ]
}

# Break it: let VnaQueue go on with a stream that failed; take a slot for each disk without asking take_slot().
@test "a lease that expires, a cut socket, replies that are not good, a sibling that is closed" {
  start_fc web01:4M,2M
  by_socket
  sync_all
  for fault in '"do":"expire"' '"do":"cut"' '"lie":"crc"' '"lie":"sequence"' '"lie":"half"'; do
    guest_writes 1 0 1500000
    guest_writes 2 1048576 5000
    tell faults "[{\"contains\":\"SOCKET 2\",\"skip\":1,\"do\":\"nothing\",$fault}]"
    sync_all
    [ "$(mode)" = "['incremental', 'incremental']" ]
  done
  # One disk at a time by default, so nothing has a sibling; with two, each read that is cut is done again.
  tell settings '{"close_sibling":true}'
  tell calls '{"all":true}'
  guest_writes 1 0 1500000
  guest_writes 2 0 1500000
  sync_all
  [ "$(asked "sum('backupresources' in call and call.startswith('POST') for call in d['calls'])")" = 2 ]
}
mode() { field "$W/out" "[one['mode'] for one in d['disks']]"; }

@test "a host that is full, and what cannot be configured" {
  start_fc web01:2M,1M
  by_socket
  tell settings '{"sockets_per_host":1}'
  sed -i 's/^vna_lease/vna_disks_per_host = 2\nvna_lease/' "$HAMAL_CONFIG"
  guest_writes 1 0 100000
  sync_all
  tell faults '[{"do":"refuse","contains":"/backupresources","code":"10300412","times":2}]'
  guest_writes 1 0 100000
  sync_all
  sed -i '/^local_host_ip/d' "$HAMAL_CONFIG"
  fails 2 "local_host_ip" hamal-snapshot create lab:web01
}

# The first disk holds the host's one slot for longer than outage_max. Break it: make the Connection in VnaQueue::read(), which is a
# stall then; leave vna_wait out of take().
@test "a disk waits for its sibling however long that takes, and for another run as long as vna_wait" {
  start_fc web01:3M,1M
  by_socket
  sed -i 's/^vna_lease/vna_wait = 1s\nvna_lease/' "$HAMAL_CONFIG"
  guest_writes 1 0 3000000
  tell faults '[{"contains":"SOCKET 2","skip":1,"do":"slow","seconds":1,"times":3}]'
  sync_all
  [ "$(field "$W/out" 'sum(one["outages"] for one in d["disks"])')" = 0 ]

  # As another run has it.
  slot=$(find "$W/lib/fusion_compute/hosts" -name '*.0')
  exec {holder}<> "$slot"
  flock "$holder"
  echo "pid=1 run= tool=vna:db01/disk1 since=now" >&"$holder"
  fails 75 "*no connection to the host * became free in 1 s: all 1 are in use, by pid=1 *tool=vna:db01/disk1*" \
    hamal-sync --source lab:web01/disk1 --target "file:$W/other.raw"
  has "$(cat "$W/log/hamal-sync.log")" "web01/disk1: waits for a connection to the host*tool=vna:db01/disk1"
  exec {holder}>&-
}

# Break it: leave release_leftovers() out of create_snapshot().
@test "a run that is killed while it reads leaves a resource that the next one releases" {
  start_fc web01:2M,1M
  by_socket
  guest_writes 1 0 100000
  tell settings '{"stop_at":1000000}'
  tell faults '[{"do":"slow","contains":"PUT","seconds":1}]'
  mkfifo "$W/never"
  hamal-snapshot create lab:web01 > "$W/snap.json"
  hamal-cbt-read "$W/snap.json" --full --disk disk1 --raw 2> /dev/null 3>&- > "$W/never" &
  reader=$!
  exec {stuck}< "$W/never"
  until_true 60 holds_one
  kill -9 $reader
  wait $reader || true
  exec {stuck}<&-
  [ "$(resources)" = 1 ]
  hamal-snapshot finish "$W/snap.json" --failed
  [ "$(resources)" = 0 ]
  [ "$(snapshots)" = 0 ]
  has "$(cat "$W"/log/*.log)" "a killed run left the backup resource*released"
}
holds_one() { [ "$(resources)" = 1 ]; }

# Break it: leave chgID out of why_not_comparable().
@test "machines on two hosts by hamal-period: a full, three incrementals, a gap, a restarted host" {
  start_fc web01:2M,1M web02:1M
  by_socket
  tell machine '{"vm":"web02","do":"move"}'
  printf '%s\n' "[job all]" "platform = lab" "vm = web*" "target = file:$W/{vm}-{disk}.raw" "interval = 1h" >> "$HAMAL_CONFIG"
  modes() {
    guest_writes 1 65536 10
    guest_writes 3 0 5000
    succeeds hamal-period --job all --now
    cmp "$W/fc/vol-1.img" "$W/web01-disk1.raw"
    cmp "$W/fc/vol-2.img" "$W/web01-disk2.raw"
    cmp "$W/fc/vol-3.img" "$W/web02-disk1.raw"
    hamal-period status --json --job all > "$W/status"
    field "$W/status" "' '.join(sorted(one['vm_name'] + ':' + one['mode'] for one in d['vms']))"
  }
  has "$(modes)" "web01:full web02:full"
  for round in 1 2 3; do
    has "$(modes)" "web01:incremental web02:incremental"
  done
  tell machine '{"vm":"web01","do":"foreign_snapshot","name":"other"}'
  has "$(modes)" "web01:full web02:incremental"
  tell machine '{"vm":"web02","do":"reboot_host"}'
  has "$(modes)" "web01:incremental web02:full"
  [ "$(resources)" = 0 ]
}

# Between any two calls of a run: every fifteenth by default, all with HAMAL_FC_KILLS=all. Break it: put the record of the
# resource behind its preparation; release nothing in create_snapshot(); delete the base in finish_snapshot(failed).
@test "kill -9 between the calls, and the same command again" {
  start_fc web01:1M,1M
  by_socket 0.05
  run=(hamal-sync --source lab:web01/disk1 --target "file:$W/web01.raw" --json)
  "${run[@]}" > "$W/out" 2> /dev/null
  tell calls '{"all":true}'
  guest_writes 1 0 70000
  "${run[@]}" > "$W/out" 2> /dev/null
  calls=$(asked "len(d['calls'])")
  step=15
  [ "${HAMAL_FC_KILLS:-}" != all ] || step=1
  echo "# $calls calls, every $step" >&3
  for ((n = 2; n <= calls; n += step)); do
    guest_writes 1 $((n * 4096)) 5000
    tell calls '{"all":true}'
    tell settings "{\"stop_at\":$n,\"stop_when\":\"$([ $((n / step % 2)) = 0 ] && echo before || echo after)\"}"
    "${run[@]}" > "$W/out" 2> "$W/err" 3>&- &
    victim=$!
    until_true 60 stopped_or_gone "$victim"
    kill -9 "$victim" 2> /dev/null || true
    wait "$victim" 2> /dev/null || true
    tell settings '{"stop_at":0}'
    tell calls '{"all":true}'
    "${run[@]}" > "$W/out" 2> "$W/err" || { echo "after call $n"; cat "$W/err"; return 1; }
    cmp "$W/fc/vol-1.img" "$W/web01.raw"
    [ "$(snapshots)" = 1 ] || { echo "after call $n: $(snapshots) snapshots"; return 1; }
    [ "$(resources)" = 0 ]
  done
}
stopped_or_gone() { [ -e "$W/fc/stopped" ] || ! kill -0 "$1" 2> /dev/null; }
