#!/usr/bin/env bats
# hamal-cbt-read: bases, forms and what comes through the pipe.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers

setup() { make_world; }
teardown() { end_world; }

# changed FILE DISK: "offset+length …" of the data extents of a disk of an extent stream.
changed() {
  python3 -c 'import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
print(*("%d+%d" % (l["offset"], l["length"]) for l in lines if l.get("disk") == sys.argv[2] and l["kind"] == "data"))' "$1" "$2"
}
disk_id() { field "$W/doc" "d['disks'][$1]['id']"; }
modes() { field "$W/out" '[(x["mode"], x["reason"]) for x in d["disks"]]'; }

@test "a full lists what is allocated and ends with its trailer" {
  make_image "$W/x.raw"
  succeeds hamal-cbt-read "file:$W/x.raw" --full
  [ "$(modes)" = "[('full', '--full was asked for')]" ]
  has "$(head -n 2 "$W/out" | tail -n 1)" '"offset":0,"length":65536,"kind":"data"'
  has "$(tail -n 1 "$W/out")" '{"trailer":'
}

@test "raw is the image itself, whole" {
  make_image "$W/x.raw"
  hamal-cbt-read "file:$W/x.raw" --raw > "$W/copy"
  cmp "$W/x.raw" "$W/copy"
  serve "$W/x.raw"
  hamal-cbt-read "$NBD" --raw | cmp "$W/x.raw" -
}

@test "raw of an image that is all holes, and of one without" {
  truncate -s 1000001 "$W/holes.raw"
  hamal-cbt-read "file:$W/holes.raw" --raw | cmp "$W/holes.raw" -
  head -c 3000000 /dev/urandom > "$W/full.raw"
  hamal-cbt-read "file:$W/full.raw" --raw | cmp "$W/full.raw" -
}

@test "a data stream carries the plan and the bytes" {
  make_image "$W/x.raw"
  hamal-cbt-read "file:$W/x.raw" --data --full > "$W/stream"
  [ "$(head -c 7 "$W/stream")" = HAMALDS ]
  python3 - "$W/stream" "$W/x.raw" << 'PYTHON'
import struct, sys
stream = open(sys.argv[1], "rb").read()
image = bytearray(len(open(sys.argv[2], "rb").read()))
at, tags = 8, []
while at < len(stream):
    tag, length = stream[at:at + 4].decode(), struct.unpack("<I", stream[at + 4:at + 8])[0]
    payload = stream[at + 16:at + 16 + length]
    tags.append(tag)
    if tag == "DATA":
        offset = struct.unpack("<Q", payload[8:16])[0]
        image[offset:offset + len(payload) - 16] = payload[16:]
    at += 16 + length
assert tags[0] == "HEAD" and tags[-1] == "DONE", tags
assert tags.index("PLAN") < tags.index("DATA"), tags
assert bytes(image) == open(sys.argv[2], "rb").read()
PYTHON
}

@test "progress goes to stderr when asked, and to nowhere else" {
  make_image "$W/x.raw"
  hamal-cbt-read "file:$W/x.raw" --raw --progress=json > "$W/copy" 2> "$W/err"
  cmp "$W/x.raw" "$W/copy"
  python3 -c 'import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
assert lines, "no progress"' "$W/err"
}

@test "an incremental of a running disk is what the guest wrote since" {
  start_qsd 2
  guest 0 "write -P 1 0 1M"
  hamal-snapshot create lab:web > "$W/doc"
  succeeds hamal-cbt-read "$W/doc" --full
  [ "$(changed "$W/out" "$(disk_id 0)")" = "0+1048576" ]
  base0=$(field "$W/doc" 'd["disks"][0]["change_id"]')
  base1=$(field "$W/doc" 'd["disks"][1]["change_id"]')
  hamal-snapshot finish "$W/doc" --failed
  guest 0 "write -P 2 2M 4k" "write -P 3 10M 8k" "discard 0 64k"
  guest 1 "write -P 4 1M 64k"
  hamal-snapshot create lab:web > "$W/doc"
  guest 0 "write -P 9 20M 4k"
  succeeds hamal-cbt-read "$W/doc" --since "$(disk_id 0)=$base0" --since "$(disk_id 1)=$base1"
  [ "$(field "$W/out" '[x["mode"] for x in d["disks"]]')" = "['incremental', 'incremental']" ]
  [ "$(changed "$W/out" "$(disk_id 0)")" = "2097152+4096 10485760+8192" ]
  [ "$(changed "$W/out" "$(disk_id 1)")" = "1048576+65536" ]
  grep -q '"offset":0,"length":65536,"kind":"zero"' "$W/out"
  succeeds hamal-cbt-read "$W/doc" --since "$base1" --disk 1
  [ "$(field "$W/out" '[x["id"] for x in d["disks"]]')" = "['$(disk_id 1)']" ]
  hamal-snapshot finish "$W/doc" --failed
}

@test "a base that is not there any more is a full with the reason" {
  start_qsd
  hamal-snapshot create lab:web > "$W/doc"
  succeeds hamal-cbt-read "$W/doc" --since hamal-00000000-000001-0000-none
  [ "$(field "$W/out" 'd["disks"][0]["mode"], d["disks"][0]["base_change_id"]')" = "('full', '')" ]
  has "$(modes)" "hamal-00000000-000001-0000-none"
  hamal-snapshot finish "$W/doc" --failed
}

@test "a target without a checkpoint is a full, and says so" {
  start_qsd
  hamal-snapshot create lab:web > "$W/doc"
  succeeds hamal-cbt-read "$W/doc" --target "file:$W/{vm}-{disk}.raw"
  [ "$(modes)" = "[('full', 'no checkpoint on this target')]" ]
  hamal-snapshot finish "$W/doc" --failed
}

@test "the checkpoint of the target, here or from another host, is the base" {
  start_qsd
  hamal-snapshot create lab:web > "$W/doc"
  hamal-cbt-read - --target "file:$W/t.raw" < "$W/doc" | hamal-sync - --target "file:$W/t.raw" > /dev/null
  hamal-snapshot finish "$W/doc" --committed
  guest 0 "write -P 5 3M 4k"
  hamal-snapshot create lab:web > "$W/doc"
  succeeds hamal-cbt-read "$W/doc" --target "file:$W/t.raw"
  [ "$(changed "$W/out" "$(disk_id 0)")" = "3145728+4096" ]
  cp "$W/out" "$W/here"
  hamal-sync checkpoint show --target "file:$W/t.raw" --json > "$W/checkpoint"
  succeeds hamal-cbt-read "$W/doc" --checkpoint "$W/checkpoint"
  diff "$W/here" "$W/out"
  sed 's/"size":33554432/"size":1048576/' "$W/checkpoint" > "$W/smaller"
  succeeds hamal-cbt-read "$W/doc" --checkpoint "$W/smaller"
  [ "$(modes)" = "[('full', 'size changed from 1048576 to 33554432')]" ]
  hamal-snapshot finish "$W/doc" --failed
}

@test "a held snapshot can be named by its endpoint" {
  start_qsd
  guest 0 "write -P 7 1M 4k"
  hamal-snapshot create lab:web > "$W/doc"
  id=$(field "$W/doc" 'd["snapshot_id"]')
  guest 0 "write -P 8 1M 4k"
  hamal-cbt-read "lab:web/$(disk_id 0)@$id" --raw > "$W/copy"
  [ "$(stat -c %s "$W/copy")" = 33554432 ]
  [ "$(dd if="$W/copy" bs=1M skip=1 count=1 status=none | head -c 4096 | tr -d '\7' | wc -c)" = 0 ]
  fails 2 "names no snapshot" hamal-cbt-read "lab:web/$(disk_id 0)" --full
  fails 2 "no such snapshot was recorded here" hamal-cbt-read "lab:web/0@nosuch" --full
  hamal-snapshot finish "$W/doc" --failed
}

@test "an nbd bitmap is a base that the operator owns" {
  start_qsd
  need qemu-nbd
  qemu-img create -q -f qcow2 "$W/b.qcow2" 8M
  qemu-img bitmap --add "$W/b.qcow2" mine
  qemu-io -f qcow2 -c "write -P 1 1M 64k" "$W/b.qcow2" > /dev/null
  qemu-nbd --read-only --persistent --shared=4 --bitmap=mine --socket="$W/b.sock" -f qcow2 "$W/b.qcow2" 3>&- > /dev/null 2>&1 &
  stop_later $!
  until_true 60 listens "$W/b.sock"
  succeeds hamal-cbt-read "nbd+unix:///?socket=$W/b.sock" --since bitmap:mine
  [ "$(field "$W/out" 'd["disks"][0]["mode"]')" = incremental ]
  has "$out" '"offset":1048576,"length":65536,"kind":"data"'
  succeeds hamal-cbt-read "nbd+unix:///?socket=$W/b.sock" --since bitmap:other
  [ "$(field "$W/out" 'd["disks"][0]["mode"]')" = full ]
}

@test "a user without rights to log and state reads an image, and --verbose says that there is no log" {
  sed -i "s|^log_dir = .*|log_dir = /proc/none|" "$HAMAL_CONFIG"
  as=()
  if [ "$(id -u)" = 0 ]; then
    need setpriv
    as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    "${as[@]}" "$(command -v hamal-cbt-read)" --version > /dev/null || skip "another user cannot reach the binaries"
    open_world
  fi
  make_image "$W/x.raw"
  chmod 0644 "$W/x.raw"
  [ "$(id -u)" != 0 ] || chown 65534 "$HAMAL_CONFIG"
  succeeds "${as[@]}" "$(command -v hamal-cbt-read)" "file:$W/x.raw" --full
  has "$out" '{"trailer":'
  capture "${as[@]}" "$(command -v hamal-cbt-read)" "file:$W/x.raw" --full --verbose
  [ "$status" = 0 ]
  has "$err" "/proc/none cannot be written by this user: no log file"
}

@test "a reader that ends early is status 1 and one message" {
  head -c 20000000 /dev/urandom > "$W/x.raw"
  set +e
  { hamal-cbt-read "file:$W/x.raw" --raw 2> "$W/err"; echo $? > "$W/status"; } | head -c 10 > /dev/null
  set -e
  [ "$(cat "$W/status")" = 1 ]
  [ "$(cat "$W/err")" = "hamal-cbt-read: error: standard output: the program reading our output has ended (its own message says why)" ]
}

@test "an interrupted data stream ends with an error record or torn, never as if it were whole" {
  head -c 20000000 /dev/urandom > "$W/x.raw"
  mkfifo "$W/pipe"
  hamal-cbt-read "file:$W/x.raw" --data --full > "$W/pipe" 2> "$W/err" 3>&- &
  pid=$!
  exec 8< "$W/pipe"
  head -c 100000 <&8 > /dev/null
  kill -TERM "$pid"
  status=0
  wait "$pid" || status=$?
  [ "$status" = 143 ]
  cat <&8 > "$W/rest"
  exec 8<&-
  run grep -ac "trailer" "$W/rest"
  [ "$output" = 0 ]
}

@test "a snapshot that is gone ends the stream with an error record" {
  start_qsd
  guest 0 "write -P 1 0 1M"
  hamal-snapshot create lab:web > "$W/doc"
  hamal-snapshot finish "$W/doc" --failed
  capture hamal-cbt-read "$W/doc" --full
  [ "$status" != 0 ]
  has "$(tail -n 1 "$W/out")" "{\"error\":{\"status\":$status,"
  has "$(head -n 1 "$W/out")" '"format":"hamal-extents"'
}

@test "a source that dies while it is read is an error record with its status" {
  need nbdkit
  truncate -s 64M "$W/x.raw"
  head -c 33554432 /dev/urandom | dd of="$W/x.raw" conv=notrunc status=none
  nbdkit --foreground --unix "$W/nbd.sock" --pidfile "$W/pid" --filter=error file "$W/x.raw" \
    error-pread=EIO error-pread-rate=1 > /dev/null 2>&1 3>&- &
  stop_later $!
  until_true 60 test -s "$W/pid"
  capture hamal-cbt-read "nbd+unix:///?socket=$W/nbd.sock" --data --full
  [ "$status" != 0 ]
  grep -aq FAIL "$W/out"
  has "$err" "Input/output error"
}
