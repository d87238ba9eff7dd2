#!/usr/bin/env bats
# What becomes of a run when Ceph fails under it, for real: an OSD that stops for seconds, one that is killed and comes
# back, or stays away; a full cluster; an object map that is invalid; a key that may only read. Each time: the
# exit status, what is said, and that the data are right afterwards.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers
load ceph_helpers

setup_file() { start_ceph bluestore; }
teardown_file() { stop_ceph; }

setup() {
  need ceph-osd rbd
  make_world
  ceph_section lab
  DISK=vm-$BATS_TEST_NUMBER
  S=rbd:east/$DISK
  T=rbd:west/$DISK
}
teardown() {
  have_osd_back
  end_world
}

# begin_run SOURCE TARGET: a run that takes seconds, in the background; returns once it copies.
begin_run() {
  hamal-sync --source "$1" --target "$2" --bwlimit 1M --progress json > "$W/out" 2> "$W/progress" 3>&- &
  RUN=$!
  until_true 120 grep -q '"done":[1-9]' "$W/progress"
}
ends_with() { # STATUS
  local status=0
  wait "$RUN" || status=$?
  [ "$status" = "$1" ] || { cat "$W/progress" >&2; return 1; }
}

# The fault hits a run, and not what is left of one. Break it: let begin_run wait for the run's end.
still_runs() { kill -0 "$RUN" || { cat "$W/progress" >&2; return 1; }; }
# Requests fail soon, and the OSD stays away until the run has said so, which waits for longer.
# Break it: a run without --bwlimit.
long_patience() {
  sed -i 's/^outage_max = .*/outage_max = 5m/' "$HAMAL_CONFIG"
  echo "osd_timeout = 1s" >> "$HAMAL_CONFIG"
}
outage() {
  kill_osd
  still_runs
  until_true 120 grep -qsE "interrupted: |waiting for storage" "$W/progress" "$W"/log/hamal-sync.log
  still_runs
  start_osd
}

give_up_soon() { printf '%s\n' "osd_timeout = 1s" "mon_timeout = 2s" >> "$HAMAL_CONFIG"; }

@test "an OSD that stops for seconds costs seconds" {
  source_image 6M
  begin_run "$S" "$T"
  stop_osd_for_now
  sleep 3 # so long is the fault
  still_runs
  wake_osd
  ends_with 0
  same_as_disk "$DISK"
}

@test "an OSD that is killed under the source and comes back is waited for" {
  source_image 16M
  long_patience
  begin_run "$S" "file:$W/replica.raw"
  outage
  ends_with 0
  cmp "$W/disk.raw" "$W/replica.raw"
}

@test "an OSD that is killed under the target and comes back is waited for" {
  source_image 6M
  long_patience
  begin_run "file:$W/disk.raw" "$T"
  outage
  ends_with 0
  same_as_disk "$DISK"
}

@test "an OSD that stays away under the source is a failure that may pass; then it goes on" {
  source_image 16M
  give_up_soon
  begin_run "$S" "file:$W/replica.raw"
  kill_osd
  ends_with 75
  has "$(cat "$W/progress")" "does not answer"
  start_osd
  cp "$W/disk.raw" "$W/then.raw"
  write_source 4096 8192
  succeeds hamal-sync --source "$S" --target "file:$W/replica.raw" # from the snapshot that was held
  cmp "$W/then.raw" "$W/replica.raw"
  succeeds hamal-sync --source "$S" --target "file:$W/replica.raw"
  cmp "$W/disk.raw" "$W/replica.raw"
  [ "$(rbd_admin snap ls "east/$DISK" | grep -c hamal-)" = 1 ]
}

@test "and under the target" {
  source_image 16M
  give_up_soon
  begin_run "file:$W/disk.raw" "$T"
  kill_osd
  ends_with 75
  has "$(cat "$W/progress")" "does not answer"
  start_osd
  succeeds hamal-sync --source "file:$W/disk.raw" --target "$T"
  same_as_disk "$DISK"
}

# By an OSD that takes itself for full, which makes its pools full; a pool over its quota stops a client's writes in the same way, but
# only where a manager counts.
@test "a full cluster takes no writes: a failure that may pass, and says so" {
  source_image
  succeeds hamal-sync --source "$S" --target "$T"
  write_source 4096 8192
  give_up_soon
  hamal-snapshot create "$S" > "$W/doc"
  osd_is full
  until_true 120 pools_are_full
  hamal-cbt-read "$W/doc" --target "$T" > "$W/stream"
  fails 75 "*or the cluster is full: ceph status*" hamal-sync - --target "$T" < "$W/stream"
  osd_is none
  until_true 120 pools_have_room
  succeeds hamal-sync - --target "$T" < "$W/stream"
  succeeds hamal-snapshot finish "$W/doc" --committed
  same_as_disk "$DISK"
}

# librbd looks at the map's flags itself: this failed by nothing that was broken here, it would if librbd ever ceased to.
@test "an object map that is invalid is not believed" {
  source_image
  echo "diff = fast" >> "$HAMAL_CONFIG"
  succeeds hamal-sync --source "$S" --target "$T"
  write_source 4096 8192
  rbd_admin feature disable "east/$DISK" object-map fast-diff
  write_source 20480 4096
  rbd_admin feature enable "east/$DISK" object-map fast-diff
  has "$(rbd_admin info "east/$DISK" | tr '\n' ' ')" "object map invalid"
  succeeds hamal-sync --source "$S" --target "$T" --json
  [ "$(result 'd["disks"][0]["mode"]')" = incremental ]
  same_as_disk "$DISK"
}

@test "a key that may only read: no snapshot and no target, but your snapshots are read" {
  source_image
  ceph_section reading "user = readonly"
  fails 1 "*capabilities*" hamal-sync --source "rbd://reading/east/$DISK" --target "file:$W/replica.raw"
  rbd_admin snap create "east/$DISK@daily"
  succeeds hamal-sync --source "rbd://reading/east/$DISK@daily" --target "file:$W/replica.raw"
  cmp "$W/disk.raw" "$W/replica.raw"
  rbd_admin create --size 24M "west/$DISK"
  fails 1 "*capabilities*" hamal-sync --source "rbd://lab/east/$DISK" --target "rbd://reading/west/$DISK"
  rbd_admin rm "west/$DISK"
  fails 1 "*capabilities*" hamal-sync --source "rbd://lab/east/$DISK" --target "rbd://reading/west/$DISK"
  [ "$(rbd_admin snap ls "east/$DISK" | grep -c 'hamal-')" = 0 ]
}
