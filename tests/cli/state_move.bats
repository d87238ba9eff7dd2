#!/usr/bin/env bats
# hamal-period state: what is known moves from SQLite to PostgreSQL, and the next run is an incremental.
# shellcheck disable=SC2154,SC2030,SC2031 # out, err and status are set by the helpers; each test has its own HAMAL_CONFIG

load helpers
load postgresql_helpers

setup_file() { start_postgresql; }
teardown_file() { stop_postgresql; }

# Proxy a before and after: one hamal_lib_dir, whose database is $W/hamal.conf's, then PostgreSQL.
setup() {
  make_proxies a
  start_qsd 1
  configure "$(sed -n '/^.platform lab/,$p' "$HAMAL_CONFIG")"
  sed -i "s|^hamal_lib_dir = .*|hamal_lib_dir = $W/lib/|" "$W/a.conf"
}
teardown() { end_world; }

of() {
  hamal-period status --json > "$W/status"
  field "$W/status" "d['vms'][0]$1"
}

# The export with the mark of a run whose plan is this one.
mark() { sed "s|^\"in_progress\":\[|&$(printf '%s' '{"platform":"lab","vm_id":"v","disk_id":"d","target":"file:/x","mode":"full",
    "base_change_id":"","change_id":"","snapshot_id":"s","plan_path":"'"$1"'","started":"","target_created":0,"finished":"",
    "restore_path":"","proxy":""}' | tr -d '\n')|" "$W/state.json"; }

# Break it: leave the checkpoints out of the export, and the run is a full; the disk flag's key, and it is refused.
@test "a state is exported, imported into PostgreSQL once, and the next run is an incremental" {
  printf '%s\n' "[job j]" "platform = lab" "vm = *" "target = file:$W/{vm}-{disk}.raw" "interval = 1h" |
    tee -a "$HAMAL_CONFIG" >> "$W/a.conf"
  guest 0 "write -P 1 0 4M"
  succeeds hamal-period
  hamal-period status --json > "$W/before.json"
  succeeds hamal-sync checkpoint list --json
  cp "$W/out" "$W/checkpoints.json"
  (umask 0; succeeds hamal-period state export --moved --output "$W/state.json")
  [ "$(stat -c %a "$W/state.json")" = 600 ]
  # Break it: open what was moved as everything else.
  fails 2 "the state was moved to another database at 20*connection to where it went*state reopen" hamal-period
  fails 2 "the state was moved" hamal-sync checkpoint list

  HAMAL_CONFIG=$W/a.conf
  succeeds hamal-period state import "$W/state.json"
  [ -z "$out" ]
  succeeds hamal-period state export
  cmp "$W/out" "$W/state.json"
  succeeds hamal-sync checkpoint list --json
  cmp "$W/out" "$W/checkpoints.json"
  succeeds hamal-period --dry-run
  [ "$out" = "# nothing is due" ]
  guest 0 "write -P 2 1M 64k"
  succeeds hamal-period --now
  [ "$(of '["mode"]')" = incremental ]
  [ "$(of '["bytes"]')" -lt 1048576 ]
  qemu-img compare -q -f raw -F raw "nbd+unix:///live0?socket=$QSD/nbd.sock" "$W/web-top0.raw"

  fails 1 "the state is not empty: its table checkpoints has 1 rows" hamal-period state import - < "$W/state.json"
}

@test "an export replaces no file unless told, and one that failed closes nothing" {
  hamal-snapshot vms lab > /dev/null # an installation
  echo mine > "$W/state.json"
  fails 2 "a file of that name already*--force" hamal-period state export --moved --output "$W/state.json"
  [ "$(cat "$W/state.json")" = mine ]
  fails 1 "nowhere" hamal-period state export --moved --output "$W/nowhere/state.json"
  succeeds hamal-snapshot list lab
  succeeds hamal-period state export --moved --output "$W/state.json" --force
  # Again, and without the mark being lost.
  succeeds hamal-period state export
  cmp "$W/out" "$W/state.json"
  fails 2 "the state was moved" hamal-snapshot list lab
  succeeds hamal-period state reopen
  succeeds hamal-snapshot list lab
  capture hamal-period state reopen
  [ "$status" = 0 ]
  has "$err" "warning: the state was not moved"
}

# Break it: let load() not look at the installation.
@test "what another installation works with is not imported into, and no file says what to remove" {
  hamal-snapshot vms lab > /dev/null
  hamal-period state export > "$W/state.json"
  HAMAL_CONFIG=$W/a.conf
  hamal-snapshot vms lab > /dev/null
  fails 1 "the state belongs to another installation*import into a new database" hamal-period state import "$W/state.json"
  fails 2 "tables.in_progress?0?: plan_path is not absolute and normal: $W/lib/plans/../x" \
    hamal-period state import - < <(mark "$W/lib/plans/../x")
}

# Of two proxies with two hamal_lib_dir. Break it: do not call forget_foreign_plans(), and the plan stays what it was.
@test "a plan that lies elsewhere than ours is not imported, the rest is" {
  hamal-snapshot vms lab > /dev/null
  hamal-period state export > "$W/state.json"
  mark "/srv/other/plans/v/plan.1" > "$W/two.json"
  HAMAL_CONFIG=$W/a.conf
  succeeds hamal-period state import "$W/two.json"
  grep -q "WARNING.*1 interrupted runs have their plans elsewhere than below $W/lib/.*: the next runs of those disks are fulls" \
    "$W/a-log/hamal-period.log"
  [ "$(sql "SELECT target || plan_path FROM in_progress")" = file:/x ]
}

@test "what is no exported state is refused, and changes nothing" {
  HAMAL_CONFIG=$W/a.conf
  document > "$W/doc"
  fails 2 "is a snapshot document, not" hamal-period state import "$W/doc"
  fails 2 "has no installation_id" hamal-period state import - < <(hamal-period state export)
  hamal-snapshot vms lab > /dev/null # makes one
  succeeds hamal-period state export
  cp "$W/out" "$W/whole"
  head -c 100 "$W/whole" > "$W/half"
  fails 2 "$W/half" hamal-period state import "$W/half"
  fails 2 "standard input" hamal-period state import - < /dev/null
  fails 1 "cannot open" hamal-period state import "$W/nowhere"
  fails 2 "--dry-run*for a pass" hamal-period state export --dry-run
  succeeds hamal-period state import "$W/whole"
}
