#!/usr/bin/env bats
# shellcheck disable=SC2154 # out and status are set by the helpers
# Machines of a vSphere (tests/lab/vsphere), end to end. The traps of vSphere have their tests, by name, in
# tests/conformance/platform_vmware_test.cpp.
load helpers
load vmware_helpers

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

# What a whole life of a vm does is in vmware_end_to_end.bats.
@test "an incremental reads what changed, and its result says how a disk is read, and why" {
  start_vsphere --vm web01:16M,8M,4M
  for number in 0 1 2; do guest_writes "$number" 1048576 300000; done
  run_all "file:$W/{vm}-{disk}.raw"
  [ "$(mode)" = "['full', 'full', 'full']" ]
  [ "$(ways)" = "[('vddk', 'read_by says so')]" ]
  same 0 1 2
  ended

  guest_writes 0 2097152 100
  guest_writes 1 0 70000
  run_all "file:$W/{vm}-{disk}.raw"
  [ "$(mode)" = "['incremental', 'incremental', 'incremental']" ]
  [ "$(field "$W/out" 'd["disks"][0]["read_bytes"]')" = 65536 ]
  [ "$(field "$W/out" 'd["disks"][2]["read_bytes"]')" = 0 ]
  [ "$(ways)" = "[('vddk', 'read_by says so')]" ]
  same 0 1 2
  ended

  # And where only the stream knows: it is written elsewhere.
  hamal-snapshot create lab:web01 > "$W/snap.json"
  hamal-cbt-read "$W/snap.json" --target "file:$W/{vm}-{disk}.raw" --data > "$W/stream"
  succeeds hamal-sync "$W/stream" --target "file:$W/{vm}-{disk}.raw" --dry-run
  has "$out" "read by vddk: read_by says so"
  succeeds hamal-sync "$W/stream" --target "file:$W/{vm}-{disk}.raw" --json
  [ "$(mode)" = "['incremental', 'incremental', 'incremental']" ]
  [ "$(ways)" = "[('vddk', 'read_by says so')]" ]
  ended
}
ways() { field "$W/out" "sorted({(one['read_by'], one['read_by_reason']) for one in d['disks']})"; }

# Lists of what is allocated are read in turns. Break it: let VddkReader take its slot when it is made, or AllocatedExtents
# keep it until the list is read.
@test "one VDDK connection is enough for three disks, and who waits for another run says so and ends with 75" {
  start_vsphere --vm web01:4M,2M,1M
  printf '%s\n' "vddk_connections_per_host = 1" "vddk_wait = 1s" >> "$HAMAL_CONFIG"
  for number in 0 1 2; do guest_writes "$number" 65536 300000; done
  sed -i '/^enable_change_tracking/d' "$HAMAL_CONFIG"
  run_all "file:$W/{vm}-{disk}.raw" 2> /dev/null
  [ "$(mode)" = "['full', 'full', 'full']" ]
  same 0 1 2
  ended
  echo "enable_change_tracking = True" >> "$HAMAL_CONFIG"
  for _ in 1 2; do
    run_all "file:$W/{vm}-{disk}.raw"
    same 0 1 2
    ended
  done
  [ "$(mode)" = "['incremental', 'incremental', 'incremental']" ]

  # As another run has it.
  slot=$(find "$W/lib/vddk" -name 'host-*.0')
  [ "$(find "$W/lib/vddk" -name 'through.*' | wc -l)" -ge 1 ]
  exec {holder}<> "$slot"
  flock "$holder"
  echo "pid=1 run= tool=vddk:db01/2000 since=now" >&"$holder"
  fails 75 "*no VDDK connection to host-* became free in 1 s: all 1 are in use, by pid=1 *tool=vddk:db01/2000*" \
    hamal-sync --source lab:web01/2000 --target "file:$W/{vm}-{disk}.raw"
  has "$(cat "$W/log/hamal-sync.log")" "web01/2000: waits for a VDDK connection to host-*tool=vddk:db01/2000"
  exec {holder}>&-
  succeeds hamal-sync --source lab:web01/2000 --target "file:$W/{vm}-{disk}.raw"
  [ "$(snapshots)" = 0 ]
}

# Of an export no more is known than its name and its size. Break it: leave require_frozen() out.
@test "over NBD: from a server that knows each snapshot's disks by name, and nothing else is believed" {
  need nbdkit
  start_vsphere --vm web01:8M,4M,4M
  # shellcheck disable=SC2016 # expanded by nbdkit's shell
  nbdkit --foreground --readonly --unix "$W/nbd.sock" --pidfile "$W/nbd.pid" eval \
    open='echo "$3"' get_size="stat -Lc %s '$W/vsphere/frozen/'\"\$2\" || { echo 'ENOENT no such export' >&2; exit 1; }" \
    pread="dd if='$W/vsphere/frozen/'\"\$2\" bs=1M iflag=skip_bytes,count_bytes skip=\$4 count=\$3 status=none" \
    > "$W/nbd.log" 2>&1 3>&- {VSPHERE_HOLD}>&- &
  stop_later $!
  until_true 60 test -s "$W/nbd.pid"
  sed -i "s|^read_by = .*|read_by = nbd\nnbd_uri = nbd+unix:///{snapshot}/{disk}.img?socket=$W/nbd.sock|" "$HAMAL_CONFIG"
  for number in 0 1 2; do guest_writes "$number" 1048576 300000; done
  busy_guest 3
  run_all "file:$W/{vm}-{disk}.raw"
  [ "$(mode)" = "['full', 'full', 'full']" ]
  [ "$(ways)" = "[('nbd', 'read_by says so')]" ]
  same 0 1 2
  ended
  run_all "file:$W/{vm}-{disk}.raw"
  [ "$(mode)" = "['incremental', 'incremental', 'incremental']" ]
  same 0 1 2
  ended

  # Two disks of one size, and the live one: an export without the two names might be any of them.
  for uri in 'nbd+unix:///{disk}' 'nbd+unix:///{snapshot}' 'nbd://h/{vm}'; do
    sed -i "s|^nbd_uri = .*|nbd_uri = $uri?socket=$W/nbd.sock|" "$HAMAL_CONFIG"
    fails 2 "*nbd_uri: does not name {snapshot} and {disk}*" hamal-snapshot create lab:web01
  done
  sed -i "s|^nbd_uri = .*|nbd_uri = nbd+unix:///{snapshot}-{disk}?socket=$W/nbd.sock|" "$HAMAL_CONFIG"
  capture hamal-snapshot create lab:web01
  [ "$status" != 0 ] || { show "a disk that is not served was not missed"; return 1; }
  # Who vouches for it is believed, but for the size.
  truncate -s 1M "$W/vsphere/frozen/any"
  sed -i "s|^nbd_uri = .*|nbd_uri = nbd+unix:///any?socket=$W/nbd.sock\nnbd_uri_is_frozen = True|" "$HAMAL_CONFIG"
  fails 1 "*the export has 1048576 bytes, and the snapshot's disk 8388608*" hamal-snapshot create lab:web01
  [ "$(snapshots)" = 0 ]
}

# Break it: let the extents of VddkReader::allocated() outlive its nbdkit.
@test "without change tracking: a full of what VDDK says is allocated, each time" {
  start_vsphere --vm web01:4M,1M
  sed -i '/^enable_change_tracking/d' "$HAMAL_CONFIG"
  guest_writes 0 1048576 100000
  for _ in 1 2; do
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
