#!/usr/bin/env bats
# hamal-sync in all its forms: they copy the same bytes, and an end before the end changes nothing that is known.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers

setup() { make_world; }
teardown() { end_world; }

snapshot() { hamal-snapshot create lab:web > "$W/doc"; }
finish() { hamal-snapshot finish "$W/doc" "--${1:-committed}"; }
snapshot_id() { field "$W/doc" 'd["snapshot_id"]'; }
held() { hamal-snapshot list lab --json > "$W/list"; field "$W/list" '" ".join(s["id"] for s in d["snapshots"] if s["state"] == "held")'; }
digest() { sha256sum < "$1"; }
live() { echo "nbd+unix:///live${1:-0}?socket=$QSD/nbd.sock"; }
equals_live() { qemu-img compare -q -f raw -F raw "$(live "${2:-0}")" "$1"; }
marks() {
  python3 -c 'import sqlite3, sys
print(sqlite3.connect(sys.argv[1]).execute("select count(*) from in_progress").fetchone()[0])' "$W/lib/hamal.db"
}
# until_recorded BYTES: so much of the interrupted copy's plan is recorded as durable, and it goes on.
until_recorded() {
  python3 -c 'import re, sqlite3, sys, time
end = time.monotonic() + 60
finished = ""
while time.monotonic() < end:
    row = sqlite3.connect(sys.argv[1], timeout=60).execute("select finished from in_progress").fetchone()
    finished = row[0] if row else ""  # the words that were seen may be those of the run before
    if sum(map(int, re.findall("[0-9]+", finished)[1::2])) > int(sys.argv[2]): sys.exit()
    time.sleep(0.05)
sys.exit("never recorded: " + finished)' "$W/lib/hamal.db" "$1"
}
# nbdkit may have aborted itself already when its client was killed.
end_server() {
  kill "$SERVER" 2> /dev/null || true
  wait "$SERVER" 2> /dev/null || true
}
copying() { grep -q '"phase":"copying"' "$W/background.err"; }

# all_forms MODE: one snapshot through the pipe, the data stream and as a held snapshot; then the direct form.
all_forms() {
  local form
  snapshot
  pipe "$W/doc" "file:$W/pipe.raw"
  did "$1" ""
  hamal-cbt-read "$W/doc" --target "file:$W/data.raw" --data > "$W/data.stream"
  succeeds hamal-sync - --target "file:$W/data.raw" --json < "$W/data.stream"
  did "$1" ""
  succeeds hamal-sync --source "lab:web/top0@$(snapshot_id)" --target "file:$W/held.raw" --json
  did "$1" ""
  [ -n "$(ours_in_qemu)" ]
  finish
  succeeds hamal-sync --source lab:web/top0 --target "file:$W/direct.raw" --json
  did "$1" ""
  [ -z "$(ours_in_qemu)" ]
  for form in pipe data held direct; do
    equals_live "$W/$form.raw"
  done
  cmp "$W/pipe.raw" "$W/data.raw"
  cmp "$W/pipe.raw" "$W/held.raw"
  cmp "$W/pipe.raw" "$W/direct.raw"
}

@test "the pipe, the data stream, a held snapshot and the direct form give the same bytes, full and incremental" {
  start_qsd 1
  random_image "$W/noise" 2M
  guest 0 "write -s $W/noise 0 2M" "write -P 2 5M 100k" "write -z 8M 1M" "write -P 3 33550336 4096"
  all_forms full
  guest 0 "write -P 4 64k 12k" "discard 5M 64k" "write -z 1M 256k" "write -P 5 20M 4k" "write -P 6 9M 3M"
  all_forms incremental
  [ "$(generation "file:$W/data.raw")" = 2 ]
}

@test "nothing changed: an incremental of nothing, committed" {
  start_qsd 1
  guest 0 "write -P 1 0 1M"
  succeeds hamal-sync --source lab:web/top0 --target "file:$W/t.raw"
  succeeds hamal-sync --source lab:web/top0 --target "file:$W/t.raw" --json
  did incremental "generation 1"
  [ "$(field "$W/out" 'd["disks"][0]["read_bytes"], d["disks"][0]["asked"]["extents"]')" = "(0, 0)" ]
  equals_live "$W/t.raw"
}

@test "a stream whose base is not the target's checkpoint is refused, not a byte written" {
  start_qsd 1
  guest 0 "write -P 1 0 4M"
  succeeds hamal-sync --source lab:web/top0 --target "file:$W/t.raw"
  guest 0 "write -P 2 1M 64k"
  snapshot
  hamal-cbt-read "$W/doc" --target "file:$W/t.raw" > "$W/extents"
  hamal-cbt-read "$W/doc" --target "file:$W/t.raw" --data > "$W/data"
  succeeds hamal-sync "$W/extents" --target "file:$W/t.raw"
  before=$(digest "$W/t.raw")
  for stream in extents data; do
    fails 5 "since * and the checkpoint of this target is at" hamal-sync "$W/$stream" --target "file:$W/t.raw"
    has "$err" "hamal-cbt-read --full"
    [ "$(digest "$W/t.raw")" = "$before" ]
    fails 5 "has no checkpoint" hamal-sync "$W/$stream" --target "file:$W/other.raw"
    [ ! -e "$W/other.raw" ]
  done
  [ "$(generation "file:$W/t.raw")" = 2 ]
  [ "$(marks)" = 0 ]
  finish
}

@test "a stream that is cut changes nothing; a data stream that is cut commits nothing" {
  start_qsd 1
  random_image "$W/noise" 1M
  guest 0 "write -P 1 0 4M"
  succeeds hamal-sync --source lab:web/top0 --target "file:$W/t.raw"
  guest 0 "write -s $W/noise 1M 1M" "write -P 3 9M 64k"
  snapshot
  before=$(digest "$W/t.raw")
  hamal-cbt-read "$W/doc" --target "file:$W/t.raw" > "$W/whole"
  for bytes in 1 20 200; do
    head -c "-$bytes" "$W/whole" > "$W/cut"
    fails 1 "$W/cut" hamal-sync "$W/cut" --target "file:$W/t.raw"
    [ "$(digest "$W/t.raw")" = "$before" ]
    [ "$(marks)" = 0 ]
  done
  hamal-cbt-read "$W/doc" --target "file:$W/t.raw" --data > "$W/whole"
  head -c 700 "$W/whole" > "$W/cut"
  fails 1 "$W/cut" hamal-sync "$W/cut" --target "file:$W/t.raw"
  [ "$(digest "$W/t.raw")" = "$before" ]
  [ "$(marks)" = 0 ]
  head -c -30 "$W/whole" > "$W/cut"
  fails 1 "$W/cut" hamal-sync "$W/cut" --target "file:$W/t.raw"
  [ "$(generation "file:$W/t.raw")" = 1 ]
  # Some of it has been written: a data stream cannot tell what, the pipe copies all that was planned.
  fails 5 "interrupted" hamal-sync "$W/whole" --target "file:$W/t.raw"
  pipe "$W/doc" "file:$W/t.raw"
  did incremental "interrupted"
  finish
  equals_live "$W/t.raw"
}

@test "a producer that fails gives the pipe its status and leaves the target alone" {
  start_qsd 1
  guest 0 "write -P 1 0 1M"
  succeeds hamal-sync --source lab:web/top0 --target "file:$W/t.raw"
  snapshot
  finish failed
  before=$(digest "$W/t.raw")
  pipe "$W/doc" "file:$W/t.raw"
  [ "$status" = 75 ]
  has "$err" "not held any more"
  has "$(cat "$W/read.err")" "not held any more"
  [ -z "$out" ]
  [ "$(digest "$W/t.raw")" = "$before" ]
  guest 0 "write -P 2 2M 64k"
  succeeds hamal-sync --source lab:web/top0 --target "file:$W/t.raw" --json
  did incremental "generation 1"
  equals_live "$W/t.raw"
}

@test "--incremental=require takes the first full and no other; never takes no changes" {
  start_qsd 1
  guest 0 "write -P 1 0 1M"
  succeeds hamal-sync --source lab:web/top0 --target "file:$W/t.raw" --incremental=require --json
  did full "no checkpoint"
  guest 0 "write -P 2 0 64k"
  succeeds hamal-sync --source lab:web/top0 --target "file:$W/t.raw" --incremental=require --json
  did incremental ""
  snapshot
  hamal-cbt-read "$W/doc" --target "file:$W/t.raw" > "$W/changes"
  hamal-cbt-read "$W/doc" --full > "$W/full"
  before=$(digest "$W/t.raw")
  fails 5 "--incremental=never" hamal-sync "$W/changes" --target "file:$W/t.raw" --incremental=never
  fails 5 "--incremental=require" hamal-sync "$W/full" --target "file:$W/t.raw" --incremental=require
  [ "$(digest "$W/t.raw")" = "$before" ]
  finish
  [ "$(generation "file:$W/t.raw")" = 2 ]
  succeeds hamal-sync --source lab:web/top0 --target "file:$W/t.raw" --incremental=never --json
  did full "--incremental=never"
  equals_live "$W/t.raw"
}

@test "patterns, maps and chosen disks" {
  start_qsd 3
  guest 0 "write -P 1 0 64k"
  guest 1 "write -P 2 0 64k"
  guest 2 "write -P 3 0 64k"
  snapshot
  fails 2 "two disks would be written to one target" bash -c "hamal-cbt-read $W/doc --full | hamal-sync - --target file:$W/{vm}.raw"
  [ ! -e "$W/web.raw" ]
  mkdir "$W/dir"
  ln -s dir "$W/link"
  fails 2 "two disks would be written to one target" bash -c "hamal-cbt-read $W/doc --full |
    hamal-sync - --target file:$W/{index}.raw --map top0=file:$W/dir/a --map top1=file:$W/link/a"
  [ -z "$(ls "$W/dir")" ]
  hamal-cbt-read "$W/doc" --full > "$W/stream"
  succeeds hamal-sync "$W/stream" --target "file:$W/{vm}-{vm_id}-{index}.raw" --map "top1=file:$W/mapped.raw"
  equals_live "$W/web-web-0.raw" 0
  equals_live "$W/mapped.raw" 1
  equals_live "$W/web-web-2.raw" 2
  hamal-cbt-read "$W/doc" --full --disk top2 > "$W/stream"
  succeeds hamal-sync "$W/stream" --target "file:$W/only-{index}.raw"
  equals_live "$W/only-2.raw" 2
  finish
  succeeds hamal-sync --source lab:web/top2 --target "file:$W/{vm_id}-{disk}.raw" --disk top2
  equals_live "$W/web-top2.raw" 2
}

@test "one disk of two fails: the other commits, the status is 3, and the next run mends it" {
  start_qsd 2
  guest 0 "write -P 1 0 64k"
  guest 1 "write -P 2 0 64k"
  mkdir "$W/1.raw"
  snapshot
  pipe "$W/doc" "file:$W/{index}.raw"
  [ "$status" = 3 ]
  [ "$(field "$W/out" '[x["status"] for x in d["disks"]]')" = "[0, 6]" ]
  has "$err" "web/top1: file:$W/1.raw: is a directory"
  finish failed
  rmdir "$W/1.raw"
  guest 0 "write -P 3 1M 64k"
  snapshot
  pipe "$W/doc" "file:$W/{index}.raw"
  did incremental "" 0
  did full "no checkpoint" 1
  finish
  equals_live "$W/0.raw" 0
  equals_live "$W/1.raw" 1
}

@test "--dry-run says what it would do and changes nothing, of a file and of a running disk" {
  start_qsd 1
  guest 0 "write -P 1 0 1M"
  succeeds hamal-sync --source lab:web/top0 --target "file:$W/t.raw" --dry-run
  has "$out" "would copy 1 MiB"
  [ ! -e "$W/t.raw" ]
  [ "$(generation "file:$W/t.raw")" = 0 ]
  succeeds hamal-sync --source lab:web/top0 --target "file:$W/t.raw"
  guest 0 "write -P 2 2M 64k"
  before=$(digest "$W/t.raw")
  succeeds hamal-sync --source lab:web/top0 --target "file:$W/t.raw" --dry-run --json
  [ "$(field "$W/out" 'd["dry_run"], d["disks"][0]["mode"], d["disks"][0]["asked"]["data_bytes"], d["disks"][0]["checkpoint"]["after"]')" = "(True, 'incremental', 65536, None)" ]
  [ "$(digest "$W/t.raw")" = "$before" ]
  [ -z "$(ours_in_qemu)" ]
  [ "$(marks)" = 0 ]
  succeeds hamal-sync --source lab:web/top0 --target "file:$W/t.raw" --json
  did incremental "generation 1"
  equals_live "$W/t.raw"
}

@test "--compare names what differs and writes nothing" {
  make_image "$W/x.raw"
  cp "$W/x.raw" "$W/t.raw"
  compare=(hamal-sync --compare --source "file:$W/x.raw" --target "file:$W/t.raw")
  succeeds "${compare[@]}"
  has "$out" "identical"
  printf 'x' | dd of="$W/t.raw" bs=1 seek=5000 conv=notrunc status=none
  printf 'x' | dd of="$W/t.raw" bs=1 seek=4194303 conv=notrunc status=none
  before=$(digest "$W/t.raw")
  capture "${compare[@]}" --json
  [ "$status" = 1 ]
  [ -z "$err" ]
  [ "$(field "$W/out" 'd["same"], [(x["offset"], x["length"]) for x in d["differences"]], d["differing_bytes"]')" = "(False, [(4096, 4096), (4190208, 4096)], 8192)" ]
  capture "${compare[@]}"
  [ "$status" = 1 ]
  has "$out" "offset 4096 length 4096"
  [ "$(digest "$W/t.raw")" = "$before" ]
  cp "$W/x.raw" "$W/t.raw"
  truncate -s 5M "$W/t.raw"
  succeeds "${compare[@]}" --json
  [ "$(field "$W/out" 'd["same"], d["target_size"]')" = "(True, 5242880)" ]
  truncate -s 3M "$W/t.raw"
  capture "${compare[@]}"
  [ "$status" = 1 ]
  has "$out" "the target 3145728"
  serve "$W/x.raw"
  succeeds hamal-sync --compare --source "file:$W/x.raw" --target "$NBD"
  [ ! -e "$W/lib/hamal.db" ]
}

@test "checkpoints are listed, shown, handed to another host, and forgotten" {
  start_qsd 2
  guest 0 "write -P 1 0 64k"
  snapshot
  pipe "$W/doc" "file:$W/{disk}.raw"
  finish
  succeeds hamal-sync checkpoint list
  has "$out" "lab * web * top0 * 1 * 32 MiB * file:$W/top0.raw"
  succeeds hamal-sync checkpoint list --json
  [ "$(wc -l < "$W/out")" = 2 ]
  succeeds hamal-sync checkpoint show --target "file:$W/top1.raw"
  has "$out" "generation  1"
  succeeds hamal-sync checkpoint show --target "file:$W/top0.raw" --json
  cp "$W/out" "$W/base.json"
  guest 0 "write -P 2 1M 64k"
  snapshot
  hamal-cbt-read "$W/doc" --disk top0 --checkpoint "$W/base.json" --data > "$W/stream"
  succeeds hamal-sync "$W/stream" --target "file:$W/top0.raw" --json
  did incremental ""
  finish
  equals_live "$W/top0.raw"
  succeeds hamal-sync checkpoint forget --target "file:$W/top0.raw" --dry-run
  has "$out" "would forget generation 2"
  [ "$(generation "file:$W/top0.raw")" = 2 ]
  before=$(digest "$W/top0.raw")
  succeeds hamal-sync checkpoint forget --target "file:$W/top0.raw"
  has "$out" "forgot generation 2"
  [ "$(digest "$W/top0.raw")" = "$before" ]
  [ "$(generation "file:$W/top1.raw")" = 1 ]
  succeeds hamal-sync --source lab:web/top0 --target "file:$W/top0.raw" --json
  did full "no checkpoint"
  succeeds hamal-sync checkpoint forget --vm web
  succeeds hamal-sync checkpoint list --json
  [ -z "$out" ]
}

@test "NBD targets: a raw file of nbdkit and a qcow2 of qemu-nbd, full and incremental" {
  start_qsd 1
  need qemu-nbd
  random_image "$W/nbdkit.raw" 32M
  nbdkit_at "$W/nbdkit.sock" file "$W/nbdkit.raw"
  qemu-img create -q -f qcow2 "$W/q.qcow2" 32M
  qemu-nbd -f qcow2 -k "$W/q.sock" --persistent --shared=16 --discard=unmap "$W/q.qcow2" > "$W/q.log" 2>&1 3>&- &
  stop_later $!
  until_true 60 listens "$W/q.sock"
  guest 0 "write -P 1 0 1M" "write -P 2 9M 300k"
  for expected in full incremental incremental; do
    for socket in nbdkit q; do
      succeeds hamal-sync --source lab:web/top0 --target "nbd+unix:///?socket=$W/$socket.sock" --json
      did "$expected" ""
      equals_live "nbd+unix:///?socket=$W/$socket.sock"
    done
    guest 0 "write -P 3 512k 64k" "discard 9M 64k" "write -z 128k 64k"
  done
}

@test "a target whose flush fails is not committed, and what it was to hold is copied again" {
  start_qsd 1
  random_image "$W/t.raw" 32M
  # shellcheck disable=SC2016 # expanded by nbdkit's shell
  nbdkit_at "$W/t.sock" eval \
    get_size='stat -c %s "$W/t.raw"' \
    pread='dd if="$W/t.raw" bs=64k iflag=skip_bytes,count_bytes skip="$4" count="$3" status=none' \
    pwrite='dd of="$W/t.raw" bs=64k oflag=seek_bytes seek="$4" conv=notrunc status=none' \
    zero='fallocate -z -o "$4" -l "$3" "$W/t.raw"' \
    flush='if [ -e "$W/broken" ]; then echo "EIO the cache is lost" >&2; exit 1; fi'
  target="nbd+unix:///?socket=$W/t.sock"
  guest 0 "write -P 1 0 1M"
  succeeds hamal-sync --source lab:web/top0 --target "$target" --json
  did full "no checkpoint"
  guest 0 "write -P 2 2M 64k"
  touch "$W/broken"
  fails 1 "Input/output error" hamal-sync --source lab:web/top0 --target "$target"
  [ "$(generation "$target")" = 1 ]
  # The next run goes on from this run's snapshot.
  [ -n "$(ours_in_qemu)" ]
  rm "$W/broken"
  guest 0 "write -P 3 3M 64k"
  snapshot
  pipe "$W/doc" "$target"
  did incremental "interrupted"
  # What was written before the failed flush counts for nothing.
  [ "$(field "$W/out" 'd["disks"][0]["read_bytes"], d["disks"][0]["resumed"]["finished_ranges"]')" = "(65536, 0)" ]
  finish
  [ -z "$(ours_in_qemu)" ]
  [ "$(generation "$target")" = 2 ]
  succeeds hamal-sync --source lab:web/top0 --target "$target" --json
  did incremental "generation 2"
  equals_live "$W/t.raw"
}

@test "SIGINT and SIGTERM in the middle of a copy: out at once, snapshot held, checkpoint where it was" {
  start_qsd 1
  random_image "$W/noise" 8M
  truncate -s 32M "$W/t.raw"
  nbdkit_at "$W/t.sock" file "$W/t.raw"
  target="nbd+unix:///?socket=$W/t.sock"
  guest 0 "write -P 1 0 1M"
  succeeds hamal-sync --source lab:web/top0 --target "$target"
  guest 0 "write -s $W/noise 2M 8M"
  first=
  for signal in INT TERM; do
    # A new one each time: nbdkit aborts when its client goes away in the middle of a delay.
    end_server
    nbdkit_at "$W/t.sock" --filter=rate file "$W/t.raw" rate=1M
    in_background hamal-sync --source lab:web/top0 --target "$target" --progress=json
    until_true 60 copying
    [ -n "$(ours_in_qemu)" ]
    kill "-$signal" "$BACKGROUND"
    SECONDS=0
    status=0
    wait "$BACKGROUND" || status=$?
    [ "$SECONDS" -le 30 ]  # the copy would take a minute
    if [ "$signal" = INT ]; then [ "$status" = 130 ]; else [ "$status" = 143 ]; fi
    # That of the first: the second went on from it.
    first=${first:-$(held)}
    [ -n "$first" ]
    [ "$(held)" = "$first" ]
    [ "$(generation "$target")" = 1 ]
  done
  end_server
  nbdkit_at "$W/t.sock" file "$W/t.raw"
  succeeds hamal-sync --source lab:web/top0 --target "$target" --json
  did incremental "generation 1"
  [ "$(field "$W/out" 'd["snapshot_id"]')" = "$first" ]
  [ -z "$(ours_in_qemu)" ]
  [ -z "$(ls "$QSD/scratch")" ]
  equals_live "$W/t.raw"
}

@test "SIGINT and SIGTERM while a slow source is read" {
  random_image "$W/x.raw" 8M
  for signal in INT TERM; do
    nbdkit_at "$W/x.sock" --readonly --filter=rate file "$W/x.raw" rate=1M
    in_background hamal-sync --source "nbd+unix:///?socket=$W/x.sock" --target "file:$W/t.raw" --progress=json
    until_true 60 copying
    kill "-$signal" "$BACKGROUND"
    SECONDS=0
    status=0
    wait "$BACKGROUND" || status=$?
    [ "$SECONDS" -le 30 ]  # the copy would take a minute
    if [ "$signal" = INT ]; then [ "$status" = 130 ]; else [ "$status" = 143 ]; fi
    [ "$(generation "file:$W/t.raw")" = 0 ]
    end_server
  done
}

# Copies with hamal-sync, kills it when at least one flush was recorded, and gives the server its speed back.
kill_in_the_middle() { # TARGET
  local target=$1
  end_server
  nbdkit_at "$W/t.sock" --filter=rate file "$W/t.raw" rate=4M
  hamal-cbt-read "$W/doc" --target "$target" > "$W/stream"
  in_background hamal-sync "$W/stream" --target "$target" --progress=json
  until_true 60 copying
  until_recorded 3500000  # the first 2 MiB are in front of the plan
  kill -KILL "$BACKGROUND"
  wait "$BACKGROUND" || true
  [ "$(marks)" = 1 ]
  end_server
  nbdkit_at "$W/t.sock" file "$W/t.raw"
  if equals_live "$W/t.raw"; then
    echo "the copy had ended before it was killed" >&2
    return 1
  fi
}

@test "kill -9 in the middle of a copy: the same snapshot's copy goes on, a newer one mends it" {
  printf '%s\n' "[data_sync_v2]" "fsync_period_frequency = 1s" >> "$HAMAL_CONFIG"
  start_qsd 1
  random_image "$W/noise" 8M
  truncate -s 32M "$W/t.raw"
  nbdkit_at "$W/t.sock" file "$W/t.raw"
  target="nbd+unix:///?socket=$W/t.sock"
  guest 0 "write -P 1 0 3M"
  succeeds hamal-sync --source lab:web/top0 --target "$target"
  guest 0 "write -s $W/noise 2M 8M"
  snapshot
  kill_in_the_middle "$target"
  [ "$(generation "$target")" = 1 ]
  succeeds hamal-sync "$W/stream" --target "$target" --json
  did incremental "generation 1"
  # What was durable is not read again: that is what resuming is for.
  [ "$(field "$W/out" 'd["disks"][0]["resumed"]["finished_up_to"] > 2 << 20, d["disks"][0]["read_bytes"] < 8 << 20')" = "(True, True)" ]
  finish
  equals_live "$W/t.raw"

  random_image "$W/noise" 8M
  guest 0 "write -s $W/noise 4M 8M"
  snapshot
  kill_in_the_middle "$target"
  hamal-snapshot delete lab:web "$(snapshot_id)"
  guest 0 "write -z 4M 2M" "write -P 9 30M 4k"
  snapshot
  pipe "$W/doc" "$target"
  did incremental "interrupted"
  [ "$(field "$W/out" 'd["disks"][0]["resumed"], d["disks"][0]["united_with_run_of"] != None')" = "(None, True)" ]
  finish
  [ "$(marks)" = 0 ]
  equals_live "$W/t.raw"
  [ -z "$(find "$W/lib/plans" -name '*.plan')" ]
}

@test "a vm and a target that another run holds are busy, and the holder is named" {
  start_qsd 1
  random_image "$W/noise" 4M
  guest 0 "write -s $W/noise 0 4M"
  truncate -s 32M "$W/t.raw"
  nbdkit_at "$W/t.sock" --filter=rate file "$W/t.raw" rate=1M
  target="nbd+unix:///?socket=$W/t.sock"
  in_background hamal-sync --source lab:web/top0 --target "$target" --progress=json
  until_true 60 copying
  fails 4 "vm lab/web" hamal-sync --source lab:web/top0 --target "file:$W/other.raw"
  has "$err" "pid=$BACKGROUND * tool=hamal-sync"
  has "$err" "--wait"
  random_image "$W/x.raw" 32M
  fails 4 "target nbd+unix" hamal-sync --source "file:$W/x.raw" --target "$target"
  has "$err" "pid=$BACKGROUND * tool=hamal-sync"
  fails 4 "pid=$BACKGROUND" hamal-sync checkpoint forget --vm web --wait=1 || {
    # Nothing was committed yet: there is nothing to forget.
    fails 1 "no checkpoint" hamal-sync checkpoint forget --vm web
  }
  [ ! -e "$W/other.raw" ]
  (sleep 1 && kill -TERM "$BACKGROUND") &
  succeeds hamal-sync --source lab:web/top0 --target "file:$W/other.raw" --wait=300
  equals_live "$W/other.raw"
}

@test "a sparse image stays sparse, and equal" {
  truncate -s 256M "$W/x.raw"
  for at in 0 17 100 255; do
    random_image "$W/noise" 64k
    dd if="$W/noise" of="$W/x.raw" bs=1M seek="$at" conv=notrunc status=none
  done
  dd if=/dev/zero of="$W/x.raw" bs=1M seek=40 count=4 conv=notrunc status=none
  succeeds hamal-sync --source "file:$W/x.raw" --target "file:$W/t.raw" --json
  did full "no checkpoint"
  cmp "$W/x.raw" "$W/t.raw"
  sync "$W/x.raw" "$W/t.raw"
  [ "$(stat -c %b "$W/t.raw")" -le "$(stat -c %b "$W/x.raw")" ]
  serve "$W/x.raw"
  succeeds hamal-sync --source "$NBD" --target "file:$W/n.raw" --json
  cmp "$W/x.raw" "$W/n.raw"
  # By a server that reads them, zeros become holes.
  [ "$(stat -c %b "$W/n.raw")" -le $((4 * 128 + 64)) ]
}

@test "SIGTERM while the producer is silent: out at once, though nothing arrives" {
  mkfifo "$W/silent"
  in_background hamal-sync --target "file:$W/never.raw" "$W/silent"
  exec 7> "$W/silent"
  sleep 0.5
  kill -TERM "$BACKGROUND"
  local status=0
  wait "$BACKGROUND" || status=$?
  exec 7>&-
  [ "$status" -eq 143 ]
  [ ! -e "$W/never.raw" ]
}

@test "the pipe run again on a held snapshot copies nothing" {
  start_qsd 1
  guest 0 "write -P 1 0 1M"
  snapshot
  hamal-cbt-read "$W/doc" --target "file:$W/t.raw" | hamal-sync - --target "file:$W/t.raw"
  hamal-cbt-read "$W/doc" --target "file:$W/t.raw" > "$W/again.stream"
  hamal-sync --json "$W/again.stream" --target "file:$W/t.raw" > "$W/again.json"
  [ "$(jq -c '[.disks[0].mode, .disks[0].read_bytes]' "$W/again.json")" = '["incremental",0]' ]
  finish
}
