#!/usr/bin/env bats
# A repository in a bucket with object lock, from its making to its end. The service is a radosgw behind
# tests/lab/s3_if_absent.py, which does in such buckets what Ceph 16 does in others alone.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers
load s3_helpers

setup_file() { start_radosgw; }
teardown_file() { stop_radosgw; }

setup() {
  make_world
  make_bucket locked x-amz-bucket-object-lock-enabled:true
  "$HAMAL_SOURCE/tests/lab/s3_if_absent.py" "$(radosgw_says http_endpoint | sed 's|http://||')" \
    > "$W/front.txt" 2> "$W/front.err" < /dev/null 3>&- {RADOSGW_HOLD}>&- &
  stop_later $!
  until_true 30 grep -qx ready "$W/front.txt"
  s3_section lab locked
  sed -i "s|^endpoint = .*|endpoint = $(sed -n 's/^endpoint=//p' "$W/front.txt")|" "$HAMAL_CONFIG"
  R=s3://lab/backups
}
teardown() { end_world; }

# change: another half MiB of the image.
change() { random_image "$W/part" 512K && dd if="$W/part" of="$W/disk.raw" bs=512K seek="$1" conv=notrunc status=none; }

protect() { succeeds hamal-sync --source "file:$W/disk.raw" --target "$R" --vm web01 --disk vda --json; }

objects() { hamal-repo stats "$R" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["objects"][sys.argv[1]]["count"])' "$1"; }

# prune_says KEY OPTION…: one figure of a prune that is done.
prune_says() {
  local key=$1
  shift
  hamal-repo prune "$R" "$@" --yes --json > "$W/pruned"
  field "$W/pruned" "d['$key']"
}

restores() {
  rm -f "$W/restored.raw"
  succeeds hamal-sync "$R" --vm web01 --at "$1" --target "file:$W/restored.raw"
  cmp "$W/restored.raw" "$2"
}

all_is_gone() { [ "$(prune_says locked --keep-last 1)" = 0 ]; }

@test "locks are extended, hold what is dropped until they end, and what stays restores all the time" {
  succeeds hamal-repo init "$R"
  random_image "$W/disk.raw" 4M
  protect
  change 1
  protect
  cp "$W/disk.raw" "$W/second.raw"
  change 2
  protect
  cp "$W/disk.raw" "$W/third.raw"
  local packs
  packs=$(objects packs)
  # What is not needed is not locked.
  [ "$(prune_says extended_locks --keep-last 2 --extend-locks 20s)" -gt 0 ]
  restores 2 "$W/second.raw"
  # A lock that lasts long enough is left as it is.
  [ "$(prune_says extended_locks --keep-last 2 --extend-locks 1s)" = 0 ]
  # Dropped, and held.
  [ "$(prune_says locked --keep-last 1)" -gt 0 ]
  [ "$(hamal-repo list "$R" --json | wc -l)" = 1 ]
  [ "$(objects packs)" = "$packs" ]
  restores 3 "$W/third.raw"
  succeeds hamal-repo verify --full "$R"
  has "$out" "1 versions*all is well"
  # What a lock holds of a version that is dropped may be shared, and then it is needed.
  cp "$W/second.raw" "$W/disk.raw"
  protect
  restores 4 "$W/second.raw"
  [ "$(hamal-repo list "$R" --json | wc -l)" = 2 ]
  # Once the locks have ended the rest goes.
  until_true 60 all_is_gone
  [ "$(objects packs)" -lt $((packs + 1)) ]
  restores 4 "$W/second.raw"
  succeeds hamal-repo verify --full "$R"
  has "$out" "1 versions*all is well"
}
