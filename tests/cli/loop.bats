#!/usr/bin/env bats
# The shell script of hamal(7), the first of its section LOOP, extracted and run as it stands.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers

setup() {
  make_world
  need mandoc
  sed -n '/^\.Sh LOOP/,/^\.Sh/p' "$HAMAL_SOURCE/man/hamal.7" | sed -n '/^\.Bd/,/^\.Ed/p;/^\.Ed/q' |
    sed '1d;$d' > "$W/loop.sh"
  chmod +x "$W/loop.sh"
}
teardown() { end_world; }

loop() { "$W/loop.sh" lab:web "file:$W/{vm}-{disk}.raw" > "$W/results" 2> "$W/err"; }
held() { hamal-snapshot list lab --json > "$W/list"; field "$W/list" 'sum(s["state"] == "held" for s in d["snapshots"])'; }

# same: every replica equals its disk, which nobody writes to now.
same() {
  local number
  for number in 0 1; do
    qemu-img compare -q -f raw -F raw "nbd+unix:///live$number?socket=$QSD/nbd.sock" "$W/web-top$number.raw"
  done
}

@test "the script is five lines below its first" {
  [ "$(wc -l < "$W/loop.sh")" = 6 ]
  if command -v shellcheck > /dev/null; then
    shellcheck "$W/loop.sh"
  fi
}

@test "run again and again, the replicas equal the disks" {
  start_qsd 2
  guest 0 "write -P 1 0 1M" "write -P 2 5M 100k"
  guest 1 "write -P 3 7M 2M"
  loop
  same
  [ ! -s "$W/err" ]
  guest 0 "write -P 4 512k 64k" "discard 5M 64k" "write -z 900k 8k"
  guest 1 "write -P 5 31M 1M"
  loop
  same
  guest 1 "write -P 6 8M 4k"
  loop
  same
  [ "$(held)" = 0 ]
  hamal-sync checkpoint show --target "file:$W/web-top1.raw" --json > "$W/checkpoint"
  [ "$(field "$W/checkpoint" 'd["generation"]')" = 3 ]
}

@test "a run whose target fails ends its snapshot and loses no change" {
  start_qsd 2
  guest 0 "write -P 1 0 1M"
  loop
  guest 0 "write -P 2 2M 64k"
  mkdir "$W/elsewhere"
  mv "$W/web-top0.raw" "$W/elsewhere/"
  mkdir "$W/web-top0.raw"
  status=0
  loop || status=$?
  [ "$status" != 0 ]
  [ "$(held)" = 0 ]
  rmdir "$W/web-top0.raw"
  mv "$W/elsewhere/web-top0.raw" "$W/"
  guest 0 "write -P 3 9M 64k"
  loop
  same
}

@test "while another run holds the vm, the script exits 4 and changes nothing" {
  start_qsd 2
  lock_file "$W/lib/locks/vm-lab%2Fweb.lock"
  status=0
  loop || status=$?
  [ "$status" = 4 ]
  [ ! -e "$W/web-top0.raw" ]
}
