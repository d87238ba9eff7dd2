#!/usr/bin/env bats
# Wrong input of hamal-sync: each case its exit status and its message, and nothing half-written.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers

setup() {
  make_world
  make_image "$W/x.raw"
  T=file:$W/t.raw
}
teardown() {
  local place
  for place in ${MOUNTED:-}; do umount "$place" || true; done
  for place in ${LOOPS:-}; do losetup -d "$place" || true; done
  end_world
}

# refused STATUS MESSAGE COMMAND…: fails so, and leaves no target, no checkpoint, no spooled plan and no mark.
refused() {
  fails "$@"
  [ ! -e "$W/t.raw" ]
  nothing_recorded
}

nothing_recorded() {
  [ -z "$(find "$W/lib" -name '*.plan*')" ]
  [ ! -e "$W/lib/hamal.db" ] || python3 - "$W/lib/hamal.db" << 'PYTHON'
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
for table in ("checkpoints", "in_progress", "snapshots"):
    rows = list(database.execute("select * from " + table))
    assert not rows, (table, rows)
PYTHON
}

# stream STATEMENTS: the good extent stream of x.raw, changed by Python: h is its header, e its extents,
# t its trailer, tail what follows. The counts of the trailer follow the extents unless it is changed.
stream() {
  hamal-cbt-read "file:$W/x.raw" --full > "$W/good"
  python3 -c 'import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
h, e, t, tail = lines[0], lines[1:-1], lines[-1], ""
before = json.dumps(t)
exec(sys.argv[2])
if t is not None and json.dumps(t) == before and e:
    for kind in ("data", "zero"):
        t["trailer"]["0"][kind + "_bytes"] = sum(int(x["length"]) for x in e if x.get("kind") == kind)
    t["trailer"]["0"]["extents"] = len(e)
for line in [h] + e + ([t] if t is not None else []):
    print(json.dumps(line))
print(end=tail)' "$W/good" "${1:-pass}" > "$W/stream"
}

# refused_stream STATUS MESSAGE STATEMENTS
refused_stream() {
  stream "$3"
  refused "$1" "$2" hamal-sync "$W/stream" --target "$T"
}

as_root() { [ "$(id -u)" = 0 ] || skip "only root can make $1"; }

# loop_device SIZE: a device of that size in $LOOP.
loop_device() {
  as_root "loop devices"
  truncate -s "$1" "$W/loop.img"
  LOOP=$(losetup -f --show "$W/loop.img" 2> /dev/null) || skip "no loop device can be had here"
  LOOPS="${LOOPS:-} $LOOP"
}

@test "the stream that the others spoil is good" {
  stream
  succeeds hamal-sync "$W/stream" --target "$T"
  cmp "$W/x.raw" "$W/t.raw"
}

# The command line.

@test "nothing to read" {
  refused 2 "nothing to read" hamal-sync --target "$T"
}

@test "nowhere to write" {
  refused 2 "--target is missing" hamal-sync -
}

@test "a stream and a source" {
  refused 2 "a stream and --source were given" hamal-sync - --source "file:$W/x.raw" --target "$T"
}

@test "two streams" {
  refused 2 "second" hamal-sync - second --target "$T"
}

@test "a word that --incremental does not know" {
  refused 2 "sometimes" hamal-sync - --target "$T" --incremental=sometimes
}

@test "no readers, and too many" {
  refused 2 "readers" hamal-sync - --target "$T" --readers 0
  refused 2 "readers" hamal-sync - --target "$T" --readers 1000
}

@test "a negative time to wait" {
  refused 2 "wait" hamal-sync - --target "$T" --wait=-1
}

@test "comparing a stream" {
  refused 2 "--compare needs --source and --target" hamal-sync --compare - --target "$T"
}

@test "choosing disks of a stream" {
  stream
  refused 2 "hamal-cbt-read --disk" hamal-sync "$W/stream" --target "$T" --disk 0
}

@test "a source disk that there is not" {
  refused 2 "7" hamal-sync --source "file:$W/x.raw" --target "$T" --disk 7
}

@test "forgetting every checkpoint by accident" {
  fails 2 "checkpoint forget needs --target or --vm" hamal-sync checkpoint forget
}

@test "a checkpoint that there is not" {
  fails 1 "no checkpoint" hamal-sync checkpoint show --target "$T"
  fails 1 "no checkpoint" hamal-sync checkpoint forget --vm web01
}

@test "a checkpoint command that there is not" {
  fails 2 "hamal-sync checkpoint --help" hamal-sync checkpoint remove
}

# The configuration.

@test "a configuration that is not there" {
  refused 2 "$W/none.conf" hamal-sync --config "$W/none.conf" --source "file:$W/x.raw" --target "$T"
}

@test "a configuration that is a directory" {
  refused 2 "$W/lib" hamal-sync --config "$W/lib" --source "file:$W/x.raw" --target "$T"
}

@test "a configuration with a wrong number, by file, line and key" {
  printf '[data_sync_v2]\npre_disk_readers_count = many\n' >> "$HAMAL_CONFIG"
  line=$(wc -l < "$HAMAL_CONFIG")
  refused 2 "$HAMAL_CONFIG:$line*pre_disk_readers_count" hamal-sync --source "file:$W/x.raw" --target "$T"
}

@test "a state database that is no database" {
  head -c 8192 /dev/urandom > "$W/lib/hamal.db"
  fails 1 "hamal.db" hamal-sync --source "file:$W/x.raw" --target "$T"
  [ ! -e "$W/t.raw" ]
}

# Endpoints.

@test "a target that is a bare path" {
  refused 2 "file:$W/t.raw" hamal-sync --source "file:$W/x.raw" --target "$W/t.raw"
}

@test "a target on another host" {
  refused 2 "another host" hamal-sync --source "file:$W/x.raw" --target "file://host/t.raw"
}

@test "a target pattern with an unknown word, and with half a word" {
  refused 2 "unknown {host}" hamal-sync --source "file:$W/x.raw" --target "file:$W/{host}.raw"
  refused 2 '"{" without "}"' hamal-sync --source "file:$W/x.raw" --target "file:$W/{vm.raw"
}

@test "a NUL byte, a line feed and a broken escape in a target" {
  refused 2 "percent escape" hamal-sync --source "file:$W/x.raw" --target "file:$W/a%00b"
  refused 2 "control characters" hamal-sync --source "file:$W/x.raw" --target "file:$W/a"$'\n'"b"
  refused 2 "percent escape" hamal-sync --source "file:$W/x.raw" --target "file:$W/a%ZZ"
}

@test "an image in a cluster that is not configured" {
  refused 2 "there is no section \[ceph NAME\]" hamal-sync --source "file:$W/x.raw" --target rbd:pool/image
  refused 2 "there is no section \[ceph east\]" hamal-sync --source "file:$W/x.raw" --target rbd://east/pool/image
}

@test "a platform's disk as the target" {
  refused 2 "a platform's disk cannot be a target" hamal-sync --source "file:$W/x.raw" --target lab:web/vda
}

@test "a source on a platform that is not configured" {
  refused 2 "no section [[]platform lab]" hamal-sync --source lab:web/vda --target "$T"
}

@test "a source that is not there" {
  refused 1 "$W/none.raw" hamal-sync --source "file:$W/none.raw" --target "$T"
}

@test "a source that is a directory" {
  mkdir "$W/folder"
  refused 2 "is a directory, not a disk image" hamal-sync --source "file:$W/folder" --target "$T"
}

@test "a source where no server listens" {
  refused 1 "see whether the NBD server runs" hamal-sync --source "nbd+unix:///?socket=$W/none.sock" --target "$T"
}

@test "a snapshot that is not held" {
  printf '[platform lab]\ntype = qemu\nqmp = %s\nnbd_socket = %s\n' "$W/q" "$W/n" >> "$HAMAL_CONFIG"
  refused 2 "no such snapshot was recorded here" hamal-sync --source lab:web/vda@hamal-1 --target "$T"
}

@test "a map without a disk, and one of a disk that there is not" {
  stream
  refused 2 "--map names no disk" hamal-sync "$W/stream" --map "$T"
  refused 2 "--map names no disk" hamal-sync "$W/stream" --map "vdz=$T" --target "$T"
}

# Streams.

@test "a stream that is not there" {
  refused 1 "$W/none: cannot open: No such file or directory" hamal-sync "$W/none" --target "$T"
}

@test "a stream that is a directory" {
  refused 1 "Is a directory" hamal-sync "$W/lib" --target "$T"
}

@test "an empty pipe says whose failure it is" {
  refused 1 "the producer wrote nothing" hamal-sync - --target "$T" < /dev/null
}

@test "a snapshot document in place of a stream" {
  document > "$W/doc"
  refused 2 "snapshot document" hamal-sync "$W/doc" --target "$T"
}

@test "text, and random bytes" {
  echo "hello: world" > "$W/text"
  refused 2 "does not start with a header" hamal-sync "$W/text" --target "$T"
  head -c 100000 /dev/urandom > "$W/noise"
  refused 2 "$W/noise" hamal-sync "$W/noise" --target "$T"
}

@test "zeros without end" {
  refused 2 "standard input: is not an extent stream" bash -c "hamal-sync - --target $T < /dev/zero"
}

@test "a stream of a newer version" {
  refused_stream 2 "newer" 'h["version"] = 2'
}

@test "a platform that is not configured here" {
  refused_stream 2 "no section [[]platform far]" 'h["platform"] = "far"'
}

@test "no disks, and one disk twice" {
  refused_stream 2 "disks" 'h["disks"] = []'
  refused_stream 2 "twice" 'h["disks"].append(dict(h["disks"][0]))'
}

@test "a header without its vm" {
  refused_stream 2 "vm_id" 'del h["vm_id"]'
}

@test "a NUL byte in a name" {
  refused_stream 2 "NUL" 'h["vm_name"] = "web\u0000.raw"'
  refused_stream 2 "NUL" 'h["disks"][0]["id"] = "\u0000"'
}

@test "a vm name that is a path stays inside the target's folder" {
  stream 'h["vm_name"] = "../../etc/x"'
  mkdir "$W/in"
  find "$W" -type f -name '*.raw' | sort > "$W/before"
  succeeds hamal-sync "$W/stream" --target "file:$W/in/{vm}.raw"
  [ -n "$(find "$W/in" -type f -name '*.raw')" ]
  [ "$(find "$W" -type f -name '*.raw' | sort | comm -13 "$W/before" -)" = "$(find "$W/in" -type f -name '*.raw')" ]
}

@test "a disk of 2^63 bytes, of 2^64, and of less than nothing" {
  refused_stream 2 "size" 'h["disks"][0]["size"] = 2**63'
  refused_stream 2 "size" 'h["disks"][0]["size"] = 2**64'
  refused_stream 2 "size" 'h["disks"][0]["size"] = -1'
}

@test "an unknown mode, and an incremental without its base" {
  refused_stream 2 "mode" 'h["disks"][0]["mode"] = "partial"'
  refused_stream 2 "base_change_id" 'h["disks"][0]["mode"] = "incremental"'
}

@test "changes for a target without a checkpoint" {
  refused_stream 5 "has no checkpoint" 'h["disks"][0].update(mode="incremental", base_change_id="a")'
}

@test "extents that overlap, and that go back" {
  refused_stream 1 "line 3" 'e[1]["offset"] -= 4096'
  refused_stream 1 "line 3" 'e[0], e[1] = e[1], e[0]'
}

@test "an extent beyond the disk, at its end, and around the end of the number range" {
  refused_stream 1 "line 7" 'e[-1]["length"] += 1'
  refused_stream 1 "line 8" 'e.append({"disk": "0", "offset": 4194304, "length": 1, "kind": "data"})'
  refused_stream 1 "line 7" 'e[-1]["length"] = 2**63 - 1'
  refused_stream 1 "line 7" 'e[-1]["length"] = 2**63'
  refused_stream 1 "line 7" 'e[-1]["length"] = 2**64 + 4096'
}

@test "an empty extent, a negative one, a fraction, a text and an unknown kind" {
  refused_stream 1 "line 2" 'e[0]["length"] = 0'
  refused_stream 1 "line 2" 'e[0]["offset"] = -4096'
  refused_stream 1 "line 2" 'e[0]["length"] = 4096.5'
  refused_stream 1 "line 2" 'e[0]["length"] = "4096"'
  refused_stream 1 "line 2" 'e[0]["kind"] = "hole"'
}

@test "an extent of a disk that the header does not name" {
  refused_stream 1 "line 2" 'e[0]["disk"] = "1"'
}

@test "a stream without its trailer, cut in a line, and only a header" {
  refused_stream 1 "trailer" 't = None'
  stream
  head -c -3 "$W/stream" > "$W/cut"
  refused 1 "$W/cut" hamal-sync "$W/cut" --target "$T"
  head -n 1 "$W/stream" > "$W/cut"
  refused 1 "trailer" hamal-sync "$W/cut" --target "$T"
}

@test "a trailer that does not count what came" {
  refused_stream 1 "extents" 't["trailer"]["0"]["extents"] += 1'
  refused_stream 1 "data_bytes" 't["trailer"]["0"]["data_bytes"] -= 1'
}

@test "a second stream behind the first" {
  refused_stream 1 "trailer" 'tail = open(sys.argv[1]).read()'
}

@test "a producer that failed: its message and its status" {
  refused_stream 5 "bitmap lost" 't = {"error": {"status": 5, "message": "bitmap lost"}}'
  refused_stream 75 "try later" 't = {"error": {"status": 75, "message": "try later"}}'
}

@test "a producer's status that is none" {
  refused_stream 1 "status" 't = {"error": {"status": 0, "message": "fine"}}'
  refused_stream 1 "status" 't = {"error": {"status": 256, "message": "wraps to 0"}}'
}

@test "a data stream with one byte changed, anywhere" {
  hamal-cbt-read "file:$W/x.raw" --full --data > "$W/good"
  size=$(stat -c %s "$W/good")
  for at in 3 8 12 16 40 $((size / 2)) $((size - 3)); do
    python3 -c 'import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[int(sys.argv[2])] ^= 0x20
open(sys.argv[3], "wb").write(data)' "$W/good" "$at" "$W/stream"
    if [ "$at" -lt 7 ]; then expected=2; else expected=1; fi
    fails "$expected" "$W/stream" hamal-sync "$W/stream" --target "$T"
    [ "$(checkpoints)" = 0 ]
  done
}

@test "a data stream with something behind its end" {
  hamal-cbt-read "file:$W/x.raw" --full --data > "$W/stream"
  echo more >> "$W/stream"
  fails 1 "" hamal-sync "$W/stream" --target "$T"
  [ "$(checkpoints)" = 0 ]
}

@test "a source shorter than the stream says" {
  stream
  truncate -s 2M "$W/x.raw"
  refused 1 "2097152" hamal-sync "$W/stream" --target "$T"
}

@test "a source that has gone since" {
  stream
  rm "$W/x.raw"
  refused 1 "x.raw" hamal-sync "$W/stream" --target "$T"
}

# Targets.

@test "a target in a directory that is not there" {
  refused 1 "the directory of the target does not exist" hamal-sync --source "file:$W/x.raw" --target "file:$W/none/t.raw"
}

@test "a target that is a directory" {
  mkdir "$W/folder"
  refused 6 "is a directory" hamal-sync --source "file:$W/x.raw" --target "file:$W/folder"
}

@test "a target that is a pipe" {
  mkfifo "$W/pipe"
  refused 6 "neither a regular file nor a block device" timeout 20 hamal-sync --source "file:$W/x.raw" --target "file:$W/pipe"
}

@test "a target that is a character device" {
  refused 6 "neither a regular file nor a block device" hamal-sync --source "file:$W/x.raw" --target file:/dev/null
}

@test "a device that there is not" {
  refused 1 "/dev/hamal-none: cannot stat: No such file" hamal-sync --source "file:$W/x.raw" --target /dev/hamal-none
}

@test "links that go round" {
  ln -s "$W/b" "$W/a"
  ln -s "$W/a" "$W/b"
  refused 1 "$W/a" hamal-sync --source "file:$W/x.raw" --target "file:$W/a"
}

@test "a target file of another size, not a byte of it changed" {
  head -c 1000000 /dev/urandom > "$W/other"
  cp "$W/other" "$W/other.before"
  refused 6 "the target has 1000000 bytes" hamal-sync --source "file:$W/x.raw" --target "file:$W/other"
  has "$err" "--resize"
  cmp "$W/other" "$W/other.before"
}

@test "a target that a running machine has open" {
  start_qsd 1
  cp "$W/x.raw" "$W/running.raw"
  QSD_SIZE=4M "$HAMAL_SOURCE/tests/lab/qsd.sh" start "$W/second" "$W/running.raw" > "$W/second.txt"
  status=0
  refused 6 "another program has locked it" hamal-sync --source "file:$W/x.raw" --target "file:$W/running.raw" || status=$?
  "$HAMAL_SOURCE/tests/lab/qsd.sh" stop "$W/second"
  [ "$status" = 6 ]
  cmp "$W/x.raw" "$W/running.raw"
}

@test "the source as the target" {
  cp "$W/x.raw" "$W/before.raw"
  refused 2 "the source itself" hamal-sync --source "file:$W/x.raw" --target "file:$W/x.raw"
  ln "$W/x.raw" "$W/hard.raw"
  ln -s "$W/x.raw" "$W/soft.raw"
  refused 2 "the source itself" hamal-sync --source "file:$W/x.raw" --target "file:$W/hard.raw"
  refused 2 "the source itself" hamal-sync --source "file:$W/soft.raw" --target "file:$W/x.raw"
  stream
  refused 2 "the source itself" hamal-sync "$W/stream" --target "file:$W/{vm}.raw"
  cmp "$W/x.raw" "$W/before.raw"
}

@test "a read-only NBD export as the target" {
  serve "$W/x.raw"
  refused 6 "read-only" hamal-sync --source "file:$W/x.raw" --target "$NBD"
}

@test "an NBD export of another size as the target" {
  head -c 1048576 /dev/zero > "$W/small.raw"
  nbdkit_at "$W/small.sock" file "$W/small.raw"
  NBD="nbd+unix:///?socket=$W/small.sock"
  refused 6 "the export has 1048576 bytes and the disk has 4194304" hamal-sync --source "file:$W/x.raw" --target "$NBD"
}

@test "a device that holds a file system, or a partition table" {
  loop_device 8M
  need mkfs.ext4
  mkfs.ext4 -q "$LOOP"
  before=$(sha256sum < "$W/loop.img")
  refused 6 "ext4" hamal-sync --source "file:$W/x.raw" --target "$LOOP"
  has "$err" "--force"
  [ "$(sha256sum < "$W/loop.img")" = "$before" ]
  dd if=/dev/zero of="$LOOP" bs=1M count=8 conv=fsync status=none
  # One partition of type 83 from sector 2048 on, and the mark of a boot sector.
  printf '\0\0\0\0\x83\0\0\0\0\x08\0\0\0\x20\0\0' | dd of="$LOOP" bs=1 seek=446 conv=notrunc status=none
  printf '\x55\xaa' | dd of="$LOOP" bs=1 seek=510 conv=notrunc,fsync status=none
  before=$(sha256sum < "$W/loop.img")
  refused 6 "partition table" hamal-sync --source "file:$W/x.raw" --target "$LOOP"
  [ "$(sha256sum < "$W/loop.img")" = "$before" ]
  succeeds hamal-sync --source "file:$W/x.raw" --target "$LOOP" --force
  cmp -n 4194304 "$W/x.raw" "$LOOP"
}

@test "a mounted device is refused even with --force" {
  loop_device 8M
  need mkfs.ext4
  mkfs.ext4 -q "$LOOP"
  mkdir "$W/mounted"
  mount "$LOOP" "$W/mounted" 2> /dev/null || skip "ext4 cannot be mounted here"
  MOUNTED=$W/mounted
  refused 6 "mounted or held" hamal-sync --source "file:$W/x.raw" --target "$LOOP" --force
}

@test "a device smaller than the disk" {
  loop_device 2M
  refused 6 "less than the disk" hamal-sync --source "file:$W/x.raw" --target "$LOOP" --force
}

@test "no space for the target: the run fails, and is whole once there is" {
  as_root "a small file system"
  mkdir "$W/small"
  mount -t tmpfs -o size=1M none "$W/small" 2> /dev/null || skip "tmpfs cannot be mounted here"
  MOUNTED=$W/small
  head -c 4194304 /dev/urandom > "$W/x.raw"
  fails 1 "No space left on device" hamal-sync --source "file:$W/x.raw" --target "file:$W/small/t.raw"
  has "$err" "free space there"
  [ "$(checkpoints)" = 0 ]
  mount -o remount,size=8M "$W/small"
  succeeds hamal-sync --source "file:$W/x.raw" --target "file:$W/small/t.raw" --json
  has "$(field "$W/out" 'd["disks"][0]["reason"]')" "interrupted"
  cmp "$W/x.raw" "$W/small/t.raw"
}
