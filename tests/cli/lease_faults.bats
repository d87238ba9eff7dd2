#!/usr/bin/env bats
# What becomes of a vm when its lease cannot be renewed, is lost, or the state takes nothing at the worst moment.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers
load postgresql_helpers

setup_file() { start_postgresql; }
teardown_file() { stop_postgresql; }

setup() {
  # Long, but where a lease is to be lost: a busy machine may renew late.
  LEASE_TTL=30s
  [[ $BATS_TEST_DESCRIPTION != *"the lease was lost meanwhile"* ]] || LEASE_TTL=5s
  export LEASE_TTL
  make_proxies a b
  mkdir "$W/images"
  random_image "$W/images/web.raw" 4M
  configure "[platform lab]" "type = file" "path = $W/images" "offline = yes"
}
teardown() { end_world; }

# Break it: let Session tell nothing of a lease.
@test "a lease whose row is locked by something else is said to be late, and to be well again" {
  prepare "file:$W/x.raw"
  begin a "file:$W/x.raw"
  # Nothing of the test's is inherited: descriptor 3 is bats', 7 the stream.
  psql -qh "$POSTGRESQL" -U postgres -c "BEGIN; SELECT * FROM leases FOR UPDATE; SELECT pg_sleep(60)" "$DATABASE" \
    > /dev/null 2>&1 3>&- 7>&- &
  local locker=$!
  until_true 30 grep -q "WARNING.*the lease of vm lab/web.raw cannot be renewed now.*busy for 0.5 s" "$W/a-log/hamal-sync.log"
  sql "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND pid <> pg_backend_pid()"
  wait "$locker" || true
  until_true 30 grep -q "the lease of vm lab/web.raw is renewed again" "$W/a-log/hamal-sync.log"
  [ "$(grep -c "cannot be renewed now" "$W/a-log/hamal-sync.log")" = 1 ]
  go_on
  [ "$status" = 0 ]
  cmp "$W/images/web.raw" "$W/x.raw"
}

# Break it: judge a snapshot of hamal-period as one that was handed out (held_verdict.cpp).
@test "what a run of one proxy left is ended by the next run, whose ever, and what was made by hand is not" {
  hamal-repo init "dir:$W/store" > /dev/null
  configure "[job j]" "platform = lab" "vm = *" "target = dir:$W/store" "interval = 1h"
  as a hamal-snapshot create lab:web > "$W/by-hand"
  sql "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
    IF OLD.state = 'period' THEN RAISE EXCEPTION 'not now'; END IF; RETURN OLD; END \$\$;
    CREATE TRIGGER refuse BEFORE DELETE ON snapshots FOR EACH ROW EXECUTE FUNCTION refuse()"
  as a capture hamal-period
  [ "$status" = 1 ]
  [ "$(sql "SELECT state FROM runs")" = failed ]
  [ "$(sql "SELECT count(*) FROM snapshots")" = 2 ]
  sql "DROP TRIGGER refuse ON snapshots; DELETE FROM checkpoints"
  as b succeeds hamal-period --now
  [ "$(sql "SELECT state FROM snapshots")" = created ]
  as a succeeds hamal-snapshot finish "$W/by-hand" --failed
  # What it had kept for itself is of no use any more, and says so in no way that fails.
  as a succeeds hamal-period --now
  [ "$(sql "SELECT count(*) FROM snapshots")" = 0 ]
}

# Break it: let undo_snapshot() go by end_snapshot(), which asks for the lease.
@test "a snapshot that could not be recorded is ended although the lease was lost meanwhile" {
  start_qsd
  configure "[platform live]" "$(sed -n '/^type = qemu/,$p' "$HAMAL_CONFIG")"
  as a hamal-snapshot vms live > /dev/null # the tables
  # As long as it waits, the row of the lease is locked, and then nothing is recorded.
  sql "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
    IF NEW.state <> 'intended' THEN PERFORM pg_sleep(6); RAISE EXCEPTION 'not now'; END IF; RETURN NEW; END \$\$;
    CREATE TRIGGER refuse BEFORE INSERT ON snapshots FOR EACH ROW EXECUTE FUNCTION refuse()"
  as a fails 1 "not now" hamal-snapshot create live:web
  grep -q "the lease of vm live/.* is lost" "$W/a-log/hamal-snapshot.log"
  [ -z "$(ours_in_qemu)" ]
}

# Break it: let cached() throw what the state says.
@test "a version that is committed and not cached is said to be, and counted from" {
  hamal-repo init "dir:$W/store" > /dev/null
  as a hamal-snapshot create lab:web > "$W/doc"
  stage() { as a hamal-cbt-read "$W/doc" --target "dir:$W/store" | as a hamal-sync - --target "dir:$W/store" > /dev/null; }
  stage
  sql "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN RAISE EXCEPTION 'not now'; END \$\$;
    CREATE TRIGGER refuse BEFORE INSERT ON checkpoints FOR EACH ROW EXECUTE FUNCTION refuse()"
  as a capture hamal-repo commit "$W/doc" --target "dir:$W/store"
  [ "$status" = 0 ]
  has "$err" "warning: version 1 of lab:web.raw is committed, not cached: *not now*\`hamal-repo commit\` again caches it"
  [ "$(hamal-repo list "dir:$W/store" --json | wc -l)" = 1 ]
  [ "$(sql "SELECT count(*) FROM checkpoints")" = 0 ]
  # The direct form says so, too.
  as a capture hamal-sync --source lab:web/0 --target "dir:$W/store"
  [ "$status" = 0 ] || show "expected 0"
  has "$err" "warning: version 2 of lab:web.raw is committed, not cached"
  sql "DROP TRIGGER refuse ON checkpoints"
  as a succeeds hamal-repo commit "$W/doc" --target "dir:$W/store"
  [ -z "$err" ]
  [ "$(sql "SELECT generation FROM checkpoints")" = 1 ]
}

# Break it: let a loop give up its pass when it cannot tell what is due (passes.cpp), or let outlast() throw when nothing
# runs: the run is recorded ten minutes later.
@test "a loop records what has ended as soon as the state takes it, not at its next pass" {
  hamal-repo init "dir:$W/store" > /dev/null
  configure "[period]" "interval = 10m" "[job j]" "platform = lab" "vm = *" "target = dir:$W/store" "interval = 1h"
  as a hamal-snapshot vms lab > /dev/null # the tables
  sql "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
    IF NEW.state <> 'running' THEN RAISE EXCEPTION 'no room' USING ERRCODE = '53400'; END IF; RETURN NEW; END \$\$;
    CREATE TRIGGER refuse BEFORE INSERT ON runs FOR EACH ROW EXECUTE FUNCTION refuse()"
  HAMAL_CONFIG=$W/a.conf in_background hamal-period --loop
  until_true 60 grep -q "the state is waited for" "$W/a-log/hamal-period.log"
  [ "$(sql "SELECT state FROM runs")" = running ]
  sql "DROP TRIGGER refuse ON runs"
  recorded() { [ "$(sql "SELECT state FROM runs")" = "done" ]; }
  until_true 60 recorded
  kill -TERM "$BACKGROUND"
  wait "$BACKGROUND" || true
}

# Break it: let record_ended() throw whatever the state says: the pass ends with that, and db.raw stays "running".
@test "a run that the state will never take fails alone, and the others are recorded" {
  random_image "$W/images/db.raw" 1M
  configure "[job j]" "platform = lab" "vm = *" "target = file:$W/{vm}-{disk}.copy" "interval = 1h"
  as a hamal-snapshot vms lab > /dev/null # the tables
  sql "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
    IF NEW.state <> 'running' AND NEW.vm_id = 'web.raw' THEN RAISE EXCEPTION 'never'; END IF; RETURN NEW; END \$\$;
    CREATE TRIGGER refuse BEFORE INSERT ON runs FOR EACH ROW EXECUTE FUNCTION refuse()"
  as a capture hamal-period
  [ "$status" = 3 ] || { show "expected 3"; false; }
  grep -q "ERROR.*job j: vm web: that its run is done cannot be recorded: .*never" "$W/a-log/hamal-period.log"
  [ "$(sql "SELECT vm_id, state FROM runs ORDER BY vm_id")" = "$(printf '%s\n' "db.raw|done" "web.raw|running")" ]
}

# Break it: judge a vm by a record that is this proxy's own.
@test "a vm that one proxy failed to sync waits on all of them, longer with each failure, whoever tried" {
  configure "[job j]" "platform = lab" "vm = *" "target = dir:$W/nowhere" "interval = 1h"
  as a capture hamal-period
  [ "$status" != 0 ]
  as b succeeds hamal-period --dry-run
  [ "$out" = "# nothing is due" ]
  waits() { sql "SELECT ROUND(EXTRACT(EPOCH FROM CAST(next_run AS timestamptz) - CAST(ended AS timestamptz))) FROM runs"; }
  [ "$(waits)" = 60 ]
  as b capture hamal-period --now
  [ "$(sql "SELECT failures FROM runs")" = 2 ]
  [ "$(waits)" = 120 ]
  as a succeeds hamal-period --dry-run
  [ "$out" = "# nothing is due" ]
}

# hamal-period(1), HOOKS.
@test "a hook cannot take the machine that it is run for" {
  hamal-repo init "dir:$W/store" > /dev/null
  printf '%s\n' '#!/bin/sh' "export HAMAL_CONFIG=$W/a.conf PATH=$PATH" "hamal-snapshot create lab:web > $W/hook.out 2>&1" \
    "echo \$? > $W/hook.status" "hamal-repo list dir:$W/store > /dev/null" > "$W/hook"
  chmod 0755 "$W/hook"
  configure "[job j]" "platform = lab" "vm = *" "target = dir:$W/store" "interval = 1h" "post_hook = $W/hook"
  as a succeeds hamal-period
  [ "$(cat "$W/hook.status")" = 4 ]
  grep -q "busy" "$W/hook.out"
}

# Break it: take require_own_proxy() out of disk_sync.cpp.
@test "an NBD export and a device that another proxy has written are refused, until they are taken over" {
  nbdkit_at "$W/t.sock" memory 4M
  local targets=("nbd+unix:///?socket=$W/t.sock") target device
  truncate -s 4M "$W/device.raw"
  if device=$(losetup --find --show "$W/device.raw" 2> /dev/null); then targets+=("$device"); fi
  for target in "${targets[@]}"; do
    prepare "$target"
    as a succeeds hamal-sync "$W/stream" --target "$target"
    as b hamal-cbt-read "$W/doc" --target "$target" > "$W/stream"
    as b capture hamal-sync "$W/stream" --target "$target"
    [ "$status" = 6 ] || { show "expected 6"; break; }
    has "$err" "last written by another proxy, $(cat "$W/a/proxy_id")*--take-over" || break
    as b capture hamal-sync "$W/stream" --target "$target" --take-over
    [ "$status" = 0 ] || { show "expected 0"; break; }
    target=
  done
  [ -z "${device:-}" ] || losetup --detach "$device"
  [ -z "$target" ]
}
