# shellcheck shell=bash
# A PostgreSQL of the file's tests, a database for each of them, and proxies that share it.

# For setup_file and teardown_file.
start_postgresql() {
  need psql
  [ -d /usr/lib/postgresql ] || skip "the package postgresql is not installed"
  POSTGRESQL=$(mktemp -d /tmp/hamal-pg.XXXXXX)
  chmod 0755 "$POSTGRESQL"
  "$HAMAL_SOURCE/tests/lab/postgresql.sh" "$POSTGRESQL" > "$POSTGRESQL/log" 2>&1 3>&- &
  POSTGRESQL_PID=$!
  export POSTGRESQL POSTGRESQL_PID
  until_true 60 psql -qh "$POSTGRESQL" -U postgres -c 'SELECT 1' hamal || { cat "$POSTGRESQL/log" >&2; return 1; }
}
stop_postgresql() {
  [ -n "${POSTGRESQL:-}" ] || return 0
  kill -INT "$POSTGRESQL_PID" 2> /dev/null || true
  wait "$POSTGRESQL_PID" 2> /dev/null || true
  rm -rf "$POSTGRESQL"
}

# make_proxies NAME… : a world with one configuration per proxy, $W/NAME.conf, on one new database.
make_proxies() {
  local name
  make_world
  DATABASE=t$BATS_TEST_NUMBER
  psql -qh "$POSTGRESQL" -U postgres -c "CREATE DATABASE $DATABASE OWNER hamal" hamal
  for name in "$@"; do
    mkdir -p "$W/$name" "$W/$name-log"
    printf '%s\n' "[DEFAULT]" "log_dir = $W/$name-log" "hamal_lib_dir = $W/$name/" \
      "hamal_info_path = $W/$name/hamal_info" "[database]" \
      "connection = postgresql://hamal:hamal-secret@/$DATABASE?host=$POSTGRESQL" "[sync]" \
      "outage_max = 2s" "lease_ttl = ${LEASE_TTL:-60s}" > "$W/$name.conf"
    chmod 0600 "$W/$name.conf"
  done
}

# configure LINE…: in the configuration of every proxy.
configure() {
  local file
  for file in "$W"/*.conf; do
    [ "$file" = "$HAMAL_CONFIG" ] || printf '%s\n' "$@" >> "$file"
  done
}

# as NAME COMMAND…
as() { HAMAL_CONFIG=$W/$1.conf "${@:2}"; }

sql() { psql -qtAh "$POSTGRESQL" -U postgres -c "$1" "$DATABASE"; }

# holder VM-ID: the proxy that has its lease, by its proxy_id; nothing when none has.
holder() { sql "SELECT proxy FROM leases WHERE vm_id = '$1' AND owner <> ''"; }
is_held() { [ -n "$(holder "$1")" ]; }
token() { sql "SELECT token FROM leases WHERE vm_id = '$1'"; }

# prepare TARGET: a document and its extent stream, as proxy a makes them.
prepare() {
  as a hamal-snapshot create lab:web > "$W/doc"
  as a hamal-cbt-read "$W/doc" --target "$1" > "$W/stream"
}

# begin PROXY TARGET: its hamal-sync has the vm and waits for the rest of the stream ($W/rest, descriptor 7).
begin() {
  rm -f "$W/fifo"
  mkfifo "$W/fifo"
  HAMAL_CONFIG=$W/$1.conf in_background hamal-sync "$W/fifo" --target "$2"
  exec 7> "$W/fifo"
  head -n 1 "$W/stream" >&7
  until_true 30 is_held web.raw
}
# go_on: the rest of the stream; the status of that hamal-sync is $status, what it said $err.
# shellcheck disable=SC2034 # the tests read them
go_on() {
  tail -n +2 "$W/stream" >&7
  exec 7>&-
  status=0
  wait "$BACKGROUND" || status=$?
  err=$(cat "$W/background.err")
}
