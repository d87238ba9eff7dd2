#!/usr/bin/env bats
# The documents of committed snapshots: kept in hamal_lib_dir, uploaded to a store, and what waits meanwhile.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers

setup() { make_world; }
teardown() { end_world; }

configure() { printf '[sync]\n%s\n' "$@" >> "$HAMAL_CONFIG"; }

# run_once OUTCOME: a snapshot, a copy of it, and its end.
run_once() {
  hamal-snapshot create lab web > "$W/doc"
  hamal-cbt-read "$W/doc" --full | hamal-sync - --target "file:$W/{disk}.raw" > /dev/null
  capture hamal-snapshot finish "$W/doc" "$1"
  [ "$status" = 0 ]
}

documents() { find "$1" -name '*.json' 2> /dev/null | wc -l; }
# The document of the last run, byte by byte, is among those of a folder.
has_last() { find "$1" -name '*.json' -exec cmp -s {} "$W/doc" \; -print | grep -q .; }

@test "without being asked nothing is kept" {
  start_qsd 1
  run_once --committed
  [ ! -e "$W/lib/metadata" ]
}

@test "save_local_snapshot_metadata keeps those that were committed" {
  configure "save_local_snapshot_metadata = True"
  start_qsd 1
  run_once --failed
  [ "$(documents "$W/lib/metadata")" = 0 ]
  run_once --committed
  [ "$(documents "$W/lib/metadata/lab/web")" = 1 ]
  has_last "$W/lib/metadata/lab/web"
  [ "$(stat -c %a "$(find "$W/lib/metadata" -name '*.json')")" = 600 ]
  [ "$(stat -c %a "$W/lib/metadata/lab/web")" = 700 ]
  run_once --committed
  [ "$(documents "$W/lib/metadata/lab/web")" = 2 ]
}

@test "upload_metadata_to_oss: into the store, and not kept here unless that is asked for too" {
  configure "upload_metadata_to_oss = True" "metadata_store = dir:$W/store"
  mkdir "$W/store"
  start_qsd 1
  run_once --committed
  [ -z "$err" ]
  has_last "$W/store/metadata/lab/web"
  [ "$(documents "$W/lib/metadata")" = 0 ]
  configure "save_local_snapshot_metadata = True"
  run_once --committed
  [ "$(documents "$W/store/metadata/lab/web")" = 2 ]
  has_last "$W/lib/metadata/lab/web"
}

@test "a store that is not there costs a warning; what waited goes with the next one" {
  configure "upload_metadata_to_oss = True" "metadata_store = dir:$W/store/deep"
  printf 'in the way\n' > "$W/store"
  start_qsd 1
  run_once --committed
  grep -q "is not where it should be kept" "$W/log/hamal-snapshot.log"
  [ "$(documents "$W/lib/metadata/pending/lab/web")" = 1 ]
  rm "$W/store"
  mkdir -p "$W/store/deep"
  run_once --committed
  [ "$(documents "$W/store/deep/metadata/lab/web")" = 2 ]
  [ "$(documents "$W/lib/metadata")" = 0 ]
}

@test "upload_metadata_to_oss without a store says which key is missing" {
  configure "upload_metadata_to_oss = True"
  start_qsd 1
  run_once --committed
  grep -q "metadata_store" "$W/log/hamal-snapshot.log"
}
