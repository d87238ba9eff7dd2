#!/usr/bin/env bats
# Images in a real Ceph as sources and targets: fulls and increments, from pool to pool and by the pipe of three tools,
# and what becomes of a run whose image is in use, whose snapshot goes, that is killed, or whose cluster does not answer.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers
load ceph_helpers

setup_file() { start_ceph; }
teardown_file() { stop_ceph; }

setup() {
  need ceph-osd rbd qemu-img
  make_world
  ceph_section lab
  DISK=vm-$BATS_TEST_NUMBER
  S=rbd:east/$DISK
  T=rbd:west/$DISK
}
teardown() {
  wake_osd
  end_world
}

@test "from pool to pool: a full, then only what changed, one snapshot kept" {
  source_image
  succeeds hamal-sync --source "$S" --target "$T" --json
  [ "$(result 'd["disks"][0]["mode"]')" = full ]
  same_as_disk "$DISK"
  [ "$(rbd_admin snap ls "east/$DISK" | grep -c '\.base ')" = 1 ]
  write_source 4096 8192
  write_source 20000768 4096
  succeeds hamal-sync --source "$S" --target "$T" --json
  [ "$(result 'd["disks"][0]["mode"]')" = incremental ]
  [ "$(result 'd["disks"][0]["read_bytes"]')" -lt 1000000 ]
  same_as_disk "$DISK"
  [ "$(rbd_admin snap ls "east/$DISK" | grep -c hamal-)" = 1 ]
  succeeds hamal-sync --compare --source "$S" --target "$T"
  has "$out" identical
}

@test "to a file and back, whole objects at a time" {
  source_image
  printf 'diff = fast\n' >> "$HAMAL_CONFIG"
  succeeds hamal-sync --source "$S" --target "file:$W/replica.raw" --json
  write_source 8192 4096
  succeeds hamal-sync --source "$S" --target "file:$W/replica.raw" --json
  [ "$(result 'd["disks"][0]["mode"]')" = incremental ]
  cmp "$W/disk.raw" "$W/replica.raw"
  succeeds hamal-sync --source "file:$W/replica.raw" --target "$T"
  same_as_disk "$DISK"
}

@test "by the pipe of three tools" {
  source_image
  hamal-snapshot create "$S" > "$W/doc"
  hamal-cbt-read "$W/doc" --target "$T" | succeeds hamal-sync - --target "$T"
  succeeds hamal-snapshot finish "$W/doc" --committed
  write_source 4096 4096
  hamal-snapshot create "$S" > "$W/doc"
  write_source 8192 4096 # is not in the snapshot
  dd if=/dev/zero of="$W/disk.raw" bs=4096 seek=2 count=1 conv=notrunc status=none
  hamal-cbt-read "$W/doc" --target "$T" > "$W/stream"
  has "$(head -n 1 "$W/stream")" '"mode":"incremental"'
  succeeds hamal-sync - --target "$T" < "$W/stream"
  succeeds hamal-snapshot finish "$W/doc" --committed
  same_as_disk "$DISK"
}

@test "your own snapshots are read, incrementally, and left alone" {
  source_image
  rbd_admin snap create "east/$DISK@monday"
  succeeds hamal-sync --source "$S@monday" --target "$T"
  write_source 4096 4096
  rbd_admin snap create "east/$DISK@tuesday"
  succeeds hamal-sync --source "$S@tuesday" --target "$T" --json
  [ "$(result 'd["disks"][0]["mode"]')" = incremental ]
  same_as_disk "$DISK"
  [ "$(rbd_admin snap ls "east/$DISK" | grep -c 'day ')" = 2 ]
  [ "$(rbd_admin snap ls "east/$DISK" | grep -c hamal-)" = 0 ]
}

@test "a base that was removed is a full that says so" {
  source_image
  succeeds hamal-sync --source "$S" --target "$T"
  rbd_admin snap purge "east/$DISK" > /dev/null 2>&1
  write_source 4096 4096
  succeeds hamal-sync --source "$S" --target "$T" --json
  [ "$(result 'd["disks"][0]["mode"]')" = full ]
  has "$(result 'd["disks"][0]["reason"]')" "that changes count from is gone"
  same_as_disk "$DISK"
}

@test "an image of another size, one that holds a file system, and a snapshot as the target" {
  source_image
  rbd_admin create --size 48M "west/$DISK"
  fails 6 "*--resize*" hamal-sync --source "$S" --target "$T"
  succeeds hamal-sync --source "$S" --target "$T" --resize
  same_as_disk "$DISK"
  truncate -s 24M "$W/fs.raw"
  mkfs.ext4 -q "$W/fs.raw"
  rbd_admin import "$W/fs.raw" "west/$DISK-fs"
  fails 6 "*the image holds an ext2, ext3 or ext4 file system*" hamal-sync --source "$S" --target "$T-fs"
  succeeds hamal-sync --source "$S" --target "$T-fs" --force
  same_as_disk "$DISK-fs"
  fails 2 "*a snapshot cannot be written*" hamal-sync --source "$S" --target "$T-fs@x"
}

@test "an image that was removed and made again has no checkpoint" {
  source_image
  succeeds hamal-sync --source "$S" --target "$T"
  rbd_admin rm "west/$DISK"
  succeeds hamal-sync --source "$S" --target "$T" --json
  [ "$(result 'd["disks"][0]["mode"]')" = full ]
  [ "$(result 'd["disks"][0]["reason"]')" = "no checkpoint on this target" ]
  same_as_disk "$DISK"
}

@test "the source itself is no target" {
  source_image
  fails 2 "*this is the source itself*" hamal-sync --source "$S" --target "rbd://lab/east/$DISK"
}

# Break it: compare the names in is_image() alone, and the source is overwritten.
@test "nor is it by the name of another section for the same cluster" {
  source_image
  ceph_section other
  fails 2 "*this is the source itself*" hamal-sync --source "rbd://lab/east/$DISK" --target "rbd://other/east/$DISK"
}

bases() { rbd_admin snap ls "east/$DISK" | grep -c '\.base ' || true; }

@test "the base of a checkpoint that was forgotten is found by delete --stale, but never the newest" {
  source_image
  succeeds hamal-sync --source "$S" --target "$T"
  succeeds hamal-sync --source "$S" --target "file:$W/replica.raw"
  succeeds hamal-snapshot delete --stale "$S"
  has "$(cat "$W/out")" "changes are counted from it"
  [ "$(bases)" = 2 ]
  succeeds hamal-sync checkpoint forget --target "$T"
  succeeds hamal-snapshot delete --stale --dry-run "$S"
  has "$(cat "$W/out")" "no checkpoint counts changes from it"
  [ "$(bases)" = 2 ]
  succeeds hamal-snapshot delete --stale "$S"
  [ "$(bases)" = 1 ]
  # By the pipe the checkpoint is on another host: this one's state names no base at all.
  succeeds hamal-sync checkpoint forget --target "file:$W/replica.raw"
  succeeds hamal-snapshot delete --stale "$S"
  has "$(cat "$W/out")" "a checkpoint elsewhere"
  [ "$(bases)" = 1 ]
}

@test "a run that was killed is gone on with: its lock is broken" {
  source_image
  hamal-sync --source "$S" --target "$T" --bwlimit 1M --progress quiet 2> "$W/killed.err" 3>&- &
  local run=$!
  until_true 60 bash -c "timeout 20 rbd --conf $CEPH/ceph.conf --id admin image-meta get west/$DISK hamal.writer 2> /dev/null"
  kill -KILL "$run"
  wait "$run" || true
  succeeds hamal-sync --source "$S" --target "$T" --json
  same_as_disk "$DISK"
  [ "$(rbd_admin snap ls "east/$DISK" | grep -c hamal-)" = 1 ]
}

# Break it: remove_snapshot() instead of try_remove_snapshot() in remove_held(), and no run begins any more.
@test "a held snapshot that somebody protected stops no later run, and goes when it is let go" {
  source_image
  hamal-sync --source "$S" --target "$T" --bwlimit 1M --progress quiet 2> "$W/killed.err" 3>&- &
  local run=$! held
  until_true 60 bash -c "timeout 20 rbd --conf $CEPH/ceph.conf --id admin image-meta get west/$DISK hamal.writer 2> /dev/null"
  kill -KILL "$run"
  wait "$run" || true
  held=$(rbd_admin snap ls "east/$DISK" | grep -o 'hamal-[^ ]*')
  rbd_admin snap protect "east/$DISK@$held"
  # As if it had died before it marked its target: else its snapshot is gone on with.
  /usr/bin/python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1], isolation_level=None).execute("delete from in_progress")' \
    "$W/lib/hamal.db"
  hamal-snapshot create "$S" > "$W/doc"
  has "$(cat "$W/log/hamal-snapshot.log")" "stays for now: *protected or has clones"
  [ "$(rbd_admin snap ls "east/$DISK" | grep -c hamal-)" = 2 ]
  fails 1 "*the snapshot is busy*rbd children*" hamal-snapshot delete --stale "$S"
  rbd_admin snap unprotect "east/$DISK@$held"
  succeeds hamal-snapshot delete --stale "$S"
  [ "$(rbd_admin snap ls "east/$DISK" | grep -c "$held")" = 0 ]
  rbd_admin snap rm "east/$DISK@hamal-$(field "$W/doc" 'd["snapshot_id"]')"
  fails 1 "*there is no such image or snapshot*" hamal-cbt-read "$W/doc" --target "$T"
}

@test "a cluster that does not answer is a failure that may pass, and then it goes on" {
  source_image
  succeeds hamal-sync --source "$S" --target "file:$W/replica.raw"
  printf '%s\n' "osd_timeout = 1s" "mon_timeout = 2s" >> "$HAMAL_CONFIG"
  stop_osd_for_now
  fails 75 "*" timeout 100 hamal-sync --source "$S" --target "file:$W/replica.raw"
  wake_osd
  write_source 4096 4096
  succeeds hamal-sync --source "$S" --target "file:$W/replica.raw"
  cmp "$W/disk.raw" "$W/replica.raw"
}

@test "two clusters, and one that is not meant" {
  source_image
  ceph_section other
  fails 2 "*of which cluster?*" hamal-sync --source "$S" --target "$T"
  succeeds hamal-sync --source "rbd://lab/east/$DISK" --target "rbd://other/west/$DISK"
  same_as_disk "$DISK"
}

@test "a key that is wrong, a user that is not there, no monitor" {
  source_image
  sed -i 's/^keyring = .*/keyring = AQBsV2xlAAAAABAAtestTESTtestTESTtest0A==/' "$HAMAL_CONFIG"
  fails 2 "*the cluster refuses client.hamal*" hamal-sync --source "$S" --target "$T"
  ceph_section default "user = nobody"
  fails 2 "*the keyring has no key of client.nobody*" hamal-sync --source "$S" --target "$T"
  printf '%s\n' "[ceph gone]" "mon_host = [v2:127.0.0.1:1/0]" "auth = none" "mon_timeout = 1s" >> "$HAMAL_CONFIG"
  fails 75 "*cannot connect to the cluster*" hamal-sync --source "rbd://gone/a/b" --target "file:$W/x.raw"
}
