#!/usr/bin/env bats
# The main job on real disks: a running qemu-storage-daemon whose guest never stops writing. Every replica is compared
# with the frozen disk itself, while the live one goes on changing.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers

setup() {
  make_world
  TARGET="file:$W/{disk}.raw"
}
teardown() {
  if [ -n "${WRITER:-}" ]; then kill "$WRITER" 2> /dev/null || true; fi
  end_world
  if [ -n "${MOUNTED:-}" ]; then umount "$MOUNTED" || true; fi
}

# random_writes DISK-NUMBER SEED COUNT: that many 4 KiB writes, discards and zero writes at seeded places, one qemu-io.
random_writes() {
  python3 -c 'import random, sys
random.seed(int(sys.argv[1]))
for number in range(int(sys.argv[2])):
    offset = random.randrange(0, 32 << 20, 4096)
    kind = random.choices(("write", "discard", "write -z", "write -z -u"), (8, 1, 1, 1))[0]
    pattern = "-P %d " % random.randrange(1, 256) if kind == "write" else ""
    print("%s %s%d 4096" % (kind, pattern, offset))' "$2" "$3" |
    qemu-io -f raw "nbd+unix:///live$1?socket=$QSD/nbd.sock" > "$W/qemu-io.log"
  if grep -qi 'error\|failed' "$W/qemu-io.log"; then cat "$W/qemu-io.log" >&2; return 1; fi
}

# keep_writing: a guest that never rests, until stop_writing.
keep_writing() {
  (
    trap 'exit 0' TERM
    seed=1000
    while :; do
      random_writes 0 "$seed" 20
      random_writes 1 "$((seed + 1))" 20
      seed=$((seed + 2))
    done
  ) > /dev/null 2>&1 3>&- &
  WRITER=$!
}
stop_writing() {
  kill "$WRITER"
  wait "$WRITER" || true
  WRITER=
}

# dirty NUMBER: the bytes that our recording bitmaps of a disk report now, by QEMU's own count.
dirty() {
  qmp query-named-block-nodes | python3 -c 'import json, sys
nodes = {node["node-name"]: node for node in json.load(sys.stdin)}
bitmaps = [b for b in nodes["disk" + sys.argv[1]].get("dirty-bitmaps", []) if b["name"].startswith("hamal-") and b["recording"]]
assert len(bitmaps) == 1, bitmaps
print(bitmaps[0]["count"])' "$1"
}
# our_bitmap NUMBER: the name of the one that records.
our_bitmap() {
  qmp query-named-block-nodes | python3 -c 'import json, sys
nodes = {node["node-name"]: node for node in json.load(sys.stdin)}
print(*(b["name"] for b in nodes["disk" + sys.argv[1]].get("dirty-bitmaps", []) if b["name"].startswith("hamal-")))' "$1"
}

snapshot() { hamal-snapshot create lab:web > "$W/doc"; }
finish() { hamal-snapshot finish "$W/doc" "--${1:-committed}"; }
frozen() { field "$W/doc" "d['disks'][$1]['source']"; }
# equals_frozen: each replica is its frozen disk, by QEMU's own reading of both.
equals_frozen() {
  local number
  for number in 0 1; do
    qemu-img compare -q -f raw -F raw "$(frozen "$number")" "$W/top$number.raw"
  done
}
equals_live() {
  local number
  for number in 0 1; do
    qemu-img compare -q -f raw -F raw "nbd+unix:///live$number?socket=$QSD/nbd.sock" "$W/top$number.raw"
  done
}
counts() { field "$W/out" "d['disks'][$1]['read_bytes'], d['disks'][$1]['asked']['data_bytes'] + d['disks'][$1]['asked']['zero_bytes']"; }

# run_once: a snapshot, the pipe, the comparison with the frozen disks, the end of the snapshot.
run_once() {
  snapshot
  pipe "$W/doc" "$TARGET"
  [ "$status" = 0 ] || { show "expected 0"; return 1; }
  equals_frozen
  finish
}

# two_synced_disks: with random data, both replicated by a full.
two_synced_disks() {
  start_qsd 2
  random_image "$W/noise" 6M
  guest 0 "write -s $W/noise 1M 6M"
  guest 1 "write -s $W/noise 20M 3M" "write -z 24M 1M"
  random_writes 0 1 40
  random_writes 1 2 40
  run_once
  did full "no checkpoint" 0
  did full "no checkpoint" 1
}

@test "a full and three incrementals while the guest goes on writing" {
  start_qsd 2
  random_image "$W/noise" 6M
  guest 0 "write -s $W/noise 1M 6M"
  guest 1 "write -s $W/noise 20M 3M" "write -z 24M 1M"
  keep_writing
  run_once
  did full "no checkpoint" 0
  did full "no checkpoint" 1
  for generation in 2 3 4; do
    snapshot
    pipe "$W/doc" "$TARGET"
    did incremental "generation $((generation - 1))" 0
    did incremental "generation $((generation - 1))" 1
    equals_frozen
    # It did go on: the live disk is already another one.
    until_true 60 differs_from_live
    finish
    [ "$(generation "file:$W/top0.raw")" = "$generation" ]
  done
  stop_writing
  # At rest, the last one is the disk itself.
  run_once
  equals_live
  [ -z "$(ours_in_qemu)" ]
  [ -z "$(ls "$QSD/scratch")" ]
}

differs_from_live() {
  ! qemu-img compare -q -f raw -F raw "nbd+unix:///live0?socket=$QSD/nbd.sock" "$W/top0.raw"
}

@test "an incremental reads what the bitmap calls dirty, and nothing else" {
  two_synced_disks
  for seed in 10 20; do
    random_writes 0 "$seed" 150
    guest 1 "write -P 7 $((seed * 64))k 4k"
    dirty0=$(dirty 0)
    dirty1=$(dirty 1)
    [ "$dirty0" -gt 400000 ]
    run_once
    did incremental "" 0
    # Nobody wrote meanwhile: what was asked for is exactly what was dirty; discards and zeros need no reading.
    [ "$(counts 1)" = "($dirty1, $dirty1)" ]
    has "$(counts 0)" ", $dirty0)"
    [ "$(field "$W/out" "d['disks'][0]['read_bytes'] <= $dirty0")" = True ]
    [ "$(field "$W/out" "d['disks'][0]['read_bytes'] == d['disks'][0]['asked']['data_bytes']")" = True ]
  done
  equals_live
}

@test "a discarded and a zeroed range are zeros in the replica, and are not read" {
  two_synced_disks
  guest 0 "discard 2M 1M" "write -z 4M 512k" "write -z -u 5M 512k" "write -P 9 6M 4k"
  run_once
  did incremental "" 0
  [ "$(field "$W/out" 'd["disks"][0]["read_bytes"], d["disks"][0]["asked"]["zero_bytes"]')" = "(4096, 2097152)" ]
  cmp -n 1048576 -i 2097152:0 "$W/top0.raw" /dev/zero
  cmp -n 524288 -i 4194304:0 "$W/top0.raw" /dev/zero
  cmp -n 524288 -i 5242880:0 "$W/top0.raw" /dev/zero
}

@test "a disk that has grown: refused without --resize, a full of that disk with it" {
  two_synced_disks
  qmp 'block-export-del={"id":"live0","mode":"hard"}'
  until_true 60 gone live0
  qmp 'block_resize={"node-name":"top0","size":50331648}'
  qmp 'block-export-add={"type":"nbd","id":"live0","node-name":"top0","name":"live0","writable":true}'
  guest 0 "write -P 5 47M 64k"
  guest 1 "write -P 6 1M 64k"
  before=$(sha256sum < "$W/top0.raw")
  snapshot
  pipe "$W/doc" "$TARGET"
  [ "$status" = 3 ]
  has "$err" "has 33554432 bytes * the disk has 50331648"
  has "$err" "--resize"
  [ "$(sha256sum < "$W/top0.raw")" = "$before" ]
  [ "$(generation "file:$W/top0.raw")" = 1 ]
  [ "$(generation "file:$W/top1.raw")" = 2 ]
  finish failed
  snapshot
  pipe "$W/doc" "$TARGET" --resize
  did full "size changed from 33554432 to 50331648" 0
  did incremental "" 1
  [ "$(stat -c %s "$W/top0.raw")" = 50331648 ]
  equals_frozen
  finish
  guest 0 "write -P 8 40M 4k"
  run_once
  did incremental "" 0
  [ "$(counts 0)" = "(4096, 4096)" ]
}

gone() { ! qmp query-block-exports | grep -q "\"$1\""; }

@test "a bitmap that somebody removed: a full of that disk only, with the reason" {
  two_synced_disks
  bitmap=$(our_bitmap 0)
  qmp "block-dirty-bitmap-remove={\"node\":\"disk0\",\"name\":\"$bitmap\"}"
  random_writes 0 5 50
  random_writes 1 6 50
  run_once
  did full "$bitmap is missing" 0
  did incremental "generation 1" 1
  random_writes 0 7 50
  run_once
  did incremental "generation 2" 0
  equals_live
}

@test "a daemon that was killed: its bitmaps are inconsistent, and the next run a full with the reason" {
  two_synced_disks
  # Saved once to the image and opened again, so that the kill leaves them behind marked as in use.
  "$HAMAL_SOURCE/tests/lab/qsd.sh" stop "$QSD"
  QSD_SIZE=32M "$HAMAL_SOURCE/tests/lab/qsd.sh" start "$QSD" "$W/disk0.qcow2" "$W/disk1.qcow2" > "$W/qsd.txt"
  random_writes 0 5 50
  run_once
  did incremental "generation 1" 0
  "$HAMAL_SOURCE/tests/lab/qsd.sh" stop "$QSD"
  QSD_SIZE=32M "$HAMAL_SOURCE/tests/lab/qsd.sh" start "$QSD" "$W/disk0.qcow2" "$W/disk1.qcow2" > "$W/qsd.txt"
  random_writes 0 6 50
  "$HAMAL_SOURCE/tests/lab/qsd.sh" kill "$QSD"
  QSD_SIZE=32M "$HAMAL_SOURCE/tests/lab/qsd.sh" start "$QSD" "$W/disk0.qcow2" "$W/disk1.qcow2" > "$W/qsd.txt"
  random_writes 0 7 50
  run_once
  did full "is inconsistent: QEMU was killed" 0
  did full "is inconsistent: QEMU was killed" 1
  random_writes 1 8 50
  run_once
  did incremental "generation 3" 0
  did incremental "generation 3" 1
  equals_live
}

@test "a daemon that was killed while it held a snapshot" {
  two_synced_disks
  random_writes 0 5 50
  snapshot
  hamal-cbt-read "$W/doc" --target "$TARGET" > "$W/stream"
  before=$(sha256sum "$W"/top?.raw)
  "$HAMAL_SOURCE/tests/lab/qsd.sh" kill "$QSD"
  capture hamal-sync "$W/stream" --target "$TARGET"
  [ "$status" = 75 ] || { show "expected 75"; return 1; }
  has "$err" "web/top1: *whether the NBD server runs"
  [ "$(sha256sum "$W"/top?.raw)" = "$before" ]
  QSD_SIZE=32M "$HAMAL_SOURCE/tests/lab/qsd.sh" start "$QSD" "$W/disk0.qcow2" "$W/disk1.qcow2" > "$W/qsd.txt"
  capture hamal-sync "$W/stream" --target "$TARGET"
  [ "$status" = 1 ] || { show "expected 1"; return 1; }
  has "$err" "web/top1: *has this export"
  [ "$(sha256sum "$W"/top?.raw)" = "$before" ]
  finish failed
  random_writes 0 6 50
  run_once
  did full "" 0
  did full "" 1
  equals_live
}

@test "a scratch that runs full breaks the snapshot and never a guest's write; the next run is incremental" {
  [ "$(id -u)" = 0 ] || skip "only root can make a small file system"
  mkdir "$W/small"
  mount -t tmpfs -o size=1M none "$W/small" 2> /dev/null || skip "tmpfs cannot be mounted here"
  MOUNTED=$W/small
  two_synced_disks
  sed -i "s|^scratch_dir = .*|scratch_dir = $W/small|; s|^scratch_min_free = .*|scratch_min_free = 64k|" "$HAMAL_CONFIG"
  before=$(sha256sum "$W/top0.raw")
  random_writes 0 5 50
  random_writes 1 6 50
  snapshot
  hamal-cbt-read "$W/doc" --target "$TARGET" > "$W/stream"
  # More than the scratch can hold, onto ranges that had data: every write succeeds and is there.
  random_image "$W/noise" 5M
  guest 0 "write -s $W/noise 1M 5M"
  qemu-img dd -f raw -O raw bs=1M skip=1 count=6 "if=nbd+unix:///live0?socket=$QSD/nbd.sock" "of=$W/live.raw"
  cmp -n 5242880 "$W/live.raw" "$W/noise"
  capture hamal-sync "$W/stream" --target "$TARGET" --json
  [ "$status" = 3 ] || { show "expected 3: the other disk's snapshot is whole"; return 1; }
  [ "$(field "$W/out" '[x["status"] for x in d["disks"]]')" = "[75, 0]" ]
  has "$err" "is broken"
  has "$err" "scratch"
  [ "$(generation "file:$W/top0.raw")" = 1 ]
  [ "$(sha256sum "$W/top0.raw")" = "$before" ]
  finish failed
  [ -z "$(ls "$W/small")" ]
  sed -i "s|^scratch_dir = .*|scratch_dir = $QSD/scratch|" "$HAMAL_CONFIG"
  random_writes 0 7 50
  run_once
  did incremental "generation 1" 0
  did incremental "generation 2" 1
  equals_live
}

@test "a scratch that is full before the changes are read fails the producer, and so the pipe" {
  [ "$(id -u)" = 0 ] || skip "only root can make a small file system"
  mkdir "$W/small"
  mount -t tmpfs -o size=1M none "$W/small" 2> /dev/null || skip "tmpfs cannot be mounted here"
  MOUNTED=$W/small
  two_synced_disks
  sed -i "s|^scratch_dir = .*|scratch_dir = $W/small|; s|^scratch_min_free = .*|scratch_min_free = 64k|" "$HAMAL_CONFIG"
  random_writes 0 5 50
  snapshot
  random_image "$W/noise" 5M
  guest 0 "write -s $W/noise 1M 5M"
  pipe "$W/doc" "$TARGET"
  [ "$status" = 75 ] || { show "expected 75"; return 1; }
  [ "$(generation "file:$W/top0.raw")" = 1 ]
  finish failed
  sed -i "s|^scratch_dir = .*|scratch_dir = $QSD/scratch|" "$HAMAL_CONFIG"
  run_once
  did incremental "generation 1" 0
  equals_live
}
