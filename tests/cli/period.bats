#!/usr/bin/env bats
# hamal-period: passes over jobs, on real disks; what is due, what fails, what was killed, and what is told of it.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers

setup() {
  make_world
  SECOND=
}
teardown() {
  [ -z "$SECOND" ] || "$HAMAL_SOURCE/tests/lab/qsd.sh" stop "$SECOND" || true
  end_world
}

# A second machine, platform "other", with one disk and the given name.
start_second() {
  QSD_SIZE=32M "$HAMAL_SOURCE/tests/lab/qsd.sh" start "$W/second" "$W/second.qcow2" > /dev/null
  SECOND=$W/second
  printf '%s\n' "[platform other]" "type = qemu" "qmp = $SECOND/qmp.sock" "vm = $1" \
    "nbd_socket = $SECOND/nbd.sock" "scratch_dir = $SECOND/scratch" "scratch_min_free = 1M" \
    >> "$HAMAL_CONFIG"
}

second_guest() { qemu-io -f raw -c "$1" "nbd+unix:///live0?socket=$SECOND/nbd.sock" > /dev/null; }

# job NAME PLATFORM TARGET LINE…
job() {
  printf '%s\n' "[job $1]" "platform = $2" "vm = *" "target = $3" "${@:4}" >> "$HAMAL_CONFIG"
}

# of NAME EXPRESSION: of the one vm of that job in the status.
of() {
  hamal-period status --json --job "$1" > "$W/status"
  field "$W/status" "d['vms'][0]$2"
}

held() {
  hamal-snapshot list "$1" --json > "$W/list"
  field "$W/list" 'sum(s["state"] == "held" for s in d["snapshots"])'
}

# have_ended PID…: none of them runs; a zombie (nobody reaps in some containers) has ended as well.
have_ended() {
  local pid
  for pid in "$@"; do
    ! grep -qs '^State:[[:space:]]*[A-WYa-y]' "/proc/$pid/status" || { echo "process $pid runs" >&2; return 1; }
  done
}

same_as_disk() { qemu-img compare -q -f raw -F raw "nbd+unix:///live$1?socket=$QSD/nbd.sock" "$2"; }

vm_log() { cat "$W"/log/vm-"$1"_Agent-*.log; }

@test "a pass syncs two machines into a repository and into files; the next finds nothing due" {
  start_qsd 2
  start_second db
  hamal-repo init "dir:$W/store" > /dev/null
  job files lab "file:$W/{vm}-{disk}.raw" "interval = 1h"
  job versions other "dir:$W/store" "interval = 1h" "retention = last=1"
  guest 0 "write -P 1 0 1M"
  guest 1 "write -P 2 7M 64k"
  second_guest "write -P 3 0 64k"
  succeeds hamal-period
  [ -z "$out" ]
  same_as_disk 0 "$W/web-top0.raw"
  same_as_disk 1 "$W/web-top1.raw"
  [ "$(hamal-repo list "dir:$W/store" --json | wc -l)" = 1 ]
  [ "$(of files '["mode"]')" = full ]
  [ "$(of versions '["state"]')" = "done" ]
  [ "$(of versions '["late"]')" = False ]
  [ "$(held lab)" = 0 ]
  [ "$(held other)" = 0 ]
  [ -z "$(ls "$W/lib/period")" ]
  succeeds hamal-period --dry-run
  [ "$out" = "# nothing is due" ]
  before=$(of files '["started"]')
  succeeds hamal-period
  [ "$(of files '["started"]')" = "$before" ]
  # Asked for, they are incrementals, and what the job does not keep is dropped.
  second_guest "write -P 4 1M 64k"
  succeeds hamal-period --now
  [ "$(of files '["mode"]')" = incremental ]
  [ "$(of versions '["mode"]')" = incremental ]
  [ "$(hamal-repo list "dir:$W/store" --json | wc -l)" = 1 ]
  succeeds hamal-repo verify --full "dir:$W/store"
  # The logs: of the machine alone, of the tools, of the pass.
  has "$(vm_log web)" "it was never run"
  has "$(vm_log web)" "disk top1 onto file:$W/web-top1.raw: full"
  has "$(vm_log web)" "it was asked for"
  has "$(vm_log web)" "the next one is due at 20"
  has "$(cat "$W/log/hamal-period-subprocess.log")" "job=files vm=lab:web hamal-sync: "
  has "$(cat "$W/log/hamal-period.log")" "pass: 2 due, 2 done, 0 failed, 0 busy"
  python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
assert d["format"] == "hamal-info" and d["last_pass"]["done"] == 2 and d["hamal"], d' "$W/lib/hamal_info"
}

@test "the lines of a dry run, pasted, are a run" {
  start_qsd 1
  start_second "we b's"
  hamal-repo init "dir:$W/store" > /dev/null
  job files lab "file:$W/{vm}-{disk}.raw" "interval = 1h" "bwlimit = 64M"
  job versions other "dir:$W/store" "interval = 1h" "retention = last=1"
  guest 0 "write -P 1 0 1M"
  succeeds hamal-period --dry-run
  cp "$W/out" "$W/pasted.sh"
  [ ! -e "$W/web-top0.raw" ]
  has "$out" "--bwlimit 67108864"
  if command -v shellcheck > /dev/null; then
    shellcheck -s sh -e SC2015 "$W/pasted.sh"
  fi
  (unset HAMAL_CONFIG && bash -e "$W/pasted.sh" > "$W/pasted.out" 2> "$W/pasted.err") ||
    { cat "$W/pasted.err" >&2; false; }
  same_as_disk 0 "$W/web-top0.raw"
  [ "$(hamal-repo list "dir:$W/store" --json | wc -l)" = 1 ]
  [ "$(held lab)" = 0 ]
  [ "$(held other)" = 0 ]
  # What is run are these very lines: the tools were told the same.
  succeeds hamal-period --now
  [ "$(of files '["mode"]')" = incremental ]
}

@test "killed in the middle: no second run while its tools live, and the next pass finishes it" {
  start_qsd 1
  job files lab "file:$W/{vm}-{disk}.raw" "interval = 1h" "bwlimit = 2M"
  guest 0 "write -P 1 0 8M"
  in_background hamal-period
  until_true 60 test -s "$W/web-top0.raw"
  tools=$(pgrep -P "$BACKGROUND")
  kill -9 "$BACKGROUND"
  [ "$(of files '["state"]')" = running ]
  # hamal-sync lives on, with the lock.
  succeeds hamal-period
  has "$(cat "$W/log/hamal-period.log")" "job files: vm web: *busy: held by pid="
  # shellcheck disable=SC2086 # words
  kill -9 $tools 2> /dev/null || true
  until_true 60 flock -n "$W/lib/locks/period-lab%2Fweb.lock" true
  sed -i 's/^bwlimit.*/bwlimit = 0/' "$HAMAL_CONFIG"
  succeeds hamal-period
  has "$(vm_log web)" "the last run was interrupted"
  [ "$(of files '["state"]')" = "done" ]
  same_as_disk 0 "$W/web-top0.raw"
  [ "$(held lab)" = 0 ]
  [ -z "$(ls "$W/lib/period")" ]
}

# Break it: let start_waiting() throw whatever starting says: the pass ends with that, and nothing is synced.
@test "a machine that cannot be started fails alone, and the others are synced" {
  local vm
  mkdir "$W/images"
  for vm in app web db; do random_image "$W/images/$vm.raw" 1M; done
  printf '%s\n' "[platform lab]" "type = file" "path = $W/images" "offline = yes" >> "$HAMAL_CONFIG"
  job j lab "file:$W/{vm}-{disk}.copy" "interval = 1h"
  # As one that root's pass has made, which another user cannot open.
  mkdir -p "$W/lib/locks/period-lab%2Fapp.raw.lock"
  capture hamal-period
  [ "$status" = 3 ] || { show "expected 3"; false; }
  cmp "$W/images/web.raw" "$W"/web*.copy
  cmp "$W/images/db.raw" "$W"/db*.copy
  has "$(cat "$W/log/hamal-period.log")" "job j: vm app*failed: it could not be started: *locks/period-lab*app*Is a directory"
  has "$(cat "$W/log/hamal-period.log")" "pass: 3 due, 2 done, 1 failed, 0 busy"
  hamal-period status --json > "$W/status"
  [ "$(field "$W/status" 'sorted((v["vm_name"], v["state"], v["failures"]) for v in d["vms"])')" = \
    "[('app', 'failed', 1), ('db', 'done', 0), ('web', 'done', 0)]" ]
  # What is mended is synced.
  rmdir "$W/lib/locks/period-lab%2Fapp.raw.lock"
  succeeds hamal-period --now
  cmp "$W/images/app.raw" "$W"/app*.copy
}

@test "SIGTERM ends the tools and leaves nothing running; the next pass goes on" {
  start_qsd 1
  job files lab "file:$W/{vm}-{disk}.raw" "interval = 1h" "bwlimit = 2M"
  guest 0 "write -P 1 0 8M"
  in_background hamal-period
  until_true 60 test -s "$W/web-top0.raw"
  tools=$(pgrep -P "$BACKGROUND")
  [ -n "$tools" ]
  kill -TERM "$BACKGROUND"
  status=0
  wait "$BACKGROUND" || status=$?
  [ "$status" = 143 ]
  # shellcheck disable=SC2086 # words
  have_ended $tools
  [ "$(of files '["state"]')" = interrupted ]
  [ "$(of files '["failures"]')" = 0 ]
  sed -i 's/^bwlimit.*/bwlimit = 0/' "$HAMAL_CONFIG"
  succeeds hamal-period
  same_as_disk 0 "$W/web-top0.raw"
  [ "$(held lab)" = 0 ]
}

@test "a machine that cannot be synced backs off, and the others go on" {
  start_qsd 1
  printf '%s\n' "[platform gone]" "type = qemu" "qmp = $W/no.sock" "nbd_socket = $W/no.nbd" "qmp_timeout = 1" >> "$HAMAL_CONFIG"
  job bad gone "file:$W/gone.raw" "interval = 1h" "priority = 9"
  job good lab "file:$W/{vm}-{disk}.raw" "interval = 1h"
  job worse lab "file:$W/none/{vm}-{disk}.raw" "interval = 1h" "priority = 5"
  capture hamal-period
  [ "$status" = 3 ]
  has "$err" "warning: job bad: "
  [ "$(of good '["state"]')" = "done" ]
  [ "$(of bad '["failures"]')" = 1 ]
  [ "$(of worse '["failures"]')" = 1 ]
  has "$(of worse '["last_error"]')" "none"
  [ "$(held lab)" = 0 ]
  # Neither is tried again at once.
  succeeds hamal-period
  [ "$(of bad '["failures"]')" = 1 ]
  [ "$(of worse '["failures"]')" = 1 ]
  # Repaired, and asked for.
  mkdir "$W/none"
  succeeds hamal-period --now --job worse
  [ "$(of worse '["failures"], d["vms"][0]["last_error"]')" = "(0, None)" ]
  same_as_disk 0 "$W/none/web-top0.raw"
}

@test "no more disks at a time than allowed, higher priorities first" {
  start_qsd 2
  start_second db
  job later lab "file:$W/{vm}-{disk}.raw" "interval = 1h"
  job first other "file:$W/{vm}-{disk}.raw" "interval = 1h" "priority = 1"
  printf '%s\n' "[data_sync_v2]" "parallel_sync_disks_count = 2" >> "$HAMAL_CONFIG"
  succeeds hamal-period --dry-run
  has "$out" "--parallel-disks 1 --memory-limit 268435456*--parallel-disks 2 --memory-limit 536870912"
  succeeds hamal-period
  [[ $(of first '["ended"]') < $(of later '["started"]') ]]
  # With a third they are run together.
  sed -i 's/^parallel_sync_disks_count.*/parallel_sync_disks_count = 3/' "$HAMAL_CONFIG"
  succeeds hamal-period --now
  [[ $(of first '["ended"]') > $(of later '["started"]') ]]
}

# clock OFFSET: HH:MM then, in this host's time zone, as hamal.conf means it.
clock() { date -d "$1" +%H:%M; }

# Break it: let judge() (lib/hamal/period/schedule.cpp) leave the windows out, and the first pass runs.
@test "outside of its window a job waits for the next one; inside it runs" {
  start_qsd 1
  job files lab "file:$W/{vm}-{disk}.raw" "interval = 1h" "window = $(clock '2 hours')-$(clock '3 hours')"
  succeeds hamal-period --dry-run
  [ "$out" = "# nothing is due" ]
  succeeds hamal-period
  [ ! -e "$W/web-top0.raw" ]
  has "$(of files '["next_run"]')" "$(date -u -d '2 hours' +T%H:%M)"
  sed -i "s/^window.*/window = $(clock '3 hours')-$(clock '4 hours'), $(clock '1 hour ago')-$(clock '1 hour')/" "$HAMAL_CONFIG"
  succeeds hamal-period
  same_as_disk 0 "$W/web-top0.raw"
}

# Break it: give each vm the whole limit (lines_of in tools/hamal-period/pass.cpp).
@test "the bandwidth of the hour is divided among the vms of a job that run at once" {
  mkdir "$W/images"
  for vm in a b c; do truncate -s 4M "$W/images/$vm.raw"; done
  printf '%s\n' "[platform images]" "type = file" "path = $W/images" "[data_sync_v2]" \
    "parallel_sync_disks_count = 2" >> "$HAMAL_CONFIG"
  job files images "file:$W/{vm}-{disk}.raw" "interval = 1h" \
    "bwlimit = $(clock '2 hours')-$(clock '3 hours') 1M, $(clock '1 hour ago')-$(clock '1 hour') 8M, 100M"
  succeeds hamal-period --dry-run
  [ "$(grep -c -- "--bwlimit 4194304" <<< "$out")" = 3 ]
}

@test "a limit of a job is kept to, and the log of the vm says that it was" {
  start_qsd 1
  job files lab "file:$W/{vm}-{disk}.raw" "interval = 1h" "bwlimit = $(clock '1 hour ago')-$(clock '1 hour') 512K, 100M"
  guest 0 "write -P 1 0 2M"
  succeeds hamal-period
  same_as_disk 0 "$W/web-top0.raw"
  has "$(vm_log web)" "bound by: throttle"
}

@test "hooks: their environment, and what becomes of the run when they fail or do not end" {
  start_qsd 1
  # shellcheck disable=SC2016 # for the script
  printf '#!/bin/sh\nenv | sort > "%s/env.$HAMAL_HOOK"\necho "said by $HAMAL_HOOK"\n' "$W" > "$W/hook"
  chmod +x "$W/hook"
  job files lab "file:$W/{vm}-{disk}.raw" "interval = 1h" "pre_hook = $W/hook" "post_hook = $W/hook"
  SECRET=x succeeds hamal-period
  has "$(cat "$W/env.pre")" "HAMAL_VM=web"
  has "$(cat "$W/env.post")" "HAMAL_STATUS=0"
  grep -v '^_=\|^PWD=\|^SHLVL=' "$W/env.pre" | cut -d = -f 1 | tr '\n' ' ' > "$W/names"
  [ "$(cat "$W/names")" = "HAMAL_HOOK HAMAL_JOB HAMAL_PLATFORM HAMAL_RUN_ID HAMAL_STATUS HAMAL_TARGET HAMAL_VM HAMAL_VM_ID LANG PATH " ]
  has "$(vm_log web)" "hook: said by post"
  # A pre hook that fails: no run, and the post hook all the same.
  printf '#!/bin/sh\nexit 3\n' > "$W/bad"
  chmod +x "$W/bad"
  sed -i "s|^pre_hook.*|pre_hook = $W/bad|" "$HAMAL_CONFIG"
  rm "$W/env.post"
  capture hamal-period --now
  [ "$status" = 1 ]
  has "$(of files '["last_error"]')" "the pre hook $W/bad ended with exit status 3"
  has "$(cat "$W/env.post")" "HAMAL_STATUS=1"
  generation=$(hamal-sync checkpoint list --json | python3 -c 'import json, sys; print(json.loads(sys.stdin.readline())["generation"])')
  [ "$generation" = 1 ]
  # A warning alone.
  printf '%s\n' "hook_failure = warn" >> "$HAMAL_CONFIG"
  succeeds hamal-period --now
  has "$(vm_log web)" "WARNING *the pre hook"
  # One that does not end, with a child of its own.
  # shellcheck disable=SC2016 # for the script
  printf '#!/bin/sh\nsleep 600 &\necho $! > "%s/sleeper"\nwait\n' "$W" > "$W/bad"
  printf '%s\n' "hook_timeout = 1" >> "$HAMAL_CONFIG"
  succeeds hamal-period --now
  has "$(vm_log web)" "did not end in time"
  have_ended "$(cat "$W/sleeper")"
}

# Break it: let hooks inherit what tools do.
@test "a daemon that a hook leaves behind does not keep the machine busy" {
  start_qsd 1
  # It ends by itself, when the test does.
  printf '%s\n' '#!/bin/sh' "setsid sh -c 'while [ -e $W/hook ]; do sleep 0.1; done' > /dev/null 2>&1 < /dev/null &" > "$W/hook"
  chmod 0755 "$W/hook"
  job files lab "file:$W/{vm}-{disk}.raw" "interval = 1h" "pre_hook = $W/hook"
  succeeds hamal-period
  succeeds hamal-period --now
  rm "$W/hook"
  [ "$(of files "['state']")" = "done" ]
  has "$(cat "$W/log/hamal-period.log")" "1 due, 1 done, 0 failed, 0 busy*1 due, 1 done, 0 failed, 0 busy"
}

@test "strange names are names of files all the same" {
  need qemu-storage-daemon
  start_second "../we/b 1"
  job odd other "file:$W/{disk}.raw" "interval = 1h"
  succeeds hamal-period
  [ "$(of odd '["vm_name"]')" = "../we/b 1" ]
  [ "$(find "$W/log" -name 'vm-..%2Fwe%2Fb%201_Agent-????????-????-5???-????-????????????.log' | wc -l)" = 1 ]
  [ "$(find "$W/log" -mindepth 2 | wc -l)" = 0 ]
}

@test "status and health" {
  start_qsd 1
  job files lab "file:$W/none/{disk}.raw" "interval = 1h"
  succeeds hamal-period status
  has "$out" "never run"
  capture hamal-period health
  [ "$status" = 1 ]
  has "$out" "no pass has ended yet"
  capture hamal-period
  [ "$status" != 0 ]
  succeeds hamal-period health
  capture hamal-period health --max-failures 0
  [ "$status" = 1 ]
  has "$out" "vm web failed 1 times"
  capture hamal-period health --max-age 0s
  [ "$status" = 1 ]
  has "$out" "the last pass ended"
  printf 'broken' > "$W/lib/hamal.db"
  rm -f "$W/lib/hamal.db-wal" "$W/lib/hamal.db-shm"
  fails 1 "damaged" hamal-period health
}

@test "a loop goes on until it is stopped, and metrics are those of the page" {
  start_qsd 1
  job files lab "file:$W/{vm}-{disk}.raw" "interval = 1s"
  printf '%s\n' "[period]" "interval = 1s" >> "$HAMAL_CONFIG"
  in_background hamal-period --loop --metrics-file "$W/period.prom"
  again() { [ "$(hamal-sync checkpoint list --json | grep -c '"generation":[2-9]')" = 1 ]; }
  until_true 60 again
  succeeds hamal-period health
  kill -TERM "$BACKGROUND"
  status=0
  wait "$BACKGROUND" || status=$?
  [ "$status" = 143 ]
  [ ! -s "$W/background.err" ] || has "$(cat "$W/background.err")" "hamal-period: error: "
  "$HAMAL_SOURCE/tests/cli/check_metrics.py" "$W/period.prom" > "$W/metrics.json"
  sed -n 's/^\(hamal_period[a-z_]*\).*/\1/p' "$W/period.prom" | sort -u > "$W/written"
  sed -nE 's/^\.It Va (hamal_period_[a-z_]+)$/\1/p' "$HAMAL_SOURCE/man/hamal-period.1" | sort > "$W/page"
  diff -u "$W/written" "$W/page"
}

@test "mistakes in a job are named with file and line" {
  fails 2 "has no ?job NAME? section" hamal-period
  printf '%s\n' "[job x]" "platform = nowhere" "vm = a" "target = file:/t" "interval = 1h" >> "$HAMAL_CONFIG"
  fails 2 "there is no ?platform nowhere?" hamal-period status
  start_qsd 1
  sed -i 's/nowhere/lab/; s/^interval = 1h/schedule = 61 * * * */' "$HAMAL_CONFIG"
  fails 2 "is no calendar expression" hamal-period
  sed -i 's/^schedule.*/interval = 1h/' "$HAMAL_CONFIG"
  fails 2 "there is no such job" hamal-period --job y
  fails 2 "are for a pass" hamal-period status --now
}
