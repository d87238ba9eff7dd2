#!/usr/bin/env bats
# A run that failed or died goes on from the same held snapshot, and what nobody needs is found again.
# "Fails when" was tried: each was broken so by hand, and the test seen to fail.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers

setup() { make_world; }
teardown() { end_world; }

snapshot() { hamal-snapshot create lab:web "$@" > "$W/doc"; }
id_of() { field "${1:-$W/doc}" 'd["snapshot_id"]'; }
held() { hamal-snapshot list lab --json > "$W/list"; field "$W/list" '" ".join(s["id"] for s in d["snapshots"] if s["state"] == "held")'; }
equals_live() { qemu-img compare -q -f raw -F raw "nbd+unix:///live${2:-0}?socket=$QSD/nbd.sock" "$1"; }
log_has() { grep -q -- "$1" "$W/log/${2:-hamal-snapshot}.log"; }
ends_as() {
  hamal-snapshot finish "$W/doc" "--$1" --json > "$W/ended"
  [ "$(field "$W/ended" 'd["outcome"]')" = "$2" ] || { cat "$W/ended" >&2; return 1; }
}

# sql STATEMENT [VALUE…]: what only a crash or a clock does to the state; prints the rows.
sql() {
  python3 -c 'import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
for row in database.execute(sys.argv[2], sys.argv[3:]): print(*row)
database.commit()' "$W/lib/hamal.db" "$@"
}
made() { sql "update snapshots set created = ?" "$(date -u -d "$1" +%FT%TZ)"; }

# A replica of disk 0 behind an NBD server that refuses to write while $W/broken exists.
breakable_target() {
  truncate -s "${1:-32M}" "$W/t.raw"
  nbdkit_at "$W/t.sock" --filter=error file "$W/t.raw" error=EIO error-pwrite-rate=100% "error-file=$W/broken"
  T="nbd+unix:///?socket=$W/t.sock"
}

# An interrupted run of the pipe: a mark names the snapshot of $W/first.
interrupted_pipe() {
  breakable_target
  guest 0 "write -P 1 0 1M"
  snapshot "$@"
  cp "$W/doc" "$W/first"
  touch "$W/broken"
  pipe "$W/doc" "$T"
  [ "$status" = 1 ] || { show "expected 1"; return 1; }
  rm "$W/broken"
}

# The same of the direct form.
interrupted_direct() {
  breakable_target
  guest 0 "write -P 1 0 1M"
  touch "$W/broken"
  capture hamal-sync --source lab:web/top0 --target "$T" --json
  [ "$status" = 1 ] || { show "expected 1"; return 1; }
  rm "$W/broken"
  FIRST=$(field "$W/out" 'd["snapshot_id"]')
}

direct() { succeeds hamal-sync --source lab:web/top0 --target "$T" --json; }

# Fails when finish ends it, or create makes a new one.
@test "a failed run's snapshot stays held, is handed out again, and is ended when the run has committed" {
  start_qsd 1
  interrupted_pipe
  ends_as failed held
  log_has "snapshot $(id_of) stays held: an interrupted run goes on from it"
  guest 0 "write -P 2 2M 64k" "write -P 3 0 64k"
  snapshot
  cmp "$W/first" "$W/doc"
  log_has "INFO .*resuming from held snapshot $(id_of): interrupted at 20"
  pipe "$W/doc" "$T"
  [ "$status" = 0 ]
  qemu-img compare -q -f raw -F raw "$(field "$W/doc" 'd["disks"][0]["source"]')" "$W/t.raw"
  ends_as committed committed
  [ -z "$(held)" ]
  snapshot
  [ "$(id_of)" != "$(id_of "$W/first")" ]
  pipe "$W/doc" "$T"
  did incremental "generation 1"
  ends_as committed committed
  equals_live "$W/t.raw"
}

@test "without an interrupted run finish --failed ends the snapshot, and says so" {
  start_qsd 1
  snapshot
  ends_as failed failed
  [ -z "$(held)" ]
}

# Fails when the word of the operator ends what a mark still names.
@test "finish --committed keeps the snapshot that another disk still needs" {
  start_qsd 2
  breakable_target
  guest 0 "write -P 1 0 1M"
  guest 1 "write -P 2 0 1M"
  snapshot
  cp "$W/doc" "$W/first"
  hamal-cbt-read "$W/doc" --full > "$W/stream"
  touch "$W/broken"
  capture hamal-sync "$W/stream" --target "file:$W/{disk}.raw" --map "top1=$T"
  [ "$status" = 3 ]
  ends_as committed held
  guest 1 "write -P 3 0 1M"
  rm "$W/broken"
  snapshot
  cmp "$W/first" "$W/doc"
  hamal-cbt-read "$W/doc" --disk top1 --target "$T" | hamal-sync - --target "$T"
  ends_as committed committed
  [ -z "$(held)" ]
}

# Fails when marks without a checkpoint do not count: the bitmap from the interrupted full on is gone.
@test "what an interrupted first full counts from is kept when another target commits" {
  start_qsd 1
  interrupted_pipe
  bitmap=$(field "$W/first" 'd["disks"][0]["change_id"]')
  made "-25 hours"
  ends_as failed failed
  snapshot
  pipe "$W/doc" "file:$W/other.raw"
  ends_as committed committed
  qmp query-named-block-nodes | grep -qF "\"$bitmap\""
}

# Fails when there is no bound.
@test "a held snapshot is given up when it is older than snapshot_max_hold, and not before" {
  start_qsd 1
  interrupted_pipe
  made "-23 hours"
  snapshot
  [ "$(id_of)" = "$(id_of "$W/first")" ]
  made "-25 hours"
  snapshot
  [ "$(id_of)" != "$(id_of "$W/first")" ]
  [ "$(held)" = "$(id_of)" ]
  log_has "held snapshot $(id_of "$W/first") is not resumed: it is 25:0.* old and snapshot_max_hold is 24:00:00"
  ends_as failed failed
}

# Fails when there is no bound.
@test "finish --failed ends what is older than snapshot_max_hold" {
  start_qsd 1
  printf '[sync]\nsnapshot_max_hold = 1h\n' >> "$HAMAL_CONFIG"
  interrupted_pipe
  made "-61 minutes"
  ends_as failed failed
  log_has "snapshot $(id_of) is not held for an interrupted run: it is 1:01:0"
  [ -z "$(held)" ]
}

# Fails when a creation in the future is an age (ended at once), or stays in the future (kept for a year).
@test "a clock that was set back ends nothing and keeps nothing for ever" {
  start_qsd 1
  interrupted_pipe
  made "+365 days"
  snapshot
  cmp "$W/first" "$W/doc"
  log_has "WARNING .*snapshot $(id_of) was created at .* which is not in the past"
  [ "$(sql "select created <= ? from snapshots" "$(date -u +%FT%TZ)~")" = 1 ]
  made "+365 days"
  ends_as failed held
  [ "$(sql "select created <= ? from snapshots" "$(date -u +%FT%TZ)~")" = 1 ]
}

# Fails when verify_snapshot is not asked, or its answer ignored.
@test "a held snapshot that does not verify is ended, and the reason logged" {
  start_qsd 1
  interrupted_pipe
  bitmap=$(field "$W/doc" 'd["disks"][0]["change_id"]')
  qmp "block-dirty-bitmap-disable={\"node\":\"disk0\",\"name\":\"$bitmap\"}" > /dev/null
  snapshot
  [ "$(id_of)" != "$(id_of "$W/first")" ]
  [ "$(held)" = "$(id_of)" ]
  log_has "held snapshot $(id_of "$W/first") is not resumed: .*the bitmap $bitmap does not record any more"
}

# Fails when list_snapshots is not asked, or its answer ignored.
@test "a held snapshot that its QEMU took with it is forgotten, and a new one made" {
  start_qsd 1
  interrupted_pipe
  "$HAMAL_SOURCE/tests/lab/qsd.sh" kill "$QSD"
  fails 75 "$QSD/qmp.sock" hamal-snapshot create lab:web
  fails 75 "$QSD/qmp.sock" hamal-snapshot finish "$W/doc" --failed
  [ "$(sql "select count(*) from snapshots")" = 1 ]
  "$HAMAL_SOURCE/tests/lab/qsd.sh" start "$QSD" "$W/disk0.qcow2" > "$W/qsd.txt"
  ends_as failed failed
  log_has "is not held for an interrupted run: the platform does not hold it any more"
  snapshot
  [ "$(held)" = "$(id_of)" ]
}

# Fails when the disks that were asked for are not compared.
@test "a held snapshot stands in for the disks that were asked for alone, or is ended" {
  start_qsd 2
  interrupted_pipe --disk top0
  snapshot
  [ "$(field "$W/doc" '[x["id"] for x in d["disks"]]')" = "['top0', 'top1']" ]
  [ "$(held)" = "$(id_of)" ]
  log_has "held snapshot $(id_of "$W/first") is not resumed: it does not hold the disk top1"
  touch "$W/broken"
  capture bash -c "hamal-cbt-read $W/doc --disk top0 --full | hamal-sync - --target '$T'"
  [ "$status" = 1 ]
  hamal-snapshot create lab:web --disk top0 > "$W/one"
  hamal-snapshot create lab:web --disk 1 > "$W/other"
  [ "$(field "$W/one" 'd["snapshot_id"], [x["id"] for x in d["disks"]]')" = "('$(id_of)', ['top0'])" ]
  [ "$(field "$W/other" 'd["snapshot_id"], [x["id"] for x in d["disks"]]')" = "('$(id_of)', ['top1'])" ]
}

# Fails when --fresh is ignored.
@test "create --fresh ends the held snapshot and makes a new one" {
  start_qsd 1
  interrupted_pipe
  ends_as failed held
  snapshot --fresh
  [ "$(held)" = "$(id_of)" ]
  [ "$(id_of)" != "$(id_of "$W/first")" ]
}

# Fails when a committed snapshot counts as one in use: the vm stays busy for good.
@test "a loop that was killed between commit and finish does not leave the vm busy" {
  start_qsd 1
  guest 0 "write -P 1 0 1M"
  snapshot
  pipe "$W/doc" "file:$W/t.raw"
  did full "no checkpoint"
  guest 0 "write -P 2 1M 64k"
  snapshot
  pipe "$W/doc" "file:$W/t.raw"
  did incremental "generation 1"
  hamal-snapshot finish "$W/doc" --committed
  [ -z "$(ours_in_qemu)" ]
  qemu-img compare -q -f raw -F raw "nbd+unix:///live0?socket=$QSD/nbd.sock" "$W/t.raw"
}

@test "create --fresh leaves alone what was handed out and may be in use" {
  start_qsd 1
  snapshot
  fails 4 "$(id_of)" hamal-snapshot create lab:web --fresh
  [ "$(held)" = "$(id_of)" ]
}

# Fails when create undoes what it did not create.
@test "a document that cannot be written leaves the interrupted run's snapshot held" {
  start_qsd 1
  interrupted_pipe
  status=0
  hamal-snapshot create lab:web > /dev/full 2> "$W/err" || status=$?
  [ "$status" = 1 ]
  [ "$(held)" = "$(id_of "$W/first")" ]
}

# Fails when it ends every failed run's snapshot, or looks for none.
@test "the direct form goes on from the snapshot of its failed run, and ends it" {
  start_qsd 1
  interrupted_direct
  [ "$(held)" = "$FIRST" ]
  guest 0 "write -P 2 2M 64k"
  direct
  [ "$(field "$W/out" 'd["snapshot_id"]')" = "$FIRST" ]
  log_has "resuming from held snapshot $FIRST" hamal-sync
  [ -z "$(held)" ]
  direct
  did incremental "generation 1"
  equals_live "$W/t.raw"
}

@test "the direct form that fails before it changes a target ends its snapshot" {
  start_qsd 1
  mkdir "$W/dir"
  fails 6 "is a directory" hamal-sync --source lab:web/top0 --target "file:$W/dir"
  [ -z "$(held)" ]
}

# Fails when one of them keeps or looks for its own kind alone.
@test "pipe and direct form go on from each other's snapshots" {
  start_qsd 1
  interrupted_direct
  snapshot
  [ "$(id_of)" = "$FIRST" ]
  hamal-cbt-read "lab:web/top0@$FIRST" --full > "$W/stream"
  ends_as failed held
  direct
  [ "$(field "$W/out" 'd["snapshot_id"]')" = "$FIRST" ]
  [ -z "$(held)" ]
}

# kill_direct SIGNAL: a direct run killed in the middle of its copy; its snapshot in $FIRST.
kill_direct() {
  random_image "$W/noise" 4M
  truncate -s 32M "$W/t.raw"
  slow_server
  T="nbd+unix:///?socket=$W/t.sock"
  guest 0 "write -s $W/noise 0 4M"
  in_background hamal-sync --source lab:web/top0 --target "$T" --progress=json
  until_true 60 grep -q '"phase":"copying"' "$W/background.err"
  kill "-$1" "$BACKGROUND"
  wait "$BACKGROUND" || true
  FIRST=$(held)
  # nbdkit may have aborted itself when its client was killed.
  kill "$SERVER" 2> /dev/null || true
  wait "$SERVER" 2> /dev/null || true
  slow_server
}
slow_server() { nbdkit_at "$W/t.sock" --filter=rate file "$W/t.raw" rate=4M; }

# Fails when it looks for none.
@test "after kill -9 the direct form goes on from the same snapshot" {
  start_qsd 1
  kill_direct KILL
  [ -n "$FIRST" ]
  direct
  [ "$(field "$W/out" 'd["snapshot_id"]')" = "$FIRST" ]
  [ -z "$(held)" ]
  equals_live "$W/t.raw"
}

# Fails when a dead run's snapshot is recorded as one that was handed out, or is left: the vm is busy for ever.
@test "what a killed direct run left and no mark names is ended, and a new one made" {
  start_qsd 1
  kill_direct KILL
  sql "delete from in_progress"
  direct
  [ "$(field "$W/out" 'd["snapshot_id"]')" != "$FIRST" ]
  [ -z "$(held)" ]
  log_has "held snapshot $FIRST is not resumed: the run that made it is dead" hamal-sync
}

# Fails when an interrupt ends what the run made (rule 11), or what an earlier run made.
@test "SIGTERM in the middle of a copy keeps the snapshot, again too, and the next run goes on from it" {
  start_qsd 1
  kill_direct TERM
  [ -n "$FIRST" ]
  log_has "snapshot $FIRST stays held: an interrupted run goes on from it" hamal-sync
  in_background hamal-sync --source lab:web/top0 --target "$T" --progress=json
  until_true 60 grep -q '"phase":"copying"' "$W/background.err"
  kill -TERM "$BACKGROUND"
  status=0
  wait "$BACKGROUND" || status=$?
  [ "$status" = 143 ]
  [ "$(held)" = "$FIRST" ]
  kill "$SERVER" 2> /dev/null || true
  wait "$SERVER" 2> /dev/null || true
  slow_server
  direct
  [ "$(field "$W/out" 'd["snapshot_id"]')" = "$FIRST" ]
  [ -z "$(held)" ]
  equals_live "$W/t.raw"
}

# Fails when an interrupted run holds its snapshot whether a mark names it or not.
@test "SIGTERM before a target was changed ends the snapshot" {
  start_qsd 1
  random_image "$W/x.raw" 8M
  in_background hamal-sync --source "file:$W/x.raw" --target "file:$W/t.raw" --bwlimit 64K --progress=json
  until_true 60 grep -q '"phase":"copying"' "$W/background.err"
  in_background hamal-sync --source lab:web/top0 --target "file:$W/t.raw" --wait=600
  frozen() { [ -n "$(held)" ]; }
  until_true 60 frozen
  kill -TERM "$BACKGROUND"
  status=0
  wait "$BACKGROUND" || status=$?
  [ "$status" = 143 ]
  [ -z "$(held)" ]
  [ "$(sql "select count(*) from snapshots where platform = 'lab'")" = 0 ]
}

# Fails when a dry run ends what it cannot use.
@test "a dry run looks at the held snapshot and neither ends it nor gives it up" {
  start_qsd 2
  interrupted_pipe --disk top0
  succeeds hamal-sync --source lab:web/top0 --target "$T" --dry-run --json
  [ "$(field "$W/out" 'd["snapshot_id"]')" = "$(id_of)" ]
  fails 4 "is held for an interrupted run and cannot be used: it does not hold the disk top1" \
    hamal-sync --source lab:web/top1 --target "file:$W/other.raw" --dry-run
  [ "$(held)" = "$(id_of)" ]
}

# Fails when a source that nobody freezes is resumed: the target then mixes two states of it.
@test "an image that was only said to be still is read anew after an interrupted run" {
  make_image "$W/x.raw"
  breakable_target 4M
  touch "$W/broken"
  fails 1 "Input/output error" hamal-sync --source "file:$W/x.raw" --target "$T"
  log_has "is not held for an interrupted run: the platform does not hold it any more" hamal-sync
  rm "$W/broken"
  make_image "$W/x.raw"
  succeeds hamal-sync --source "file:$W/x.raw" --target "$T"
  cmp "$W/x.raw" "$W/t.raw"
  [ "$(sql "select count(*) from snapshots")" = 0 ]
}

# Fails when what was frozen and not recorded is forgotten with its intent: the vm is busy for ever.
@test "a killed create: the next one ends what it froze and nobody recorded" {
  start_qsd 1
  snapshot
  lost=$(id_of)
  sql "update snapshots set state = 'intended', snapshot_id = 'intended-x', document = ''"
  snapshot
  [ "$(held)" = "$(id_of)" ]
  [ "$(id_of)" != "$lost" ]
  log_has "WARNING .*snapshot $lost ended: nobody recorded it"
  [ "$(sql "select count(*) from snapshots where state = 'intended'")" = 0 ]
}

# Fails when no intent is asked for, or no mark: then anything that nobody recorded is ended.
@test "an unrecorded snapshot without a stale intent, or one that a mark names, is not ended by create" {
  start_qsd 1
  interrupted_pipe
  sql "update snapshots set state = 'intended', snapshot_id = 'intended-x', document = ''"
  fails 4 "is held already" hamal-snapshot create lab:web
  [ "$(held)" = "$(id_of)" ]
  sql "delete from in_progress"
  fails 4 "is held already" hamal-snapshot create lab:web
  [ "$(held)" = "$(id_of)" ]
  [ "$(sql "select count(*) from snapshots")" = 0 ]
}

@test "delete ends a snapshot whatever names it, in one word too" {
  start_qsd 1
  interrupted_pipe
  succeeds hamal-snapshot delete "lab:web@$(id_of)" --json
  [ "$(field "$W/out" 'd["outcome"]')" = deleted ]
  [ -z "$(held)" ]
}
