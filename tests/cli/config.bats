#!/usr/bin/env bats
# hamal-config: what a configuration means, and what is wrong with it.
# Break it: print `spec.show` of a named section's secret, or let `check` leave the jobs out.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

bats_require_minimum_version 1.5.0
load helpers

setup() { make_world; }
teardown() { end_world; }

@test "what check prints is a configuration that means the same" {
  printf '%s\n' "[job nightly]" "platform = lab" "vm = 'web*'" "target = file:/srv/{vm} # x.img" "interval = 1h" \
    "[platform lab]" "type = file" "path = /srv/images" "[mass]" 'hyper_exporter_id = "a # b"' >> "$HAMAL_CONFIG"
  succeeds hamal-config check
  has "$out" "log_dir = $W/log*# $W/hamal.conf:2"
  has "$out" "interval = 60 *# default"
  has "$out" "target = file:/srv/{vm} *# $W/hamal.conf:"
  cp "$W/out" "$W/again.conf"
  cp "$W/out" "$W/first"
  succeeds hamal-config --config "$W/again.conf" check
  diff <(sed 's/ *# [^#]*$//' "$W/first") <(sed 's/ *# [^#]*$//' "$W/out")
  succeeds hamal-config check --quiet
  [ -z "$out" ]
  [ -z "$(ls "$W/log")" ]
}

@test "the later file counts, and is named" {
  mkdir "$W/conf.d"
  printf '%s\n' "[period]" "interval = 2m" > "$W/conf.d/site.conf"
  succeeds hamal-config check --json
  [ "$(field "$W/out" 'next((k["value"], k["file"], k["line"]) for k in d["keys"] if k["key"] == "interval")')" = \
    "('120', '$W/conf.d/site.conf', 2)" ]
  [ "$(field "$W/out" 'd["format"], d["version"], d["warnings"]')" = "('hamal-config', 1, [])" ]
  succeeds hamal-config get period interval
  [ "$out" = 120 ]
}

@test "secrets are masked, and get refuses them" {
  printf '%s\n' "[mass]" "auth_key = hush" "[s3 a]" "secret_key = hush" "access_key = shown" >> "$HAMAL_CONFIG"
  succeeds hamal-config check
  [[ $out != *hush* ]]
  has "$out" "# auth_key = (a plain secret)"
  has "$out" "access_key = shown"
  succeeds hamal-config check --json
  [[ $out != *hush* ]]
  fails 2 "is a secret" hamal-config get mass auth_key
  fails 2 "is a secret" hamal-config get "s3 a" secret_key
  fails 2 "there is no such key" hamal-config get mass nonsense
}

# Break it: leave carries_password out of effective.cpp, of refuse_value, or of an endpoint's check.
@test "an address with a password in it is not shown, and as an endpoint refused" {
  printf '%s\n' "[platform exports]" "type = nbd" "uri = nbds://user:hush@127.0.0.1/disk" "vm = web" >> "$HAMAL_CONFIG"
  succeeds hamal-config check
  [[ $out != *hush* ]]
  has "$out" "# uri = (an address with a password)"
  fails 2 "is a secret" hamal-config get "platform exports" uri
  printf '%s\n' "[s3 a]" "endpoint = https://user:hush@s3.example" >> "$HAMAL_CONFIG"
  fails 2 "[[]s3 a] endpoint: an address with a password (not shown) is not allowed" hamal-config check
  [[ $err != *hush* ]]
  sed -i '/^.s3 a/,$d' "$HAMAL_CONFIG"
  printf '%s\n' "[platform v]" "type = vmware" "endpoint = https://user:hush@vcenter.example" >> "$HAMAL_CONFIG"
  fails 2 "[[]platform v] endpoint: an address with a password (not shown) is not allowed" hamal-config check
  [[ $err != *hush* ]]
}

sql() { python3 -c 'import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(*(row[0] for row in connection.execute(sys.argv[2])))
connection.commit()
connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")' "$W/lib/hamal.db" "$1"; }

# Break it: open_state instead of look_at_state; leave require_not_moved() out of it.
@test "--state reads the tables and changes nothing: none, older ones, those of a hamal that is too new" {
  succeeds hamal-config check --quiet --state
  [ -z "$(ls "$W/lib")" ]
  succeeds hamal-sync checkpoint list
  sql "UPDATE meta SET value = '4' WHERE key = 'schema_version'"
  sha256sum "$W/lib/hamal.db" > "$W/sum"
  succeeds hamal-config check --quiet --state
  sha256sum --check --quiet "$W/sum"
  sql "INSERT INTO meta VALUES ('moved', '2026-11-30T00:00:00Z')"
  fails 2 "the state was moved to another database at 2026-11-30T00:00:00Z*state reopen" hamal-config check --quiet --state
  sql "DELETE FROM meta WHERE key = 'moved'"
  sql "UPDATE meta SET value = '99'"
  fails 1 "the state database has schema 99, this hamal knows" hamal-config check --quiet --state
  echo nonsense > "$W/lib/hamal.db"
  rm -f "$W"/lib/hamal.db-*
  fails 1 "damaged" hamal-config check --quiet --state
}

@test "a mistake anywhere is named with file and line, in a job's schedule too" {
  printf '%s\n' "[platform lab]" "type = file" "path = /srv" "[job x]" "platform = lab" "vm = a" "target = file:/t" \
    "schedule = 61 * * * *" >> "$HAMAL_CONFIG"
  fails 2 "hamal.conf:*is no calendar expression" hamal-config check
  sed -i 's/^schedule.*/interval = soon/' "$HAMAL_CONFIG"
  fails 2 "hamal.conf:*interval: ?soon? is not allowed" hamal-config check
  sed -i 's/^interval = soon/interval = 1h/' "$HAMAL_CONFIG"
  succeeds hamal-config check --quiet
  # What is only odd is told, and is no failure.
  echo "nonsense = 1" >> "$HAMAL_CONFIG"
  capture hamal-config check --quiet
  [ "$status" = 0 ]
  has "$err" "unknown key"
}

@test "--secrets reads each of them, and prints none" {
  printf 'hush' > "$W/secret"
  chmod 0644 "$W/secret"
  printf '%s\n' "[s3 a]" "secret_key = file:$W/secret" >> "$HAMAL_CONFIG"
  succeeds hamal-config check --quiet
  fails 2 "is open to everyone" hamal-config check --secrets
  chmod 0600 "$W/secret"
  succeeds hamal-config check --secrets
  [[ $out != *hush* ]]
}
