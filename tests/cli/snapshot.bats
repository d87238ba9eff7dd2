#!/usr/bin/env bats
# hamal-snapshot against a running qemu-storage-daemon.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers

setup() { make_world; }
teardown() { end_world; }

# What of ours QEMU still has: nothing, once everything was ended.
nodes_of_ours() {
  "$HAMAL_SOURCE/tests/lab/qmp.py" "$QSD/qmp.sock" query-named-block-nodes |
    python3 -c 'import json, sys
answer = json.load(sys.stdin)
nodes = answer.get("return", answer) if isinstance(answer, dict) else answer
print([n["node-name"] for n in nodes if "hamal" in n["node-name"]])'
}

held() { hamal-snapshot list lab --json > "$W/list"; field "$W/list" 'sum(s["state"] == "held" for s in d["snapshots"])'; }

@test "vms shows the machine and its disks, as a table and as JSON" {
  start_qsd 2
  succeeds hamal-snapshot vms lab
  has "$out" "VM * DISK * SIZE * PROTECTABLE"
  has "$out" "web * 32 MiB * yes"
  succeeds hamal-snapshot vms lab --json
  [ "$(field "$W/out" 'd["vms"][0]["name"], len(d["vms"][0]["disks"]), d["vms"][0]["disks"][0]["size"]')" = "('web', 2, 33554432)" ]
}

@test "create prints one line, the document, and nothing else" {
  start_qsd 2
  succeeds hamal-snapshot create lab:web
  [ "$(wc -l < "$W/out")" = 1 ]
  [ "$(field "$W/out" 'd["format"], d["version"], d["platform"], d["vm_name"], len(d["disks"])')" = "('hamal-snapshot', 1, 'lab', 'web', 2)" ]
  cp "$W/out" "$W/doc"
  [ "$(nodes_of_ours)" != "[]" ]
  succeeds hamal-snapshot list lab --json
  [ "$(field "$W/out" '[(s["state"], s["ours"], s["recorded"]) for s in d["snapshots"]]')" = "[('held', True, True)]" ]
  succeeds hamal-snapshot finish "$W/doc" --committed
  [ -z "$out" ]
  [ "$(held)" = 0 ]
  [ "$(nodes_of_ours)" = "[]" ]
}

@test "create takes platform and vm as two words, and only the disks that were named" {
  start_qsd 2
  hamal-snapshot vms lab --json > "$W/vms"
  disk=$(field "$W/vms" 'd["vms"][0]["disks"][1]["id"]')
  succeeds hamal-snapshot create lab web --disk "$disk"
  [ "$(field "$W/out" '[x["id"] for x in d["disks"]]')" = "['$disk']" ]
  hamal-snapshot finish - --failed < "$W/out"
  [ "$(held)" = 0 ]
}

@test "finish may be repeated, and says with --json what it ended" {
  start_qsd
  hamal-snapshot create lab:web > "$W/doc"
  succeeds hamal-snapshot finish "$W/doc" --failed --json
  [ "$(field "$W/out" 'd["outcome"], d["platform"], d["vm_id"]')" = "('failed', 'lab', 'web')" ]
  succeeds hamal-snapshot finish "$W/doc" --failed
}

@test "delete ends a snapshot whose document was lost" {
  start_qsd
  id=$(hamal-snapshot create lab:web | python3 -c 'import json, sys; print(json.load(sys.stdin)["snapshot_id"])')
  [ "$(held)" = 1 ]
  succeeds hamal-snapshot delete lab:web "$id"
  [ "$(held)" = 0 ]
  [ "$(nodes_of_ours)" = "[]" ]
}

@test "a closed pipe ends the snapshot again and exits 1" {
  start_qsd
  set +e
  { hamal-snapshot create lab:web 2> "$W/err"; echo $? > "$W/status"; } | true
  set -e
  [ "$(cat "$W/status")" = 1 ]
  has "$(cat "$W/err")" "standard output: the program reading our output has ended"
  [ "$(held)" = 0 ]
  [ "$(nodes_of_ours)" = "[]" ]
}

@test "a full disk for the document ends the snapshot again and exits 1" {
  start_qsd
  status=0
  hamal-snapshot create lab:web > /dev/full 2> "$W/err" || status=$?
  [ "$status" = 1 ]
  has "$(cat "$W/err")" "standard output: cannot write: No space left on device"
  [ "$(held)" = 0 ]
}

# A pipe that nobody empties: the document is larger than what is left of it, so create waits in its last step.
@test "SIGINT and SIGTERM while the document cannot be written end the snapshot" {
  start_qsd
  mkfifo "$W/pipe"
  for signal in INT TERM; do
    exec 7<> "$W/pipe"
    python3 -c 'import os
os.set_blocking(7, False)
try:
    while True: os.write(7, b"x" * 4096)
except BlockingIOError: pass
os.set_blocking(7, True)'
    # bash starts background jobs with SIGINT ignored; python gives it back.
    python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' hamal-snapshot create lab:web >&7 2> "$W/err" 3>&- &
    pid=$!
    until_true 60 grep -q "disks created" "$W/log/hamal-snapshot.log"
    sleep 0.2
    [ "$(held)" = 1 ]
    kill "-$signal" "$pid"
    status=0
    wait "$pid" || status=$?
    exec 7>&-
    if [ "$signal" = INT ]; then [ "$status" = 130 ]; else [ "$status" = 143 ]; fi
    [ "$(held)" = 0 ]
    [ "$(nodes_of_ours)" = "[]" ]
    : > "$W/log/hamal-snapshot.log"
  done
}

@test "a vm that another run holds is busy, and waited for when asked" {
  start_qsd
  lock_file "$W/lib/locks/vm-lab%2Fweb.lock"
  fails 4 "vm lab/web" hamal-snapshot create lab:web
  has "$err" "--wait"
  [ -z "$out" ]
  in_background hamal-snapshot create lab:web --wait=300
  sleep 1
  kill -0 "$BACKGROUND"
  # shellcheck disable=SC2086 # pids
  kill $LOCKER
  wait "$BACKGROUND"
  has "$(cat "$W/background.out")" '"format":"hamal-snapshot"'
}

@test "the state knows an intent of a run that was killed, and the next one says so" {
  start_qsd
  hamal-snapshot list lab > /dev/null
  python3 - "$W/lib/hamal.db" << 'PYTHON'
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
values = {"platform": "lab", "vm_id": "web", "snapshot_id": "intended-x", "state": "intended",
          "created": "2026-11-22T00:00:00Z", "document": ""}
database.execute(f"insert into snapshots ({','.join(values)}) values (?,?,?,?,?,?)", list(values.values()))
database.commit()
PYTHON
  succeeds hamal-snapshot create lab:web
  grep -q "WARNING .*intended at 2026-11-22T00:00:00Z was never recorded" "$W/log/hamal-snapshot.log"
}

@test "every log line has a time, a level and the run's id; the vm once it is known" {
  start_qsd
  export HAMAL_RUN_ID=deadbeef
  hamal-snapshot create lab:web > "$W/doc"
  grep -qE '^[0-9]{4}-[0-9-]{5}T[0-9:.]+Z INFO run=deadbeef vm=web snapshot hamal-[0-9a-f]{8}-' "$W/log/hamal-snapshot.log"
  if grep -vE '^[0-9]{4}-[0-9-]{5}T[0-9:.]+Z (DEBUG|INFO|WARNING|ERROR) run=deadbeef ' "$W/log/hamal-snapshot.log"; then
    return 1
  fi
}

@test "an image file is snapshotted offline, or by a reflink, or refused with the reason" {
  make_image "$W/x.raw"
  succeeds hamal-snapshot create "file:$W/x.raw" --offline
  hamal-snapshot finish --committed - < "$W/out"
  if cp --reflink=always "$W/x.raw" "$W/y.raw" 2> /dev/null; then
    succeeds hamal-snapshot create "file:$W/x.raw"
    hamal-snapshot finish --committed - < "$W/out"
  else
    fails 1 "--offline" hamal-snapshot create "file:$W/x.raw"
  fi
  [ -z "$(find "$W" -maxdepth 1 -name '.hamal*')" ]
}
