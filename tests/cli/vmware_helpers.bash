# shellcheck shell=bash
# A vCenter for a test (tests/lab/vsphere), and a platform "lab" for it. Load after helpers; the set-up is here, too.

setup() { make_world; }
teardown() {
  stop_guest
  stop_vsphere
  end_world
}

# vsphere_program: builds it when needed; $VSPHERE_SIM. Skips without Go.
vsphere_program() {
  VSPHERE_SIM=$(dirname "$(cd "$HAMAL_BIN" && pwd)")/lab/vsphere-sim
  export VSPHERE_SIM
  local said
  said=$("$HAMAL_SOURCE/tests/lab/vsphere/build.sh" "$VSPHERE_SIM" 2>&1 3>&-) && return
  [ $? != 77 ] || skip "$said"
  printf '%s\n' "$said" >&2
  return 1
}

# start_vsphere ARGUMENT…: as of the simulator; after make_world. Disks are read by the stand-in for VDDK.
start_vsphere() {
  need nbdkit python3
  vsphere_program
  mkfifo "$W/vsphere.hold"
  "$VSPHERE_SIM" --dir "$W/vsphere" "$@" < "$W/vsphere.hold" > "$W/vsphere.txt" 2> "$W/vsphere.err" 3>&- &
  VSPHERE_PID=$!
  exec {VSPHERE_HOLD}> "$W/vsphere.hold"
  until_true 60 grep -qx ready "$W/vsphere.txt" || { cat "$W/vsphere.err" >&2; return 1; }
  VSPHERE=$(sed -n 's/^endpoint=//p' "$W/vsphere.txt")
  VSPHERE_THUMBPRINT=$(sed -n 's/^thumbprint=//p' "$W/vsphere.txt")
  export VSPHERE VSPHERE_DIR=$W/vsphere VSPHERE_FAULT=$W/nbdkit.fault VSPHERE_HELD=$W/nbdkit.held
  local password='secret & <more>'
  printf '%s' "$password" > "$W/vsphere.secret"
  chmod 0600 "$W/vsphere.secret"
  # In a program of its own: nbdkit gets no variables of ours.
  {
    echo '#!/bin/bash'
    printf 'export %s=%q\n' VSPHERE_THUMBPRINT "$VSPHERE_THUMBPRINT" VSPHERE_DIR "$VSPHERE_DIR" \
      VSPHERE_TOLD "$W/nbdkit.told" VSPHERE_FAULT "$VSPHERE_FAULT" VSPHERE_HELD "$VSPHERE_HELD" VSPHERE_PASSWORD "$password"
    printf 'exec %q "$@"\n' "$HAMAL_SOURCE/tests/lab/vsphere/nbdkit"
  } > "$W/nbdkit"
  chmod 0755 "$W/nbdkit"
  printf '%s\n' "[platform lab]" "type = vmware" "endpoint = $VSPHERE" "user = hamal@vsphere.local" \
    "secret = file:$W/vsphere.secret" "thumbprint = $VSPHERE_THUMBPRINT" "enable_change_tracking = True" \
    "read_by = vddk" "nbdkit = $W/nbdkit" >> "$HAMAL_CONFIG"
}

# Whatever a test did, no request was one that a real server would refuse.
stop_vsphere() {
  [ -n "${VSPHERE_PID:-}" ] || return 0
  local violations
  violations=$(asked 'd["violations"]')
  exec {VSPHERE_HOLD}>&-
  wait "$VSPHERE_PID"
  [ "$violations" = "[]" ] || { echo "$violations" >&2; return 1; }
}

tell() { "$HAMAL_SOURCE/tests/lab/vsphere/sim.py" tell "$VSPHERE" "$@"; }
asked() { "$HAMAL_SOURCE/tests/lab/vsphere/sim.py" ask "$VSPHERE" "$1"; }
holds() { [ "$(asked "$1")" = True ]; }

# guest_writes DISK-NUMBER OFFSET LENGTH: random bytes into the running disk of web01.
guest_writes() {
  head -c "$3" /dev/urandom | dd of="$W/vsphere/live/web01/$((2000 + $1)).img" conv=notrunc bs=65536 seek="$2" oflag=seek_bytes status=none
}

# busy_guest DISK-COUNT: writes 4 KiB at random places of web01's disks, whatever size they have, until stop_guest.
busy_guest() {
  python3 -c 'import os, random, sys, time
random.seed(7)
while True:
    for number in range(int(sys.argv[2])):
        disk = os.open(f"{sys.argv[1]}/{2000 + number}.img", os.O_WRONLY)
        at = random.randrange(0, os.fstat(disk).st_size, 4096)
        os.pwrite(disk, os.urandom(4096), at)
        os.close(disk)
    time.sleep(0.01)' "$W/vsphere/live/web01" "$1" > /dev/null 2> "$W/guest.err" 3>&- {VSPHERE_HOLD}>&- &
  GUEST=$!
}
stop_guest() {
  [ -n "${GUEST:-}" ] || return 0
  kill "$GUEST" || { cat "$W/guest.err" >&2; return 1; }
  wait "$GUEST" || true
  GUEST=
}

# frozen DISK-NUMBER: the file of the snapshot's disk.
frozen() { asked "d['machines']['web01']['snapshots'][-1]['frozen'].get('$((2000 + $1))')"; }

snapshots() { asked "len(d['machines']['web01']['snapshots'])"; }
