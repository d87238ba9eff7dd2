# shellcheck shell=bash
# A vCenter for a test (tests/lab/vsphere), and a platform "lab" for it. Load after helpers.

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
  export VSPHERE VSPHERE_THUMBPRINT VSPHERE_DIR=$W/vsphere VSPHERE_TOLD=$W/nbdkit.told
  export VSPHERE_FAULT=$W/nbdkit.fault VSPHERE_PASSWORD='secret & <more>'
  printf '%s' "$VSPHERE_PASSWORD" > "$W/vsphere.secret"
  chmod 0600 "$W/vsphere.secret"
  printf '%s\n' "[platform lab]" "type = vmware" "endpoint = $VSPHERE" "user = hamal@vsphere.local" \
    "secret = file:$W/vsphere.secret" "thumbprint = $VSPHERE_THUMBPRINT" "enable_change_tracking = True" \
    "read_by = vddk" "nbdkit = $HAMAL_SOURCE/tests/lab/vsphere/nbdkit" >> "$HAMAL_CONFIG"
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

# frozen DISK-NUMBER: the file of the snapshot's disk.
frozen() { asked "d['machines']['web01']['snapshots'][-1]['frozen'].get('$((2000 + $1))')"; }

snapshots() { asked "len(d['machines']['web01']['snapshots'])"; }
