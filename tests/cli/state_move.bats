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

# Break it: leave the checkpoints out of the export, and the run is a full; the disk flag's key, and it is refused.
@test "a state is exported, imported into PostgreSQL once, and the next run is an incremental" {
  printf '%s\n' "[job j]" "platform = lab" "vm = *" "target = file:$W/{vm}-{disk}.raw" "interval = 1h" |
    tee -a "$HAMAL_CONFIG" >> "$W/a.conf"
  guest 0 "write -P 1 0 4M"
  succeeds hamal-period
  hamal-period status --json > "$W/before.json"
  succeeds hamal-period state export
  cp "$W/out" "$W/state.json"
  succeeds hamal-sync checkpoint list --json
  cp "$W/out" "$W/checkpoints.json"

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

@test "what is no exported state is refused, and changes nothing" {
  HAMAL_CONFIG=$W/a.conf
  document > "$W/doc"
  fails 2 "is a snapshot document, not" hamal-period state import "$W/doc"
  succeeds hamal-period state export
  cp "$W/out" "$W/whole"
  head -c 100 "$W/whole" > "$W/half"
  fails 2 "$W/half" hamal-period state import "$W/half"
  fails 2 "standard input" hamal-period state import - < /dev/null
  fails 1 "cannot open" hamal-period state import "$W/nowhere"
  fails 2 "--dry-run*for a pass" hamal-period state export --dry-run
  succeeds hamal-period state import "$W/whole"
}
