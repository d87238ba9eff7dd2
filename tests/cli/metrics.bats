#!/usr/bin/env bats
# hamal-sync --metrics-file: what Prometheus learns of runs that commit, that fail, and that never began.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers

setup() {
  make_world
  M=$W/web.prom
  make_image "$W/x.raw"
}
teardown() { end_world; }

sync_x() { hamal-sync --source "file:$W/x.raw" --target "file:$W/t.raw" --metrics-file "$M" "$@"; }

# valid FILE…: by our own strict reading, and by promtool where it is installed.
valid() {
  local file
  "$HAMAL_SOURCE/tests/cli/check_metrics.py" "$@" > "$W/metrics.json"
  if command -v promtool > /dev/null; then
    for file in "$@"; do
      promtool check metrics < "$file" > "$W/promtool" 2>&1 || { cat "$W/promtool" >&2; return 1; }
      [ ! -s "$W/promtool" ] || { cat "$W/promtool" >&2; return 1; }
    done
  fi
}

# metric NAME [LABEL=VALUE]: the value, "none", or several separated by blanks.
metric() {
  python3 -c 'import json, sys
wanted = dict(word.split("=", 1) for word in sys.argv[3:])
found = [s["value"] for s in json.load(open(sys.argv[1]))
         if s["name"] == "hamal_sync_" + sys.argv[2] and wanted.items() <= s["labels"].items()]
print(*[f"{value:.15g}" for value in found] or ["none"])' "$W/metrics.json" "$@"
}

# recent SECONDS-SINCE-1970: not in the future, and within the last ten minutes.
recent() { python3 -c 'import sys, time; sys.exit(not -600 <= float(sys.argv[1]) - time.time() <= 1)' "$1"; }

@test "a committed run: every figure is that of the result" {
  succeeds sync_x --json
  valid "$M"
  [ "$(metric run_exit_status file=web.prom)" = 0 ]
  [ "$(metric exit_status "disk=0" "target=file:$W/t.raw" platform=file)" = 0 ]
  [ "$(metric disk_size_bytes)" = 4194304 ]
  [ "$(metric generation)" = 1 ]
  [ "$(metric read_bytes)" = "$(field "$W/out" 'd["disks"][0]["read_bytes"]')" ]
  [ "$(metric written_bytes)" = "$(field "$W/out" 'd["disks"][0]["written_bytes"]')" ]
  [ "$(metric zeroed_bytes)" = "$(field "$W/out" 'd["disks"][0]["zeroed_bytes"]')" ]
  [ "$(metric planned_bytes)" = "$(field "$W/out" 'sum(d["disks"][0]["asked"][k] for k in ("data_bytes", "zero_bytes"))')" ]
  [ "$(metric mode mode=full)" = 1 ]
  [ "$(metric mode mode=incremental)" = 0 ]
  recent "$(metric last_success_timestamp_seconds)"
  recent "$(metric run_timestamp_seconds)"
  [ -z "$(find "$W" -name 'web.prom.*')" ]
}

@test "the exporter, another user, can read it whatever the umask" {
  (umask 077 && succeeds sync_x)
  [ "$(stat -c %a "$M")" = 644 ]
}

@test "a run that fails: its status, and the last success as it was" {
  succeeds sync_x
  valid "$M"
  success=$(metric last_success_timestamp_seconds)
  truncate -s 8M "$W/t.raw"
  fails 6 "" sync_x
  valid "$M"
  [ "$(metric run_exit_status)" = 6 ]
  [ "$(metric exit_status)" = 6 ]
  [ "$(metric last_success_timestamp_seconds)" = "$success" ]
  [ "$(metric generation)" = 1 ]
  [ "$(metric read_bytes)" = 0 ]
  # The checkpoint knows it too: a lost file costs nothing.
  rm "$M"
  fails 6 "" sync_x
  valid "$M"
  [ "$(metric last_success_timestamp_seconds)" = "$success" ]
}

@test "a run that fails before it knows its disks" {
  fails 1 "No such file" hamal-sync --source "file:$W/none.raw" --target "file:$W/t.raw" --metrics-file "$M"
  valid "$M"
  [ "$(metric run_exit_status)" = 1 ]
  [ "$(metric exit_status)" = none ]
  succeeds sync_x
  valid "$M"
  success=$(metric last_success_timestamp_seconds)
  printf '%s\n' '{"format":"hamal-extents","version":1' > "$W/cut"
  status=0
  hamal-sync "$W/cut" --target "file:$W/t.raw" --metrics-file "$M" 2> "$W/err" || status=$?
  [ "$status" != 0 ]
  valid "$M"
  [ "$(metric run_exit_status)" = "$status" ]
  [ "$(metric exit_status "target=file:$W/t.raw")" = "$status" ]
  [ "$(metric last_success_timestamp_seconds)" = "$success" ]
  [ "$(metric generation)" = 1 ]
}

@test "a producer that fails: its status" {
  printf '%s\n' '{"format":"hamal-extents","version":1,"platform":"file","vm_id":"v","disks":[{"id":"0","size":4096,"mode":"full"}]}' \
    '{"error":{"status":75,"message":"the platform is away"}}' > "$W/stream"
  fails 75 "the platform is away" hamal-sync "$W/stream" --target "file:$W/t.raw" --metrics-file "$M"
  valid "$M"
  [ "$(metric run_exit_status)" = 75 ]
}

@test "several disks and odd names; the files of two vms fit into one folder" {
  printf '%s\n' '{"format":"hamal-extents","version":1,"platform":"file","vm_id":"v","vm_name":"we\"b\\\n1 ä","disks":[{"id":"a","size":4194304,"mode":"full","source":"file:'"$W"'/x.raw"},{"id":"b","size":4194304,"mode":"full","source":"file:'"$W"'/x.raw"}]}' \
    '{"disk":"a","offset":0,"length":65536,"kind":"data"}' \
    '{"trailer":{"a":{"extents":1,"data_bytes":65536,"zero_bytes":0},"b":{"extents":0,"data_bytes":0,"zero_bytes":0}}}' > "$W/stream"
  succeeds hamal-sync "$W/stream" --target "file:$W/{disk}.raw" --metrics-file "$W/odd.prom"
  succeeds sync_x
  valid "$M" "$W/odd.prom"
  [ "$(metric read_bytes disk=a)" = 65536 ]
  [ "$(metric read_bytes disk=b)" = 0 ]
  [ "$(metric generation $'vm=we"b\\\n1 ä')" = "1 1" ]
  [ "$(metric run_exit_status)" = "0 0" ]
}

@test "a file that cannot be written is a warning, and the run is committed" {
  capture hamal-sync --source "file:$W/x.raw" --target "file:$W/t.raw" --metrics-file "$W/none/web.prom"
  [ "$status" = 0 ]
  has "$err" "hamal-sync: warning: no metrics: *$W/none/web.prom*No such file"
  [ "$(wc -l < "$W/err")" = 1 ]
  has "$(cat "$W/log/hamal-sync.log")" "WARNING *no metrics: "
  cmp "$W/x.raw" "$W/t.raw"
  mkfifo "$W/pipe.prom"
  capture hamal-sync --source "file:$W/x.raw" --target "file:$W/t.raw" --metrics-file "$W/pipe.prom"
  [ "$status" = 0 ]
  has "$err" "not a regular file"
  [ -p "$W/pipe.prom" ]
  [ "$(generation "file:$W/t.raw")" = 2 ]
}

@test "a dry run writes none; only a run has metrics" {
  succeeds sync_x --dry-run
  [ ! -e "$M" ]
  fails 2 "--metrics-file is for a run" hamal-sync --compare --source "file:$W/x.raw" --target "file:$W/x.raw" --metrics-file "$M"
  fails 2 "--metrics-file is for a run" hamal-sync checkpoint list --metrics-file "$M"
}

@test "the page has every name, and no other" {
  succeeds sync_x
  hamal-repo init "dir:$W/store" > /dev/null
  succeeds hamal-sync --source "file:$W/x.raw" --target "dir:$W/store" --vm web01 --disk vda --metrics-file "$W/stored.prom"
  for file in "$M" "$W/stored.prom"; do
    valid "$file"
    python3 -c 'import json, sys
print(*{s["name"] for s in json.load(open(sys.argv[1]))}, sep="\n")' "$W/metrics.json"
  done | sort -u > "$W/written"
  sed -nE 's/^\.It Va (hamal_sync_[a-z_]+)$/\1/p' "$HAMAL_SOURCE/man/hamal-sync.1" | sort > "$W/page"
  diff -u "$W/written" "$W/page"
  grep -ohE 'hamal_sync_[a-z_]+' "$HAMAL_SOURCE/lib/hamal/sync/result_metrics.cpp" | sort -u > "$W/code"
  diff -u "$W/code" "$W/page"
}
