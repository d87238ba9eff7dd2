# shellcheck shell=bash
# A Ceph for a file of tests, [ceph NAME] sections for it, and images in it. Load after helpers.

# In setup_file. It ends with its standard input, which this process holds: with this process.
start_ceph() {
  command -v ceph-osd > /dev/null || return 0
  export CEPH=$BATS_FILE_TMPDIR/ceph
  mkfifo "$CEPH.hold"
  CEPH_RGW=no CEPH_POOLS="east west" "$HAMAL_SOURCE/tests/lab/ceph.sh" run "$CEPH" \
    < "$CEPH.hold" > "$CEPH.txt" 2> "$CEPH.err" 3>&- &
  CEPH_KEEPER=$!
  exec {CEPH_HOLD}> "$CEPH.hold"
  until_true 240 grep -qx ready "$CEPH.txt" && return
  cat "$CEPH.err" >&2
  return 1
}

stop_ceph() {
  [ -n "${CEPH:-}" ] || return 0
  wake_osd
  exec {CEPH_HOLD}>&-
  wait "$CEPH_KEEPER"
}

ceph_says() { sed -n "s/^$1=//p" "$CEPH.txt"; }

# ceph_section NAME [LINE…]: by the addresses of its monitors alone, without a ceph.conf.
ceph_section() {
  local name=$1
  shift
  printf '%s\n' "[ceph $name]" "mon_host = $(ceph_says mon_host)" "keyring = file:$(ceph_says keyring)" "$@" >> "$HAMAL_CONFIG"
}

# As the administrator.
rbd_admin() { timeout 60 rbd --conf "$CEPH/ceph.conf" --id admin "$@" 2>> "$W/rbd.err"; }

osd_pid() { sed -n 's/ osd$//p' "$CEPH/pids"; }
stop_osd_for_now() { kill -STOP "$(osd_pid)"; }
wake_osd() { [ ! -s "${CEPH:-}/pids" ] || kill -CONT "$(osd_pid)"; }
