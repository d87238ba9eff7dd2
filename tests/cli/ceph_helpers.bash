# shellcheck shell=bash
# A Ceph for a file of tests, [ceph NAME] sections for it, and images in it. Load after helpers.

# In setup_file: start_ceph [STORE]. It ends with its standard input, which this process holds: with this process.
start_ceph() {
  command -v ceph-osd > /dev/null || return 0
  export CEPH=$BATS_FILE_TMPDIR/ceph
  mkfifo "$CEPH.hold"
  # Where the OSD is killed, its store must be one that outlives it.
  CEPH_RGW=no CEPH_STORE=${1:-memstore} CEPH_POOLS="east west" "$HAMAL_SOURCE/tests/lab/ceph.sh" run "$CEPH" \
    < "$CEPH.hold" > "$CEPH.txt" 2> "$CEPH.err" 3>&- &
  CEPH_KEEPER=$!
  exec {CEPH_HOLD}> "$CEPH.hold"
  export CEPH_HOLD
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
kill_osd() { "$HAMAL_SOURCE/tests/lab/ceph.sh" osd-down "$CEPH"; }
# Nothing that stays may hold the keeper's standard input. It is up when it answers.
start_osd() {
  "$HAMAL_SOURCE/tests/lab/ceph.sh" osd-up "$CEPH" {CEPH_HOLD}>&-
  until_true 120 rbd_admin ls east
}
have_osd_back() {
  [ -s "${CEPH:-}/pids" ] || return 0
  if [ -z "$(osd_pid)" ]; then
    start_osd
  else
    wake_osd
  fi
}

# ceph_monitor JSON: a command to the monitor, as the administrator, and what it says.
ceph_monitor() {
  /usr/bin/python3 - "$CEPH/ceph.conf" "$1" << 'END'
import rados, sys
with rados.Rados(conffile=sys.argv[1], name="client.admin") as cluster:
    status, out, error = cluster.mon_command(sys.argv[2], b"", timeout=60)
    print(out.decode())
    sys.exit(f"{sys.argv[2]}: {error}" if status else 0)
END
}

# osd_is full|none: the OSD takes its store for full, and the monitor its pools.
osd_is() {
  /usr/bin/python3 - "$CEPH/ceph.conf" "$1" << 'END'
import json, rados, sys
with rados.Rados(conffile=sys.argv[1], name="client.admin") as cluster:
    status, _, error = cluster.osd_command(0, json.dumps({"prefix": "injectfull", "type": sys.argv[2]}), b"", timeout=60)
    sys.exit(f"injectfull: {status} {error}" if status else 0)
END
}
pools_are_full() { ceph_monitor '{"prefix": "osd dump"}' | grep '^pool' | grep -qw full; }
pools_have_room() { ! pools_are_full; }

# source_image [BYTES]: 24 MiB with so much data (3M), holes and runs of zeros; the image is what $W/disk.raw is.
source_image() {
  truncate -s 24M "$W/disk.raw"
  head -c "${1:-3M}" /dev/urandom | dd of="$W/disk.raw" bs=1M seek=2 conv=notrunc status=none
  head -c 70000 /dev/urandom | dd of="$W/disk.raw" bs=4096 seek=5000 conv=notrunc status=none
  rbd_admin import "$W/disk.raw" "east/$DISK"
}

# write_source OFFSET BYTES: random bytes into the image and into $W/disk.raw.
write_source() {
  head -c "$2" /dev/urandom > "$W/new"
  dd if="$W/new" of="$W/disk.raw" bs=4096 seek=$(($1 / 4096)) conv=notrunc status=none
  /usr/bin/python3 - "$CEPH/ceph.conf" "$DISK" "$1" "$W/new" << 'END'
import sys, rados, rbd
with rados.Rados(conffile=sys.argv[1], name="client.admin") as cluster, cluster.open_ioctx("east") as pool:
    with rbd.Image(pool, sys.argv[2]) as image:
        image.write(open(sys.argv[4], "rb").read(), int(sys.argv[3]))
END
}

same_as_disk() { # IMAGE of pool west
  rbd_admin export "west/$1" "$W/got.raw"
  cmp "$W/disk.raw" "$W/got.raw"
  rm "$W/got.raw"
}

result() { field "$W/out" "$1"; }

wake_osd() { [ ! -s "${CEPH:-}/pids" ] || kill -CONT "$(osd_pid)"; }
