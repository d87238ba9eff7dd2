#!/usr/bin/env bats
# Targets that are not what their checkpoint says: written by a foreign hand, swapped, booted, given away.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers

setup() { make_world "[qemu]" "disk_flag_size = 32"; }
teardown() {
  if [ -n "${MOUNTED:-}" ]; then umount "$MOUNTED" || true; fi
  for place in ${LOOPS:-}; do losetup -d "$place" || true; done
  end_world
}

digest() { sha256sum < "${1:-$W/top0.raw}"; }
equals_live() { qemu-img compare -q -f raw -F raw "nbd+unix:///live${2:-0}?socket=$QSD/nbd.sock" "${1:-$W/top0.raw}"; }
flag() { field "$W/out" "d['disks'][0]['disk_flag']['$1']"; }
marks() {
  python3 -c 'import sqlite3, sys
print(sqlite3.connect(sys.argv[1]).execute("select count(*) from in_progress").fetchone()[0])' "$W/lib/hamal.db"
}
# sync_disk NUMBER [OPTION…]: one disk by itself, snapshot and all.
sync_disk() {
  local number=$1
  shift
  sync_to "file:$W/top$number.raw" "$number" "$@"
}
# sync_to TARGET NUMBER [OPTION…]
sync_to() {
  local target=$1 number=$2
  shift 2
  capture hamal-sync --source "lab:web/top$number" --target "$target" --json "$@"
}
# synced_disk: with some data, and one incremental after the full.
synced_disk() {
  start_qsd "${1:-1}"
  random_image "$W/noise" 4M
  guest 0 "write -s $W/noise 0 4M"
  sync_disk 0
  did full "no checkpoint"
  [ "$(flag verdict)" = none ]
  [ "$(flag taken)" -ge 16 ]
  guest 0 "write -P 7 20M 64k"
  sync_disk 0
  did incremental "generation 1"
  [ "$(flag verdict)" = matched ]
  [ "$(flag compared)" -ge 16 ]
}
# refused: as exit 6 that names the cure, without a byte, a mark or a commit. $1 is the digest before.
refused() {
  [ "$status" = 6 ] || { show "expected 6"; return 1; }
  has "$err" "--incremental=never --force"
  [ "$(digest)" = "$1" ]
  [ "$(marks)" = 0 ]
  [ "$(flag verdict)" = differs ]
}

@test "a replica written by somebody else: 6 and the cure, which works" {
  synced_disk
  # As a boot does: the superblock in the first partition, and some data.
  qemu-io -f raw -c "write -P 3 1M 4k" -c "write -P 4 9M 64k" "$W/top0.raw" > /dev/null
  before=$(digest)
  guest 0 "write -P 8 21M 64k"
  sync_disk 0
  refused "$before"
  has "$err" "differs at offset 1048576"
  sync_disk 0 --dry-run
  refused "$before"
  sync_disk 0 --incremental=never
  refused "$before"
  # Without --incremental=never it is a delta still, and nothing makes that right.
  sync_disk 0 --force
  refused "$before"
  sync_disk 0 --incremental=never --force
  did full "--incremental=never"
  has "$(field "$W/out" "d['disks'][0]['overridden'][0]")" "differs at offset 1048576"
  has "$(cat "$W"/log/*.log)" "WARNING*--force overrides: the target is not what was committed"
  equals_live
  guest 0 "write -P 9 22M 64k"
  sync_disk 0
  did incremental ""
  equals_live
}

@test "in the pipe too, and --full with --force is the cure" {
  synced_disk
  qemu-io -f raw -c "write -P 3 0 4k" "$W/top0.raw" > /dev/null
  before=$(digest)
  hamal-snapshot create lab:web > "$W/doc"
  pipe "$W/doc" "file:$W/{disk}.raw"
  refused "$before"
  hamal-cbt-read "$W/doc" --full > "$W/stream"
  capture hamal-sync "$W/stream" --target "file:$W/{disk}.raw" --json
  refused "$before"
  hamal-cbt-read "$W/doc" --target "file:$W/{disk}.raw" --data > "$W/data"
  capture hamal-sync "$W/data" --target "file:$W/{disk}.raw" --json
  refused "$before"
  capture hamal-sync "$W/stream" --target "file:$W/{disk}.raw" --json --force
  did full ""
  hamal-snapshot finish "$W/doc" --committed
  equals_live
}

@test "two replicas of one size, swapped by name" {
  synced_disk 2
  guest 1 "write -P 5 20M 64k"
  sync_disk 1
  did full ""
  mv "$W/top0.raw" "$W/x" && mv "$W/top1.raw" "$W/top0.raw" && mv "$W/x" "$W/top1.raw"
  for number in 0 1; do
    before=$(digest "$W/top$number.raw")
    guest "$number" "write -P 6 24M 4k"
    sync_disk "$number"
    [ "$status" = 6 ]
    [ "$(digest "$W/top$number.raw")" = "$before" ]
  done
  mv "$W/top0.raw" "$W/x" && mv "$W/top1.raw" "$W/top0.raw" && mv "$W/x" "$W/top1.raw"
  for number in 0 1; do
    sync_disk "$number"
    did incremental ""
    equals_live "$W/top$number.raw" "$number"
  done
}

@test "a replica that was put back from an older copy of itself" {
  synced_disk
  cp --sparse=always "$W/top0.raw" "$W/old.raw"
  guest 0 "write -P 8 28M 64k"
  sync_disk 0
  did incremental ""
  cp --sparse=always "$W/old.raw" "$W/top0.raw"
  before=$(digest)
  guest 0 "write -P 9 20M 4k"
  sync_disk 0
  refused "$before"
}

@test "an automatic full does not overwrite what somebody did there either" {
  synced_disk
  qemu-io -f raw -c "write -P 3 0 4k" "$W/top0.raw" > /dev/null
  before=$(digest)
  for bitmap in $(qmp query-named-block-nodes | grep -o '"name": *"hamal-[^"]*"' | cut -d'"' -f4 | sort -u); do
    qmp "block-dirty-bitmap-remove={\"node\":\"disk0\",\"name\":\"$bitmap\"}"
  done
  sync_disk 0
  refused "$before"
  [ "$(field "$W/out" "d['disks'][0]['mode']")" = full ]
  sync_disk 0 --force
  did full "is missing"
  equals_live
}

@test "skip_disk_flag, and a disk that is too small for samples" {
  synced_disk
  sed -i 's/^disk_flag_size = .*/skip_disk_flag = True/' "$HAMAL_CONFIG"
  qemu-io -f raw -c "write -P 3 0 4k" "$W/top0.raw" > /dev/null
  guest 0 "write -P 8 21M 64k"
  sync_disk 0
  did incremental ""
  [ "$(flag verdict) $(flag reason)" = "skipped skip_disk_flag" ]
  # The default is 48 MB and this disk has 32.
  sed -i '/^skip_disk_flag/d' "$HAMAL_CONFIG"
  sync_disk 0
  did incremental ""
  [ "$(flag reason) $(flag taken)" = "the disk is smaller than disk_flag_size 0" ]
  sync_disk 0 --incremental=never
  did full ""
  equals_live
}

@test "release: before a replica is booted; the next run is a full and no --force is needed" {
  synced_disk
  before=$(digest)
  succeeds hamal-sync release --target "file:$W/top0.raw" --dry-run
  has "$out" "would release file:$W/top0.raw: web/top0 of generation 2"
  succeeds hamal-sync checkpoint show --target "file:$W/top0.raw" --json
  [[ $out != *released* ]]
  succeeds hamal-sync release --target "file:$W/top0.raw"
  has "$out" "released file:$W/top0.raw: web/top0 of generation 2"
  has "$out" "the next run onto it is a full copy"
  [ "$(digest)" = "$before" ]
  succeeds hamal-sync checkpoint list
  has "$out" "top0.raw (released 20"
  succeeds hamal-sync checkpoint show --target "file:$W/top0.raw"
  has "$out" "released    20"
  # Once more changes nothing.
  succeeds hamal-sync checkpoint show --vm web --json
  first=$out
  succeeds hamal-sync release --vm web --json
  [ "$out" = "$first" ]
  has "$out" '"released":"20'
  cp "$W/out" "$W/base.json"

  qemu-io -f raw -c "write -P 3 0 64k" -c "write -P 4 9M 64k" "$W/top0.raw" > /dev/null
  guest 0 "write -P 8 21M 64k"
  before=$(digest)
  sync_disk 0 --incremental=require
  [ "$status" = 5 ] || { show "expected 5"; return 1; }
  has "$err" "the target was released on 20"
  [ "$(digest)" = "$before" ]
  # On another host the checkpoint's text says it.
  hamal-snapshot create lab:web > "$W/doc"
  hamal-cbt-read "$W/doc" --checkpoint "$W/base.json" > "$W/stream"
  hamal-snapshot finish "$W/doc" --failed
  has "$(head -1 "$W/stream")" '"reason":"the target was released on 20'
  sync_disk 0
  did full "the target was released on 20"
  [ "$(field "$W/out" "d['disks'][0]['overridden']")" = "[]" ]
  equals_live
  succeeds hamal-sync checkpoint show --vm web --json
  [[ $out != *released* ]]
  sync_disk 0
  did incremental ""
}

@test "release: what it refuses" {
  fails 2 "release needs --target or --vm" hamal-sync release
  fails 1 "no checkpoint" hamal-sync release --vm web
  fails 1 "no checkpoint" hamal-sync release --target "file:$W/x.raw"
  synced_disk
  python3 -c 'import fcntl, os, sys, time
for name in os.listdir(sys.argv[1]):
    fd = os.open(os.path.join(sys.argv[1], name), os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
open(sys.argv[2], "w").close()
time.sleep(600)' "$W/lib/locks" "$W/locked" 3>&- &
  stop_later "$!"
  until_true 60 test -e "$W/locked"
  fails 4 "" hamal-sync release --target "file:$W/top0.raw"
}

@test "--force says what it overrides: a signature, and another disk" {
  [ "$(id -u)" = 0 ] || skip "loop devices need root"
  need losetup mkfs.ext4
  start_qsd 2
  guest 0 "write -P 7 0 1M"
  truncate -s 40M "$W/device.img"
  mkfs.ext4 -q "$W/device.img"
  random_image "$W/noise" 8M
  dd if="$W/noise" of="$W/device.img" bs=1M seek=32 conv=notrunc status=none
  tail -c 8M "$W/device.img" | sha256sum > "$W/tail"
  LOOP=$(losetup -f --show "$W/device.img" 2> /dev/null) || skip "no loop device can be had here"
  LOOPS=$LOOP
  sync_to "$LOOP" 0
  [ "$status" = 6 ] || { show "expected 6"; return 1; }
  has "$err" "the device holds an ext2, ext3 or ext4 file system"
  sync_to "$LOOP" 0 --force
  did full ""
  has "$(field "$W/out" "d['disks'][0]['overridden']")" "the device holds an ext2"
  # Of a larger device the tail is left alone.
  tail -c 8M "$W/device.img" | sha256sum | cmp - "$W/tail"
  # It has a checkpoint now: the guest's own partition table is no obstacle, and the flag decides.
  python3 -c 'import sys
open(sys.argv[1], "wb").write(bytes(446) + b"\x80\0\0\0\x83" + bytes(59) + b"\x55\xaa")' "$W/sector"
  guest 0 "write -s $W/sector 0 512"
  sync_to "$LOOP" 0
  did incremental ""
  guest 0 "write -P 8 2M 4k"
  sync_to "$LOOP" 0
  did incremental ""
  [ "$(field "$W/out" "d['disks'][0]['overridden']")" = "[]" ]
  qemu-io -f raw -c "write -P 3 1M 4k" "$LOOP" > /dev/null
  sync_to "$LOOP" 0
  [ "$status" = 6 ] || { show "expected 6"; return 1; }
  has "$err" "differs at offset 1048576"
  # Another disk's target.
  sync_to "$LOOP" 1
  [ "$status" = 6 ] || { show "expected 6"; return 1; }
  has "$err" "the target holds the disk lab:web/top0 of generation 3"
  sync_to "$LOOP" 1 --force
  did full ""
  has "$(field "$W/out" "d['disks'][0]['overridden']")" "the target holds the disk lab:web/top0*the device holds an MBR partition table"
}

@test "--force never overrides a device in use, a mounted one or a smaller one" {
  [ "$(id -u)" = 0 ] || skip "loop devices need root"
  need losetup mkfs.ext4
  start_qsd 1
  truncate -s 40M "$W/device.img"
  mkfs.ext4 -q "$W/device.img"
  LOOP=$(losetup -f --show "$W/device.img" 2> /dev/null) || skip "no loop device can be had here"
  LOOPS=$LOOP
  mkdir "$W/mount"
  if mount "$LOOP" "$W/mount" 2> /dev/null; then
    MOUNTED=$W/mount
    sync_to "$LOOP" 0 --force
    [ "$status" = 6 ] || { show "expected 6"; return 1; }
    has "$err" "mounted or held by someone"
    umount "$MOUNTED"
    MOUNTED=
  fi
  python3 -c 'import os, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_EXCL)
open(sys.argv[2], "w").close()
time.sleep(600)' "$LOOP" "$W/held" 3>&- &
  holder=$!
  stop_later "$holder"
  until_true 60 test -e "$W/held"
  before=$(digest "$W/device.img")
  sync_to "$LOOP" 0 --force
  [ "$status" = 6 ] || { show "expected 6"; return 1; }
  has "$err" "mounted or held by someone"
  [ "$(digest "$W/device.img")" = "$before" ]
  kill "$holder"
  losetup -d "$LOOP"
  truncate -s 31M "$W/device.img"
  LOOP=$(losetup -f --show "$W/device.img")
  LOOPS=$LOOP
  sync_to "$LOOP" 0 --force
  [ "$status" = 6 ] || { show "expected 6"; return 1; }
  has "$err" "less than the disk"
}

@test "NBD targets that serve one connection: copied, checked and refused over it" {
  start_qsd 1
  need qemu-nbd
  truncate -s 32M "$W/kit.raw" "$W/qemu.raw"
  nbdkit_at "$W/kit.sock" --filter=multi-conn --filter=limit file "$W/kit.raw" multi-conn-mode=disable limit=1
  qemu-nbd -f raw -k "$W/qemu.sock" --persistent --shared=1 "$W/qemu.raw" > "$W/q.log" 2>&1 3>&- &
  stop_later $!
  until_true 60 listens "$W/qemu.sock"
  random_image "$W/noise" 4M
  guest 0 "write -s $W/noise 0 4M"
  for name in kit qemu; do
    target="nbd+unix:///?socket=$W/$name.sock"
    sync_to "$target" 0
    did full "no checkpoint"
    # With the bytes in the stream the writer's connection is busy until the end.
    guest 0 "write -P 5 5M 64k"
    hamal-snapshot create lab:web > "$W/doc"
    hamal-cbt-read "$W/doc" --target "$target" --data > "$W/data"
    capture hamal-sync "$W/data" --target "$target" --json
    did incremental ""
    [ "$(flag verdict)" = matched ]
    hamal-snapshot finish "$W/doc" --committed
    equals_live "$W/$name.raw"
    python3 -c 'import os, sys
os.pwrite(os.open(sys.argv[1], os.O_WRONLY), b"x" * 4096, 1 << 20)' "$W/$name.raw"
    before=$(digest "$W/$name.raw")
    for options in "" --dry-run --incremental=never; do
      # shellcheck disable=SC2086 # none is no argument
      sync_to "$target" 0 $options
      [ "$status" = 6 ] || { show "expected 6"; return 1; }
      has "$err" "differs at offset 1048576"
      [ "$(digest "$W/$name.raw")" = "$before" ]
    done
    sync_to "$target" 0 --incremental=never --force
    did full ""
    equals_live "$W/$name.raw"
  done
}
