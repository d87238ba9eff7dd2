#!/usr/bin/env bats
# Several proxies on one database: one at a time has a vm, who lost it writes nothing, and what dies is taken over.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers
load postgresql_helpers

setup_file() { start_postgresql; }
teardown_file() { stop_postgresql; }

setup() {
  export LEASE_TTL=5s
  make_proxies a b
  mkdir "$W/images"
  random_image "$W/images/web.raw" 4M
  configure "[platform lab]" "type = file" "path = $W/images" "offline = yes"
}
teardown() { end_world; }

# job TARGET LINE…: the same on both proxies.
job() {
  configure "[job j]" "platform = lab" "vm = *" "target = $1" "${@:2}"
}

same() { cmp "$W/images/web.raw" "$1"; }

@test "what one proxy syncs is busy for the other, which is told by whom, and free afterwards" {
  prepare "file:$W/x.raw"
  begin a "file:$W/x.raw"
  [ "$(holder web.raw)" = "$(cat "$W/a/proxy_id")" ]
  for command in "hamal-sync $W/stream --target file:$W/y.raw" "hamal-snapshot create lab:web" \
    "hamal-snapshot finish $W/doc --failed" "hamal-repo commit $W/doc --target dir:$W/none"; do
    # shellcheck disable=SC2086 # words
    as b fails 4 "vm lab/web.raw: busy: proxy $(uname -n) has leased it, for another * s unless it renews" $command
  done
  [ ! -e "$W/y.raw" ]
  go_on
  [ "$status" = 0 ]
  same "$W/x.raw"
  [ -z "$(holder web.raw)" ]
  as b succeeds hamal-snapshot finish "$W/doc" --committed
}

# Break it: keep `scope` out of acquire() (sql_lease_state.cpp), and the second run is busy.
@test "the lease of a process that was killed is free at once on its host, and for others after its time" {
  prepare "file:$W/x.raw"
  begin a "file:$W/x.raw"
  kill -KILL "$BACKGROUND"
  wait "$BACKGROUND" || true
  exec 7>&-
  as b fails 4 "busy: proxy" hamal-sync "$W/stream" --target "file:$W/y.raw"
  as a succeeds hamal-sync "$W/stream" --target "file:$W/x.raw"
  begin a "file:$W/x.raw"
  kill -KILL "$BACKGROUND"
  wait "$BACKGROUND" || true
  exec 7>&-
  as b succeeds hamal-sync "$W/stream" --target "file:$W/y.raw" --wait 60
}

# What stops a service, a container and an uninstallation.
@test "a run that is stopped gives its lease back" {
  prepare "file:$W/x.raw"
  begin a "file:$W/x.raw"
  kill -TERM "$BACKGROUND"
  status=0
  wait "$BACKGROUND" || status=$?
  exec 7>&-
  [ "$status" = 143 ]
  [ -z "$(holder web.raw)" ]
  as b succeeds hamal-sync "$W/stream" --target "file:$W/y.raw"
}

# Break it: let FencedWriter not ask, and the sleeper writes over what the other has committed; let State not check the
# token either, and it commits.
@test "a proxy that slept while another took its vm writes and commits nothing" {
  hamal-repo init "dir:$W/store" > /dev/null
  prepare "file:$W/x.raw"
  begin a "file:$W/x.raw"
  kill -STOP "$BACKGROUND"
  as b succeeds hamal-sync "$W/stream" --target "file:$W/y.raw" --wait 60
  [ -z "$(holder web.raw)" ]
  kill -CONT "$BACKGROUND"
  go_on
  [ "$status" = 4 ]
  has "$err" "the lease of this machine was lost"
  [ ! -e "$W/x.raw" ] || [ "$(du -k "$W/x.raw" | cut -f 1)" = 0 ]
  [ "$(sql "SELECT count(*) FROM checkpoints WHERE target LIKE '%x.raw'")" = 0 ]
  as a succeeds hamal-sync "$W/stream" --target "file:$W/x.raw"
  same "$W/x.raw"
}

@test "a proxy goes on renewing for as long as it works" {
  prepare "file:$W/x.raw"
  begin a "file:$W/x.raw"
  before=$(token web.raw)
  # Longer than a lease lasts: the other does not get it.
  as b fails 4 "busy: proxy" hamal-sync "$W/stream" --target "file:$W/y.raw" --wait 8
  go_on
  [ "$status" = 0 ]
  [ "$(token web.raw)" = "$before" ]
}

# Break it: leave HAMAL_LEASE out of what the programs inherit (vm_run.cpp), and the run is busy with itself.
@test "hamal-period has the vm throughout its run, under one token, and the next proxy finds nothing due" {
  hamal-repo init "dir:$W/store" > /dev/null
  job "dir:$W/store" "interval = 1h"
  as a succeeds hamal-period
  [ "$(token web.raw)" = 1 ]
  [ -z "$(holder web.raw)" ]
  as b succeeds hamal-period --dry-run
  [ "$out" = "# nothing is due" ]
  as b succeeds hamal-period --now
  [ "$(token web.raw)" = 2 ]
  [ "$(hamal-repo list "dir:$W/store" --json | wc -l)" = 2 ]
}

@test "hamal-period counts a vm that another proxy runs as busy, and what died there is taken over" {
  hamal-repo init "dir:$W/store" > /dev/null
  printf '%s\n' '#!/bin/sh' "while [ -e $W/hold ]; do sleep 0.1; done" > "$W/hook"
  chmod 0755 "$W/hook"
  job "dir:$W/store" "interval = 1h" "pre_hook = $W/hook"
  touch "$W/hold"
  HAMAL_CONFIG=$W/a.conf in_background hamal-period
  until_true 30 is_held web.raw
  # Found due (it has not ended), and not run.
  as b succeeds hamal-period
  has "$(cat "$W/b-log/hamal-period.log")" "1 due, 0 done, 0 failed, 1 busy"
  kill -KILL "$BACKGROUND"
  wait "$BACKGROUND" || true
  rm "$W/hold"
  taken() {
    as b hamal-period && [ "$(hamal-repo list "dir:$W/store" --json | wc -l)" = 1 ]
  }
  until_true 60 taken
  [ "$(token web.raw)" = 2 ]
}

# Break it: take require_own_proxy() out of disk_sync.cpp, or out of lock_targets().
@test "a file that another proxy has written is refused, until it is taken over" {
  prepare "file:$W/x.raw"
  as a succeeds hamal-sync "$W/stream" --target "file:$W/x.raw"
  cp "$W/x.raw" "$W/before"
  as b hamal-cbt-read "$W/doc" --target "file:$W/x.raw" > "$W/stream"
  local other
  other="last written by another proxy, $(cat "$W/a/proxy_id")*--take-over"
  as b fails 6 "$other" hamal-sync "$W/stream" --target "file:$W/x.raw"
  as b fails 6 "$other" hamal-sync release --target "file:$W/x.raw"
  as b fails 6 "$other" hamal-sync rollback --target "file:$W/x.raw"
  as b fails 6 "$other" hamal-sync checkpoint forget --target "file:$W/x.raw"
  as b succeeds hamal-sync checkpoint list
  cmp "$W/before" "$W/x.raw"
  as b succeeds hamal-sync "$W/stream" --target "file:$W/x.raw" --take-over
  has "$(cat "$W/b-log/hamal-sync.log")" "is taken over from proxy $(cat "$W/a/proxy_id")"
  as a fails 6 "another proxy, $(cat "$W/b/proxy_id")" hamal-sync "$W/stream" --target "file:$W/x.raw"
  as b succeeds hamal-sync release --target "file:$W/x.raw"
}

@test "hamal-period leaves a vm to the proxy that writes its files" {
  job "file:$W/{vm}-{disk}.raw" "interval = 1h"
  as a succeeds hamal-period
  sql "UPDATE runs SET started = '2020-01-01T00:00:00Z', ended = '2020-01-01T00:00:00Z'"
  as b capture hamal-period
  [ "$status" = 0 ]
  has "$(cat "$W/b-log/hamal-period.log")" "0 due"
  as b capture hamal-period --now
  [ "$status" = 6 ]
  has "$(cat "$W/b-log/hamal-period.log")" "last written by another proxy"
  as a succeeds hamal-period
  has "$(cat "$W/a-log/hamal-period.log")" "1 due, 1 done"
}

# Break it: leave out say_forsaken(), or the writers in status.cpp.
@test "a vm that is left to a proxy that is dead is warned of, in the log, the status and the health" {
  job "file:$W/{vm}-{disk}.raw" "interval = 1h"
  as a succeeds hamal-period
  as b succeeds hamal-period
  as b succeeds hamal-period health
  sql "UPDATE runs SET started = '2020-01-01T00:00:00Z', ended = '2020-01-01T00:00:00Z', last_success = '2020-01-01T00:00:00Z'"
  local left
  left="left to proxy $(cat "$W/a/proxy_id"), which wrote its target; if that one is dead: hamal-sync --take-over"
  as b capture hamal-period
  [ "$status" = 0 ]
  has "$err" "warning: job j: vm web: $left"
  as b hamal-period status --json > "$W/status"
  [ "$(field "$W/status" "d['vms'][0]['left_to']")" = "$(cat "$W/a/proxy_id")" ]
  [ "$(field "$W/status" "d['vms'][0]['last_error']")" = "$left" ]
  as b capture hamal-period health
  [ "$status" = 1 ]
  has "$out" "job j: vm web is late, and $left"
  # It is its own proxy's to sync, and while it is at it nobody complains.
  as a succeeds hamal-period health
  sql "UPDATE leases SET owner = 'somebody', expires = 99999999999999"
  as b succeeds hamal-period health
}

# Break it: let writer_of() take the first writer that it finds.
@test "a vm whose disks belong to different proxies fails, and says whose they are" {
  job "file:$W/{vm}-{disk}.raw" "interval = 1h"
  as a succeeds hamal-period
  sql "UPDATE runs SET started = '2020-01-01T00:00:00Z', ended = '2020-01-01T00:00:00Z'"
  as b hamal-period status > /dev/null  # its proxy_id
  # What a run of b was changing when it died is b's, whatever is older; a is told so.
  sql "INSERT INTO in_progress (platform, vm_id, disk_id, target, mode, base_change_id, change_id, snapshot_id, plan_path,
    started, proxy) SELECT platform, vm_id, disk_id, target, 'full', '', '', 's', '/none', 'then', '$(cat "$W/b/proxy_id")' FROM checkpoints"
  as a capture hamal-period
  has "$err" "left to proxy $(cat "$W/b/proxy_id")"
  # Another disk of the vm, whose writer is a.
  sql "INSERT INTO checkpoints (platform, vm_id, disk_id, target, vm_name, change_id, snapshot_id, generation, size, committed,
    target_uri, proxy) SELECT platform, vm_id, disk_id, 'file:$W/web.raw-old.raw', vm_name, '', 's', 1, size, committed,
    'file:$W/web.raw-old.raw', proxy FROM checkpoints"
  as a capture hamal-period
  [ "$status" = 6 ]
  as a hamal-period status --json > "$W/status"
  has "$(field "$W/status" "d['vms'][0]['last_error']")" "another proxy, $(cat "$W/b/proxy_id")"
}

# Break it: let own_job_record() be empty.
@test "a platform that one proxy cannot reach stops the job on that proxy alone" {
  hamal-repo init "dir:$W/store" > /dev/null
  job "dir:$W/store" "interval = 1h"
  sed -i "s|^path = .*|path = $W/nowhere|" "$W/a.conf"
  as a capture hamal-period
  [ "$status" != 0 ]
  # It waits before it tries again.
  as a succeeds hamal-period
  as a capture hamal-period health --max-failures 0
  [ "$status" = 1 ]
  has "$out" "proxy $(cat "$W/a/proxy_id"): "
  as b succeeds hamal-period
  has "$(cat "$W/b-log/hamal-period.log")" "1 due, 1 done"
  as b succeeds hamal-period health --max-failures 0
  sql "UPDATE runs SET ended = '2020-01-01T00:00:00Z', started = '2020-01-01T00:00:00Z' WHERE vm_id LIKE '//proxy/%'"
  sed -i "s|^path = .*|path = $W/images|" "$W/a.conf"
  as a succeeds hamal-period
  [ "$(sql "SELECT count(*) FROM runs WHERE vm_id LIKE '//proxy/%'")" = 0 ]
}

# Break it: let forget_vm() take no lease.
@test "a pass does not touch the record of a vm that it does not see and that another proxy runs" {
  hamal-repo init "dir:$W/store" > /dev/null
  printf '%s\n' '#!/bin/sh' "while [ -e $W/hold ]; do sleep 0.1; done" > "$W/hook"
  chmod 0755 "$W/hook"
  job "dir:$W/store" "interval = 1h" "pre_hook = $W/hook"
  mkdir "$W/others"
  random_image "$W/others/mail.raw" 1M
  sed -i "s|^path = .*|path = $W/others|" "$W/b.conf"
  touch "$W/hold"
  HAMAL_CONFIG=$W/a.conf in_background hamal-period
  runs() { [ "$(sql "SELECT state FROM runs WHERE vm_id = 'web.raw'")" = running ]; }
  until_true 30 runs
  as b succeeds hamal-period --vm none
  runs
  rm "$W/hold"
  wait "$BACKGROUND"
  [ "$(sql "SELECT state FROM runs WHERE vm_id = 'web.raw'")" = "done" ]
  # Once nobody runs it, it is said to be gone.
  as b hamal-period --vm none
  has "$(sql "SELECT last_error FROM runs WHERE vm_id = 'web.raw'")" "does not have it any more"
}

# Break it: let outlast() always throw, and the run that goes on is stopped.
@test "while the state takes nothing the runs go on, and what has ended is recorded as soon as it does" {
  hamal-repo init "dir:$W/store" > /dev/null
  printf '%s\n' '#!/bin/sh' "while [ -e $W/hold-\$HAMAL_VM_ID ]; do sleep 0.1; done" > "$W/hook"
  chmod 0755 "$W/hook"
  job "dir:$W/store" "interval = 1h" "pre_hook = $W/hook"
  random_image "$W/images/mail.raw" 1M
  touch "$W/hold-web.raw" "$W/hold-mail.raw"
  HAMAL_CONFIG=$W/a.conf in_background hamal-period
  state_is() { [ "$(sql "SELECT state FROM runs WHERE vm_id = '$1'")" = "$2" ]; }
  until_true 30 state_is web.raw running
  until_true 30 state_is mail.raw running
  sql "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
    RAISE EXCEPTION 'no room' USING ERRCODE = '53400'; END \$\$;
    CREATE TRIGGER refuse BEFORE INSERT ON runs FOR EACH ROW EXECUTE FUNCTION refuse()"
  rm "$W/hold-mail.raw"
  until_true 30 grep -q "the state is waited for, and the runs go on" "$W/a-log/hamal-period.log"
  state_is mail.raw running
  sql "DROP TRIGGER refuse ON runs"
  until_true 30 state_is mail.raw "done"
  state_is web.raw running
  rm "$W/hold-web.raw"
  wait "$BACKGROUND"
  state_is web.raw "done"
  [ "$(grep -c "the state is waited for" "$W/a-log/hamal-period.log")" = 1 ]
}

# Break it: let VmLock take its kernel lock first.
# Break it: let why_of_another() ask nothing but whether the configuration has the section.
@test "a snapshot that a proxy works on under the old name of its section is left by one that has the new name" {
  start_qsd 1
  local section
  section=$(sed -n '/^type = qemu/,$p' "$HAMAL_CONFIG")
  printf '%s\n' "[platform old]" "$section" >> "$W/a.conf"
  printf '%s\n' "[platform new]" "$section" >> "$W/b.conf"
  as a hamal-snapshot create old:web > "$W/doc"
  as a hamal-cbt-read "$W/doc" --full > "$W/stream"
  mkfifo "$W/fifo"
  HAMAL_CONFIG=$W/a.conf in_background hamal-sync "$W/fifo" --target "file:$W/x.raw"
  exec 7> "$W/fifo"
  head -n 1 "$W/stream" >&7
  until_true 30 is_held web
  as b succeeds hamal-snapshot delete --stale new --json
  [ "$(field "$W/out" "[(s['action'], s['reason']) for s in d['snapshots']]")" = \
    "[('left', 'recorded by [platform old]')]" ] || { show "expected it left"; false; }
  go_on
  [ "$status" = 0 ]
  # Nobody works under that name any more, which the configuration does not have.
  as b succeeds hamal-snapshot delete --stale new --json --dry-run
  has "$(field "$W/out" "[s['action'] for s in d['snapshots']]")" "would delete"
}

@test "a tool that waits for the lease of a vm does not keep others from the vm meanwhile" {
  prepare "file:$W/x.raw"
  begin a "file:$W/x.raw"
  local writer=$BACKGROUND
  HAMAL_CONFIG=$W/b.conf in_background hamal-snapshot create lab:web --wait 60 7>&-
  is_locked() { [ -e "$W/b/locks/$1-lab%2Fweb.raw.lock" ] && ! flock -n "$W/b/locks/$1-lab%2Fweb.raw.lock" true; }
  until_true 30 is_locked lease
  if is_locked vm; then return 1; fi
  tail -n +2 "$W/stream" >&7
  exec 7>&-
  wait "$writer"
  wait "$BACKGROUND"
}

# Break it: say of every lease that is not renewed that another proxy has it.
@test "a lease in the environment that is none is refused, and one of another vm is not used" {
  HAMAL_LEASE=nonsense as a fails 2 "HAMAL_LEASE*is not a lease" hamal-snapshot create lab:web
  HAMAL_LEASE=lab/other:me:1 as a succeeds hamal-snapshot create lab:web
  HAMAL_LEASE=lab/web.raw:me:1 as a fails 4 "released, or there never was one*unset HAMAL_LEASE" hamal-snapshot create lab:web
  prepare "file:$W/x.raw"
  begin a "file:$W/x.raw"
  HAMAL_LEASE=lab/web.raw:me:1 as b fails 4 "the lease of this machine was lost: proxy $(uname -n) has taken it" \
    hamal-snapshot create lab:web
  go_on
  [ "$status" = 0 ]
}
