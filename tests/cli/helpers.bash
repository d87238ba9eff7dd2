# shellcheck shell=bash
# What the cli tests share: a directory and configuration of their own, exact checks, real servers.
#
# Under ctest the variables come from CMakeLists.txt; by hand:
#   HAMAL_BIN=build/asan/bin bats tests/cli/snapshot.bats

: "${HAMAL_SOURCE:=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)}"
: "${HAMAL_BIN:=$HAMAL_SOURCE/build/asan/bin}"
: "${HAMAL_TOOLS:=hamal-snapshot hamal-cbt-read hamal-sync hamal-repo hamal-period hamal-heartbeat hamal-config}"
[ -d "$HAMAL_BIN" ] || { echo "HAMAL_BIN=$HAMAL_BIN is no folder of binaries" >&2; exit 1; }
PATH=$(cd "$HAMAL_BIN" && pwd):$PATH
export PATH HAMAL_SOURCE HAMAL_TOOLS

# A directory, and a configuration that touches nothing outside it. Arguments: lines of further sections.
make_world() {
  W=$(mktemp -d "${BATS_TEST_TMPDIR:-/tmp}/hamal.XXXXXX")
  mkdir -p "$W/lib" "$W/log"
  export W HAMAL_CONFIG=$W/hamal.conf TMPDIR=$W
  unset HAMAL_RUN_ID
  {
    printf '%s\n' "[DEFAULT]" "log_dir = $W/log" "hamal_lib_dir = $W/lib/" \
      "hamal_info_path = $W/lib/hamal_info" "[database]" "connection = sqlite://$W/lib/hamal.db" \
      "[sync]" "outage_max = 2s"
    printf '%s\n' "$@"
  } > "$HAMAL_CONFIG"
  chmod 0600 "$HAMAL_CONFIG"
}

# Moves it to where other users may look: the folders of bats are its user's alone.
open_world() {
  mv "$W" "/tmp/${W##*/}"
  W=/tmp/${W##*/}
  HAMAL_CONFIG=$W/hamal.conf
  TMPDIR=$W
  chmod 0755 "$W"
}

# Stops what the test started, by the pids it wrote.
end_world() {
  local pid
  [ -z "${QSD:-}" ] || "$HAMAL_SOURCE/tests/lab/qsd.sh" stop "$QSD" || true
  for pid in ${SERVERS:-}; do
    kill "$pid" 2> /dev/null || true
    wait "$pid" 2> /dev/null || true
  done
  rm -rf "$W"
}

stop_later() { SERVERS="${SERVERS:-} $1"; }

# The standard output, standard error and status of a command: $out, $err, $status.
capture() {
  status=0
  "$@" > "$W/out" 2> "$W/err" 3>&- || status=$?
  out=$(tr -d '\0' < "$W/out")
  err=$(cat "$W/err")
}

show() {
  printf 'status %s, %s\n--- stdout\n%s\n--- stderr\n%s\n' "$status" "$1" "${out:0:2000}" "$err" >&2
}

# succeeds COMMAND…: status 0 and nothing on stderr.
succeeds() {
  capture "$@"
  if [ "$status" != 0 ] || [ -n "$err" ]; then
    show "expected 0 and a silent stderr"
    return 1
  fi
}

# fails STATUS MESSAGE COMMAND…: exactly this status, one line on stderr that begins with "TOOL: error: " and
# has MESSAGE (a pattern of [[ ]]) in it.
fails() {
  local expected=$1 message=$2
  shift 2
  capture "$@"
  if [ "$status" != "$expected" ]; then
    show "expected $expected"
    return 1
  fi
  # shellcheck disable=SC2053 # a pattern is meant
  if [[ $err != *": error: "*$message* ]]; then
    show "expected the message: $message"
    return 1
  fi
  if [ "$(wc -l < "$W/err")" != 1 ]; then
    show "expected one line of stderr"
    return 1
  fi
}

# has TEXT PATTERN
has() {
  # shellcheck disable=SC2053 # a pattern is meant
  if [[ $1 != *$2* ]]; then
    printf 'not found: %s\nin: %s\n' "$2" "$1" >&2
    return 1
  fi
}

# field JSON-FILE EXPRESSION: d["disks"][0]["id"]
field() {
  python3 -c 'import json, sys
d = json.loads(open(sys.argv[1]).readline())
print(eval(sys.argv[2], {"d": d}))' "$1" "$2"
}

need() {
  local program
  for program in "$@"; do
    command -v "$program" > /dev/null || skip "$program is not installed"
  done
}

# A qemu-storage-daemon with that many disks of 32 MiB, and platform "lab" with vm "web" for it in the configuration.
start_qsd() {
  local number disks=()
  need qemu-storage-daemon qemu-io
  for ((number = 0; number < ${1:-1}; number++)); do
    disks+=("$W/disk$number.qcow2")
  done
  QSD_SIZE=32M "$HAMAL_SOURCE/tests/lab/qsd.sh" start "$W/qsd" "${disks[@]}" > "$W/qsd.txt"
  QSD=$W/qsd
  printf '%s\n' "[platform lab]" "type = qemu" "qmp = $QSD/qmp.sock" "vm = web" \
    "nbd_socket = $QSD/nbd.sock" "scratch_dir = $QSD/scratch" "scratch_min_free = 1M" \
    >> "$HAMAL_CONFIG"
}

# guest DISK-NUMBER COMMAND…: what the guest does to its running disk, as qemu-io commands.
guest() {
  local number=$1 command arguments=()
  shift
  for command in "$@"; do
    arguments+=(-c "$command")
  done
  qemu-io -f raw "${arguments[@]}" "nbd+unix:///live$number?socket=$QSD/nbd.sock" > /dev/null
}

# A raw image in a file, with data at 0, 1M and 3M of 4 MiB and holes between.
make_image() {
  truncate -s 4M "$1"
  head -c 65536 /dev/urandom | dd of="$1" conv=notrunc status=none
  head -c 4096 /dev/urandom | dd of="$1" conv=notrunc bs=1M seek=1 status=none
  head -c 8192 /dev/urandom | dd of="$1" conv=notrunc bs=1M seek=3 status=none
}

# serve IMAGE: a read-only NBD server; $NBD is its endpoint.
serve() {
  nbdkit_at "$W/nbd.sock" --readonly file "$1"
  export NBD="nbd+unix:///?socket=$W/nbd.sock"
}

# nbdkit_at SOCKET ARGUMENT…: an nbdkit that is ready to be asked; its pid in $SERVER.
nbdkit_at() {
  local socket=$1
  shift
  need nbdkit
  rm -f "$socket" "$socket.pid"
  nbdkit --foreground --unix "$socket" --pidfile "$socket.pid" "$@" > "$socket.log" 2>&1 3>&- &
  SERVER=$!
  stop_later "$SERVER"
  until_true 60 test -s "$socket.pid" && return
  cat "$socket.log" >&2
  return 1
}

# document [DISK-SOURCE]: a well-formed snapshot document of the ad-hoc file platform on stdout.
document() {
  printf '{"format":"hamal-snapshot","version":1,"platform":"%s","platform_type":"%s","vm_id":"v","vm_name":"v","snapshot_id":"s","created":"2026-11-22T21:24:35Z","disks":[{"id":"0","label":"l","size":4194304,"change_id":"","source":"%s"}]}\n' \
    "${2:-file}" "${2:-file}" "${1:-file:$W/x.raw}"
}

# random_image FILE SIZE: an image without a hole.
random_image() { head -c "$2" /dev/urandom > "$1"; }

# pipe DOCUMENT TARGET [OPTION of hamal-sync…]: the two last tools of the pipe, as an operator joins them. $out is
# the result, $status that of hamal-sync; what hamal-cbt-read said is in $W/read.err.
pipe() {
  # shellcheck disable=SC2016 # expanded by the inner shell
  capture bash -c 'hamal-cbt-read "$1" --target "$2" 2> "$W/read.err" | hamal-sync - --target "$2" --json "${@:3}"' pipe "$@"
}

# did MODE REASON [DISK-NUMBER]: the run that was captured committed this disk so, for this reason (a pattern).
did() {
  local number=${3:-0}
  [ "$status" = 0 ] || { show "expected 0"; return 1; }
  [ "$(field "$W/out" "d['disks'][$number]['mode'], d['disks'][$number]['status']")" = "('$1', 0)" ] ||
    { show "expected a committed $1"; return 1; }
  has "$(field "$W/out" "d['disks'][$number]['reason']")" "$2"
}

# generation TARGET: that of its checkpoint; 0 without one.
generation() {
  hamal-sync checkpoint list --target "$1" --json > "$W/checkpoints"
  [ -s "$W/checkpoints" ] || { echo 0; return; }
  field "$W/checkpoints" 'd["generation"]'
}

qmp() { "$HAMAL_SOURCE/tests/lab/qmp.py" "$QSD/qmp.sock" "$@"; }

# The names of exports and nodes in QEMU that are ours: none once every snapshot was ended.
ours_in_qemu() {
  qmp query-block-exports query-named-block-nodes | python3 -c 'import json, sys
names = [item.get("id", item.get("node-name")) for line in sys.stdin for item in json.loads(line)]
print(*(name for name in names if name.startswith("hamal-")))'
}

# in_background COMMAND…: runs on, its pid in $BACKGROUND, its standard error in $W/background.err. SIGINT works (bash has
# it ignored in what it starts in the background).
in_background() {
  python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' "$@" > "$W/background.out" 2> "$W/background.err" 3>&- &
  BACKGROUND=$!
  stop_later "$BACKGROUND"
}

# until_true SECONDS COMMAND…
until_true() {
  local tries=$(($1 * 20))
  shift
  while ! "$@" > /dev/null 2>&1; do
    ((tries-- > 0)) || { printf 'never true: %s\n' "$*" >&2; return 1; }
    sleep 0.05
  done
}

# listens SOCKET: a unix socket that can be connected to, which a bound one cannot yet.
listens() { grep -q "^[^ ]* [^ ]* [^ ]* 00010000 .* $1\$" /proc/net/unix; }

# lock_file FILE: somebody else has the lock until the end of the test, or until $LOCKER is killed.
lock_file() {
  mkdir -p "$(dirname "$1")"
  flock "$1" sleep 600 3>&- &
  LOCKER=$!
  # flock passes the lock on to the sleep, which a kill must reach.
  until_true 60 pgrep -P "$LOCKER" -x sleep
  LOCKER="$LOCKER $(pgrep -P "$LOCKER" -x sleep)"
  stop_later "$LOCKER"
}

# How many checkpoints there are: interrupted first fulls, which are listed too, are none yet.
checkpoints() { hamal-sync checkpoint list --json | grep -vc '"state":"in progress"'; }
