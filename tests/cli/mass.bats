#!/usr/bin/env bats
# The console: a real HTTPS server (tests/lab/mass_server.py), and the contract between it and the tools.
# shellcheck disable=SC2034,SC2154 # VIOLATIONS is used, out, err and status are set by the helpers

load helpers
load mass_helpers

setup_file() { start_mass; }
teardown_file() { stop_mass; }
setup() { make_mass_world; }
teardown() { end_mass_world; }

@test "the checker catches what drifts from the contract" {
  python3 -B "$HAMAL_SOURCE/tests/lab/contract_test.py" 2> "$W/contract.err" || { cat "$W/contract.err" >&2; false; }
}

@test "a heartbeat registers the proxy and says how it is" {
  console
  printf '%s\n' "[platform web]" "type = file" "path = $W" "offline = yes" >> "$HAMAL_CONFIG"
  succeeds hamal-heartbeat
  [ -z "$out" ]
  [ "$(asked 'd["proxy"]["platforms"]')" = "[{'name': 'web', 'type': 'file'}]" ]
  [ "$(asked 'd["proxy"]["host"]')" = "$(uname -n)" ]
  [ "$(asked '"public_addresses" in d["proxy"]')" = False ]
  [ "$(asked 'd["heartbeats"][0]["disks"][0]["path"]')" = "$W/lib/" ]
  [ "$(asked 'd["heartbeats"][0]["load"]["processors"]')" = "$(nproc)" ]
  succeeds hamal-heartbeat --json
  [ "$(field "$W/out" 'd["format"], d["clock_skew_seconds"] in (-1, 0, 1)')" = "('hamal-heartbeat', True)" ]
  [ "$(asked 'len(d["heartbeats"])')" = 2 ]
  # The secret is in no log.
  run grep -r lab-auth-key "$W/log" "$W/lib"
  [ "$status" = 1 ]
}

@test "public addresses are told when they are wanted, and heartbeats logged" {
  console "enable_heartbeat_msg = False" "enable_get_public_ips = True"
  succeeds hamal-heartbeat
  [ "$(asked 'd["proxy"]["public_addresses"]')" = "['203.0.113.7']" ]
  [[ $(cat "$W/log/hamal-heartbeat.log") != *"heartbeat sent"* ]]
  sed -i '/enable_heartbeat_msg/d' "$HAMAL_CONFIG"
  succeeds hamal-heartbeat
  has "$(cat "$W/log/hamal-heartbeat.log")" "heartbeat sent to $ENDPOINT"
}

@test "public addresses that are not told in time are left out" {
  console "enable_get_public_ips = True" "get_public_ip_timeout = 1s"
  faults '[{"do": "slow", "contains": "seen-address", "seconds": 3}]'
  succeeds hamal-heartbeat
  [ "$(asked 'd["proxy"]["public_addresses"]')" = "[]" ]
  has "$(cat "$W/log/hamal-heartbeat.log")" "the public addresses are not known"
}

@test "a dry run prints the requests, without the secret, and sends nothing" {
  console
  succeeds hamal-heartbeat --dry-run
  has "$out" "PUT $ENDPOINT/proxies/proxy-1"
  has "$out" "POST $ENDPOINT/proxies/proxy-1/heartbeats"
  has "$out" "Authorization: Bearer \*\*\*"
  [[ $out != *lab-auth-key* ]]
  succeeds hamal-heartbeat --dry-run --json
  [ "$(field "$W/out" '[r["method"] for r in d["requests"]]')" = "['PUT', 'GET', 'POST']" ]
  [ "$(field "$W/out" 'd["requests"][2]["body"]["version"]')" = "$(hamal-heartbeat --version | cut -d ' ' -f 2)" ]
  [ "$(asked 'd["requests"]')" = "[]" ]
}

@test "nothing but https, and what is missing is named" {
  fails 2 "[[]mass[]] mass_endpoint: is not set" hamal-heartbeat
  other_console "http://127.0.0.1:1/hypermotion/v1"
  fails 2 "[[]mass[]] mass_endpoint: is not https://" hamal-heartbeat
  console "public_key_path = $MASS/cert.pem"
  fails 2 "is a certificate, not a public key" hamal-heartbeat
  console "hyper_exporter_id = a/b"
  fails 2 "[[]mass[]] hyper_exporter_id" hamal-heartbeat
  [ "$(asked 'd["requests"]')" = "[]" ]
}

@test "a peer that is not the console is told nothing" {
  other_console "$ENDPOINT"
  fails 1 "the TLS certificate is not to be trusted" hamal-heartbeat
  console "public_key_path = $MASS/other_public_key.pem"
  fails 1 "does not have the public key that it should have" hamal-heartbeat
  [ "$(asked 'd["requests"]')" = "[]" ]
}

@test "a certificate of the system's authorities is enough; for another name it is not" {
  # A mount namespace in which this console's certificate is an authority.
  unshare -rm true 2> /dev/null || skip "no user namespaces"
  [ -e /etc/ssl/certs/ca-certificates.crt ] || skip "no certificates of the system"
  # shellcheck disable=SC2016 # expanded by the inner shell
  trusting() { unshare -rm sh -c 'mount --bind "$1" /etc/ssl/certs/ca-certificates.crt && shift && exec "$@"' sh "$MASS/cert.pem" "$@"; }
  other_console "$ENDPOINT"
  succeeds trusting hamal-heartbeat
  [ "$(asked 'len(d["heartbeats"])')" = 1 ]
  other_console "${ENDPOINT/localhost/127.0.0.1}"
  fails 1 "the TLS certificate is not to be trusted" trusting hamal-heartbeat
}

@test "refusals say what to do about them" {
  console
  echo wrong-key > "$W/auth"
  fails 1 "refuses the registration with status 401 unauthorized: this key is nobody's (check auth_key" hamal-heartbeat
  [ "$(asked 'len(d["requests"])')" = 1 ]
  echo lab-auth-key > "$W/auth"
  # Another installation has this id.
  succeeds hamal-heartbeat
  rm "$W/lib/hamal.db"*
  fails 1 "status 409 other_installation" hamal-heartbeat
}

@test "what may pass is tried again, a heartbeat is not" {
  console
  faults '[{"do": "status", "status": 500, "contains": "PUT ", "times": 2},
    {"do": "lost", "contains": "PUT "}, {"do": "truncate", "contains": "PUT "}]'
  succeeds hamal-heartbeat
  [ "$(asked 'sum(r.startswith("PUT") for r in d["requests"])')" = 5 ]
  # It may have arrived: only the next one is sent.
  faults '[{"do": "lost", "contains": "heartbeats"}]'
  fails 75 "" hamal-heartbeat
  [ "$(asked 'len(d["heartbeats"])')" = 2 ]
  faults '[{"do": "status", "status": 500, "contains": "heartbeats", "times": 9}]'
  fails 75 "refuses the heartbeat with status 500" hamal-heartbeat
  [ "$(asked 'sum("heartbeats" in r for r in d["requests"])')" = 3 ]
}

@test "Retry-After is waited for, in the console's clock" {
  console
  # A date a second ahead, of a clock an hour ahead.
  tell PUT /__set '{"clock": 3600}' > /dev/null
  later=$(LC_ALL=C date -u -d "+3602 seconds" "+%a, %d %b %Y %H:%M:%S GMT")
  faults '[{"do": "status", "status": 429, "headers": {"Retry-After": "1"}, "contains": "PUT "},
    {"do": "status", "status": 503, "headers": {"Retry-After": "'"$later"'"}, "contains": "PUT "}]'
  capture hamal-heartbeat
  [ "$status" = 0 ] || { show "expected 0"; false; }
  has "$err" "warning: the console's clock is 3[56]?? s ahead of this host's"
  [ "$(asked 'len(d["requests"])')" = 5 ]
  [ "$(asked 'd["heartbeats"][0]["clock_skew_seconds"] > 3500')" = True ]
  # Longer than default_request_timeout is for another time.
  faults '[{"do": "status", "status": 429, "headers": {"Retry-After": "60"}, "contains": "PUT "}]'
  fails 75 "the console wants to be asked again in" hamal-heartbeat
  [ "$(asked 'len(d["requests"])')" = 6 ]
}

@test "a console that is slow is given up, and replies that are none are refused" {
  console "default_request_timeout = 1s"
  faults '[{"do": "slow", "seconds": 3}]'
  fails 75 "timed out" hamal-heartbeat
  for body in "[]" "{" '{"server_time": "soon"}'; do
    faults '[{"do": "reply", "status": 200, "body": '"$(python3 -c 'import json, sys; print(json.dumps(sys.argv[1]))' "$body")"'}]'
    fails 1 "the console's reply to the registration" hamal-heartbeat
  done
  faults '[{"do": "reply", "status": 302, "body": "x"}]'
  fails 1 "status 302" hamal-heartbeat
}

@test "host mappings are kept, and used for the tools' own connections" {
  console
  tell PUT /__set '{"mappings": [{"host": "Mass.Example", "addresses": ["127.0.0.1"]}, {"host": "v6.example",
    "addresses": ["2001:db8::1", "192.0.2.1"]}]}' > /dev/null
  succeeds hamal-heartbeat
  [ "$(cat "$W/log/ip_mapping.backup")" = "127.0.0.1 mass.example
2001:db8::1 v6.example
192.0.2.1 v6.example" ]
  # No resolver knows this name.
  other_console "${ENDPOINT/localhost/mass.example}" "public_key_path = $MASS/public_key.pem"
  succeeds hamal-heartbeat
  [ "$(asked 'len(d["heartbeats"])')" = 2 ]
  # A set that is wrong in one place is not used, and the last good one stays.
  faults '[{"do": "reply", "status": 200, "contains": "host-mappings",
    "body": "{\"mappings\": [{\"host\": \"good.example\", \"addresses\": [\"192.0.2.9\"]}, {\"host\": \"a b\", \"addresses\": [\"192.0.2.1\"]}]}"}]'
  succeeds hamal-heartbeat
  has "$(cat "$W/log/hamal-heartbeat.log")" 'the host mappings stay what they were: the console'"'"'s host mappings: the field "mappings[[]1[]].host"'
  has "$(cat "$W/log/ip_mapping.backup")" "127.0.0.1 mass.example"
  # One that is damaged is no reason not to run.
  echo garbage > "$W/log/ip_mapping.backup"
  fails 75 "cannot be resolved" hamal-heartbeat
  has "$(cat "$W/log/hamal-heartbeat.log")" "ip_mapping.backup:1: is not ADDRESS HOST"
}

@test "the logs are uploaded when the console wants them, once" {
  need tar zstd
  console
  printf 'old line\nyoung line\n' > "$W/log/hamal-sync.log"
  ln -s /etc/passwd "$W/log/link.log"
  long=vm-$(printf 'x%.0s' {1..120})_Agent-00000000-0000-0000-0000-000000000000.log
  echo line > "$W/log/$long"
  tell PUT /__set '{"log_request": {"id": "r-1", "max_bytes": 100000}}' > /dev/null
  succeeds hamal-heartbeat
  succeeds hamal-heartbeat
  [ "$(asked 'list(d["bundles"]), sum("log-bundles" in r for r in d["requests"])')" = "(['r-1'], 1)" ]
  mkdir "$W/bundle"
  zstd -dqc "$MASS/r-1.tar.zst" | tar -x -C "$W/bundle"
  cmp "$W/log/hamal-sync.log" "$W/bundle/hamal-sync.log"
  [ "$(cat "$W/bundle/$long")" = line ]
  [ ! -e "$W/bundle/link.log" ]
  has "$(cat "$W/bundle/hamal-heartbeat.log")" "the console wants the logs (r-1)"
  # What is too much loses its oldest lines.
  python3 -c 'import random
for number in range(40000): print(number, random.getrandbits(256))' > "$W/log/large.log"
  tell PUT /__set '{"log_request": {"id": "r-2", "max_bytes": 100000}}' > /dev/null
  succeeds hamal-heartbeat
  zstd -dqc "$MASS/r-2.tar.zst" | tar -x -C "$W/bundle"
  tail -n 1 "$W/log/large.log" | cmp - <(tail -n 1 "$W/bundle/large.log")
  grep -qxF "$(head -n 1 "$W/bundle/large.log")" "$W/log/large.log"
  [ "$(cat "$W/bundle/$long")" = line ]
  # Nor what does not fit at all fails the next heartbeats.
  tell PUT /__set '{"log_request": {"id": "r-3", "max_bytes": 1}}' > /dev/null
  fails 1 "the logs do not fit into 1 bytes" hamal-heartbeat
  [ "$(asked 'len(d["heartbeats"])')" = 4 ]
}

@test "a console that drifts from the contract is caught in between" {
  console
  faults '[{"do": "drift", "fields": {"colour": "red"}, "contains": "heartbeats"}]'
  fails 75 "status 500 contract: sendHeartbeat" hamal-heartbeat
  VIOLATIONS=1
}

@test "a loop goes on when the console is away or has forgotten the proxy" {
  console
  printf '%s\n' "[period]" "interval = 1s" >> "$HAMAL_CONFIG"
  in_background hamal-heartbeat --loop
  until_true 20 holds 'len(d["heartbeats"]) >= 1'
  tell PUT /__set '{"proxy": null}' > /dev/null
  until_true 20 holds 'd["proxy"] is not None and len(d["heartbeats"]) >= 2'
  kill -TERM "$BACKGROUND"
  status=0
  wait "$BACKGROUND" || status=$?
  [ "$status" = 143 ]
  has "$(cat "$W/log/hamal-heartbeat.log")" "status 404 unknown_proxy"
}
