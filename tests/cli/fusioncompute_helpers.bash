# shellcheck shell=bash
# A FusionCompute for a test (tests/lab/fusioncompute), and a platform "lab" for it. Load after helpers.

FC_SIM=$HAMAL_SOURCE/tests/lab/fusioncompute/sim.py

# start_fc VM:SIZE,…: after make_world. Disks are read as files.
start_fc() {
  need python3 openssl
  mkfifo "$W/fc.hold"
  python3 "$FC_SIM" serve "$W/fc" "$@" < "$W/fc.hold" > "$W/fc.txt" 2> "$W/fc.err" 3>&- &
  FC_PID=$!
  exec {FC_HOLD}> "$W/fc.hold"
  until_true 60 grep -qx ready "$W/fc.txt" || { cat "$W/fc.err" >&2; return 1; }
  FC=$(sed -n 's/^endpoint=//p' "$W/fc.txt")
  printf '%s' 'secret & <more>' > "$W/fc.secret"
  chmod 0600 "$W/fc.secret"
  printf '%s\n' "[platform lab]" "type = fusion_compute" "endpoint = $FC" "user = hamal" "secret = file:$W/fc.secret" \
    "thumbprint = $(sed -n 's/^thumbprint=//p' "$W/fc.txt")" "file_path = $W/fc/{volume}@{snapshot}.img" >> "$HAMAL_CONFIG"
}

# Whatever a test did, no request was one that no server should be sent.
stop_fc() {
  [ -n "${FC_PID:-}" ] || return 0
  local violations
  violations=$(asked 'd["violations"]')
  exec {FC_HOLD}>&-
  wait "$FC_PID"
  [ "$violations" = "[]" ] || { echo "$violations" >&2; return 1; }
}

tell() { python3 "$FC_SIM" tell "$FC" "$@"; }
asked() { python3 "$FC_SIM" ask "$FC" "$1"; }

# guest_writes DISK-NUMBER OFFSET LENGTH: random bytes into the running disk of web01.
guest_writes() {
  head -c "$3" /dev/urandom | dd of="$W/fc/vol-$1.img" conv=notrunc bs=65536 seek="$2" oflag=seek_bytes status=none
}

snapshots() { asked "len(d['machines']['web01']['snapshots'])"; }
resources() { asked "len(d['resources'])"; }

# by_socket [SECONDS]: disks of "lab" are read over the socket, in hamal's own frames; a second of a lease takes SECONDS.
by_socket() {
  sed -i "s|^file_path = .*|reader = vna_socket\nvna_lease = 60|" "$HAMAL_CONFIG"
  printf '%s\n' "[fusion_compute]" "local_host_ip = 127.0.0.1" >> "$HAMAL_CONFIG"
  tell settings "{\"second\":${1:-1}}"
}
