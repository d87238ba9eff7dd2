#!/usr/bin/env bats
# hamal-snapshot delete --stale: our own leftovers, and nothing else.
# "Fails when" was tried: each was broken so by hand, and the test seen to fail.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers

setup() { make_world; }
teardown() { end_world; }

snapshot() { hamal-snapshot create lab:web > "$W/doc"; }
id_of() { field "$W/doc" 'd["snapshot_id"]'; }
held() { hamal-snapshot list lab --json > "$W/list"; field "$W/list" '" ".join(s["id"] for s in d["snapshots"] if s["state"] == "held")'; }
sql() {
  python3 -c 'import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
for row in database.execute(sys.argv[2], sys.argv[3:]): print(*row)
database.commit()' "$W/lib/hamal.db" "$@"
}
made() { sql "update snapshots set created = ?" "$(date -u -d "$1" +%FT%TZ)"; }
mark() {
  sql "insert into in_progress (platform, vm_id, disk_id, target, mode, base_change_id, change_id, snapshot_id, plan_path, started)
    values ('lab', 'web', 'top0', 'file:/gone', 'full', '', '', ?, '', '2026-11-22T00:00:00Z')" "$(id_of)"
}

# stale ACTION REASON [OPTION…]: of the one held snapshot.
stale() {
  local action=$1 reason=$2
  shift 2
  succeeds hamal-snapshot delete --stale lab --json "$@"
  [ "$(field "$W/out" "[s['action'] for s in d['snapshots'] if s['id'] == '$(id_of)']")" = "['$action']" ] ||
    { show "expected $action"; return 1; }
  has "$(field "$W/out" "[s['reason'] for s in d['snapshots'] if s['id'] == '$(id_of)']")" "$reason"
}

# Fails when what has no record is left.
@test "a snapshot that nobody recorded is deleted; --dry-run says so and deletes nothing" {
  start_qsd 1
  snapshot
  sql "delete from snapshots"
  stale "would delete" "killed before it was recorded" --dry-run
  [ "$(held)" = "$(id_of)" ]
  stale deleted "killed before it was recorded"
  [ -z "$(held)" ]
  stale left "nothing is held"
}

@test "what a dead direct run left is deleted" {
  start_qsd 1
  snapshot
  sql "update snapshots set state = 'attached'"
  stale deleted "the run that made it is dead"
  [ -z "$(held)" ]
  [ "$(sql "select count(*) from snapshots")" = 0 ]
}

# Fails when the bound is not asked: a pipe would lose the snapshot it reads.
@test "what was handed out is deleted once it is older than the bound" {
  start_qsd 1
  snapshot
  stale left "may be in use"
  made "-23 hours"
  stale left "may be in use"
  stale left "may be in use" --older-than=84600
  stale deleted "handed out 23:0" --older-than=22h
  [ -z "$(held)" ]
  snapshot
  made "-25 hours"
  stale deleted "handed out 25:0"
}

# Fails when --older-than bounds what an interrupted run needs.
@test "what an interrupted run goes on from stays until snapshot_max_hold, however short the bound" {
  start_qsd 1
  snapshot
  mark
  made "-23 hours"
  stale left "an interrupted run goes on from it" --older-than=1
  sql "update snapshots set state = 'attached'"
  stale left "an interrupted run goes on from it" --older-than=1
  made "-25 hours"
  stale deleted "snapshot_max_hold is 24:00:00"
  [ -z "$(held)" ]
}

# Fails when checkpoints are not asked.
@test "what a checkpoint names is ended as committed, and left when nobody recorded it" {
  start_qsd 1
  snapshot
  pipe "$W/doc" "file:$W/t.raw"
  [ "$status" = 0 ]
  stale left "may be in use"
  sql "create table kept as select * from snapshots"
  sql "delete from snapshots"
  stale left "a checkpoint names it"
  sql "insert into snapshots select * from kept"
  made "-25 hours"
  stale deleted "handed out 25:0"
  [ -z "$(held)" ]
  stale left "changes are counted from it"
  guest 0 "write -P 7 1M 64k"
  succeeds hamal-sync --source lab:web/top0 --target "file:$W/t.raw" --json
  did incremental "generation 1"
}

# Fails when info.ours is not asked: the other installation's run would lose what it reads.
@test "what another installation made stays" {
  start_qsd 1
  sed "s|$W/lib|$W/lib2|" "$HAMAL_CONFIG" > "$W/other.conf"
  mkdir "$W/lib2"
  hamal-snapshot create lab:web --config "$W/other.conf" > "$W/doc"
  stale left "this installation did not make it" --older-than=0
  [ "$(held)" = "$(id_of)" ]
}

@test "the report for people says why each was left" {
  start_qsd 1
  snapshot
  succeeds hamal-snapshot delete --stale lab:web
  has "$out" "SNAPSHOT * VM * ACTION * REASON"
  has "$out" "$(id_of) * web * left * it was handed out 00:0* ago and may be in use"
  succeeds hamal-snapshot delete --stale lab web --older-than=0
  has "$out" "$(id_of) * web * deleted * it was handed out"
}

@test "a vm that another run holds is reported, skipped, and exit 4" {
  start_qsd 1
  snapshot
  sql "delete from snapshots"
  lock_file "$W/lib/locks/vm-lab%2Fweb.lock"
  fails 4 "vm lab/web" hamal-snapshot delete --stale lab --json
  [ "$(field "$W/out" 'd["busy"], d["snapshots"]')" = "(['web'], [])" ]
  [ "$(held)" = "$(id_of)" ]
}

@test "records of what no platform holds any more are forgotten" {
  start_qsd 1
  snapshot
  "$HAMAL_SOURCE/tests/lab/qsd.sh" kill "$QSD"
  "$HAMAL_SOURCE/tests/lab/qsd.sh" start "$QSD" "$W/disk0.qcow2" > "$W/qsd.txt"
  stale left "may be in use"
  made "-25 hours"
  stale deleted "handed out 25:0"
  [ "$(sql "select count(*) from snapshots")" = 0 ]
}

@test "options that belong together" {
  fails 2 "--dry-run: belongs to --stale" hamal-snapshot delete lab:web@x --dry-run
  fails 2 "--older-than: belongs to --stale" hamal-snapshot delete lab:web@x --older-than=1h
  fails 2 "--older-than: is not a duration: old" hamal-snapshot delete --stale lab --older-than=old
  fails 2 "x: --stale takes no snapshot" hamal-snapshot delete --stale lab web x
  fails 2 "lab:web: names no snapshot" hamal-snapshot delete lab:web
}
