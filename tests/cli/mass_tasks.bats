#!/usr/bin/env bats
# Tasks of the console, run by hamal-period: what is refused, what is run once, what is told of it.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers
load mass_helpers

setup_file() { start_mass; }
teardown_file() { stop_mass; }

setup() {
  make_mass_world
  console
  # A job that is never due by itself: its window is hours away.
  mkdir "$W/images"
  random_image "$W/images/web.raw" 4M
  printf '%s\n' "[period]" "interval = 1s" "task_update_wait_time = 100ms" "[platform lab]" "type = file" \
    "path = $W/images" "offline = yes" "[job files]" "platform = lab" "vm = web*" "target = file:$W/{vm}-{disk}.copy" \
    "interval = 1h" "window = $(date -d '+6 hours' +%H:%M)-$(date -d '+7 hours' +%H:%M)" >> "$HAMAL_CONFIG"
  hamal-heartbeat
}
teardown() { end_mass_world; }

# task ID [FIELD VALUE]…: JSON of a task that can be run, but for those fields.
task() {
  python3 -c 'import json, sys
task = {"id": sys.argv[1], "kind": "sync", "platform": "lab", "vm": "web", "target": sys.argv[2]}
task.update(zip(sys.argv[3::2], sys.argv[4::2]))
print(json.dumps(task))' "$1" "file:$W/{vm}-{disk}.copy" "${@:2}"
}
# give TASK…: all that the console has.
give() {
  local IFS=,
  tell PUT /__set "{\"tasks\": [$*]}" > /dev/null
}
results() { asked '[(r["task"], r["state"], r["exit_status"]) for r in d["results"]]'; }
reason() { asked "[r.get('reason', '') for r in d['results'] if r['task'] == '$1'][0]"; }
is_copied() { cmp "$W/images/web.raw" "$W/web-0.copy"; }

@test "a task is run like its job, told of, and not run again" {
  give "$(task t-1)"
  succeeds hamal-period
  is_copied
  [ "$(results)" = "[('t-1', 'done', 0)]" ]
  [ "$(asked '[(r["mode"], r["read_bytes"], r["vm_id"]) for r in d["results"]]')" = "[('full', 4194304, 'web.raw')]" ]
  has "$(cat "$W"/log/vm-web_Agent-*.log)" "the console asked for it by task t-1"
  # The log of the machine has progress as people read it.
  [[ $(cat "$W"/log/vm-web_Agent-*.log) != *'{"event"'* ]]
  # Delivered again, by a console that has forgotten the result.
  tell PUT /__set '{"results": []}' > /dev/null
  before=$(stat -c %Y.%i "$W/web-0.copy")
  succeeds hamal-period
  [ "$(stat -c %Y.%i "$W/web-0.copy")" = "$before" ]
  [ "$(asked 'd["given"].count("t-1"), len(d["results"])')" = "(2, 0)" ]
}

@test "what is not configured is refused with the reason, and others are run" {
  give "$(task no-platform platform moon)" "$(task no-target target "file:$W/elsewhere-{disk}")" \
    "$(task no-path target "file:$W/{vm}-{disk}.copy/../../x")" "$(task no-vm vm db)" "$(task pattern vm 'web*')" \
    "$(task late expires 2020-01-01T00:00:00Z)" "$(task good)"
  cp "$W/images/web.raw" "$W/images/other.raw"
  succeeds hamal-period
  is_copied
  [ "$(asked '{r["task"]: r["state"] for r in d["results"]}["good"]')" = "done" ]
  [ "$(asked 'sum(r["state"] == "refused" for r in d["results"])')" = 6 ]
  [ "$(reason no-platform)" = "there is no platform moon here" ]
  has "$(reason no-target)" "no job here syncs from platform lab to file:$W/elsewhere-{disk}"
  has "$(reason no-path)" "no job here syncs"
  [ "$(reason no-vm)" = "platform lab has no vm db" ]
  [ "$(reason pattern)" = "platform lab has no vm web*" ]
  [ "$(reason late)" = "it expired before it was begun" ]
  [ ! -e "$W/elsewhere-0" ]
  # A vm that the platform has and no job means.
  give "$(task other vm other)"
  succeeds hamal-period
  [ "$(reason other)" = "no job here syncs vm other to that target" ]
}

@test "what breaks the contract is refused task by task, or as a whole" {
  broken=$(python3 -c 'import json, sys
good = json.loads(sys.argv[1])
tasks = [{**good, "id": "hook", "pre_hook": "/bin/sh"}, {**good, "id": "kind", "kind": "delete"}, {"id": "../up"}, 7, good]
print(json.dumps(json.dumps({"server_time": "2026-11-29T12:00:00Z", "tasks": tasks})))' "$(task good)")
  give "$(task good)" "$(task hook)" "$(task kind)"
  faults '[{"do": "reply", "status": 200, "contains": "GET ", "body": '"$broken"'}]'
  succeeds hamal-period
  [ "$(results)" = "[('hook', 'refused', 2), ('kind', 'refused', 2), ('good', 'done', 0)]" ]
  has "$(reason hook)" 'the field "pre_hook" is not known'
  has "$(cat "$W/log/hamal-period.log")" 'the console gave a task without an id: "{"id":"../up"}"'
  faults '[{"do": "reply", "status": 200, "contains": "GET ", "body": "{"}]'
  succeeds hamal-period
  has "$(cat "$W/log/hamal-period.log")" "no tasks: the console's tasks: is not JSON"
}

@test "progress is told while a task runs, and heartbeats name it" {
  sed -i 's/^interval = 1h/&\nbwlimit = 2M/' "$HAMAL_CONFIG"
  give "$(task slow)"
  in_background hamal-period
  until_true 30 holds 'any(p["phase"] == "copy" and 0 < p["read_bytes"] < p["total_bytes"] == 4194304 for p in d["progress"])'
  succeeds hamal-heartbeat
  [ "$(asked '[(r["task"], r["vm"]) for r in d["heartbeats"][-1]["running"]]')" = "[('slow', 'web')]" ]
  wait "$BACKGROUND"
  [ "$(asked 'd["progress"][0]["phase"]')" = waiting ]
  [ "$(results)" = "[('slow', 'done', 0)]" ]
}

@test "a proxy that died while a task ran does not run it again, and says so" {
  sed -i 's/^interval = 1h/&\nbwlimit = 256K/' "$HAMAL_CONFIG"
  give "$(task killed)"
  in_background hamal-period
  until_true 30 test -s "$W/web-0.copy"
  tools=$(pgrep -P "$BACKGROUND")
  kill -9 "$BACKGROUND"
  # Its tools live: nobody knows yet how it ends.
  succeeds hamal-period
  [ "$(results)" = "[]" ]
  # shellcheck disable=SC2086 # words
  kill -9 $tools 2> /dev/null || true
  until_true 60 flock -n "$W/lib/locks/period-lab%2Fweb.raw.lock" true
  sed -i '/bwlimit/d' "$HAMAL_CONFIG"
  succeeds hamal-period
  [ "$(asked '[(r["task"], r["state"]) for r in d["results"]]')" = "[('killed', 'interrupted')]" ]
  has "$(reason killed)" "hamal-period ended while the task ran"
}

@test "results wait for a console that is away, and are delivered in order, once" {
  give "$(task a)" "$(task b vm nobody)" "$(task c)"
  faults '[{"do": "status", "status": 503, "contains": "/result", "headers": {"Retry-After": "60"}, "times": 99}]'
  succeeds hamal-period
  [ "$(results)" = "[]" ]
  has "$(cat "$W/log/hamal-period.log")" "results are kept"
  succeeds hamal-heartbeat
  [ "$(asked 'd["heartbeats"][-1]["undelivered_results"]')" = 3 ]
  # The reply to the first is lost: it is repeated with the same key, and stored once.
  faults '[{"do": "lost", "contains": "/result"}]'
  succeeds hamal-period
  [ "$(results)" = "[('b', 'refused', 2), ('a', 'done', 0), ('c', 'done', 0)]" ]
  [ "$(asked 'len({r["key"] for r in d["results"]})')" = 3 ]
  succeeds hamal-heartbeat
  [ "$(asked 'd["heartbeats"][-1]["undelivered_results"]')" = 0 ]
  # One that the console refuses for good does not keep others back.
  give "$(task d vm nobody)" "$(task e vm nobody)"
  faults '[{"do": "status", "status": 409, "contains": "tasks/d/result"}]'
  succeeds hamal-period
  [ "$(asked '[r["task"] for r in d["results"]][3:]')" = "['e']" ]
  has "$(cat "$W/log/hamal-period.log")" "the result of task d is dropped: *status 409"
}

@test "a console that is away keeps no job from its run" {
  sed -i '/^window/d' "$HAMAL_CONFIG"
  sed -i 's|^mass_endpoint.*|mass_endpoint = https://127.0.0.1:9|' "$HAMAL_CONFIG"
  succeeds hamal-period
  is_copied
  has "$(cat "$W/log/hamal-period.log")" "no tasks: https://127.0.0.1:9*: cannot connect"
}
