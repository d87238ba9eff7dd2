# shellcheck shell=bash
# An OpenStack with a Ceph for a file of tests (tests/lab/openstack), and a platform "cloud" for it. Load after helpers.

# In setup_file: start_openstack OPTION… of openstack.py. It ends with its standard input, which this process holds.
start_openstack() {
  export CLOUD=$BATS_FILE_TMPDIR/openstack
  local status
  mkfifo "$CLOUD.hold"
  lab_program run "$CLOUD" "$@" < "$CLOUD.hold" > "$CLOUD.txt" 2> "$CLOUD.err" 3>&- &
  CLOUD_KEEPER=$!
  exec {CLOUD_HOLD}> "$CLOUD.hold"
  until_true 400 openstack_answers && grep -qx ready "$CLOUD.txt" && return
  status=0
  wait "$CLOUD_KEEPER" || status=$?
  [ "$status" != 77 ] || return 0
  cat "$CLOUD.err" >&2
  return 1
}

# It is there, or will never be.
openstack_answers() { grep -qx ready "$CLOUD.txt" || ! kill -0 "$CLOUD_KEEPER"; }

stop_openstack() {
  exec {CLOUD_HOLD}>&-
  wait "$CLOUD_KEEPER" || [ $? = 77 ]
}

# In setup.
need_openstack() { grep -qx ready "$CLOUD.txt" || skip "$(sed 's/^openstack.py: //' "$CLOUD.err")"; }

lab_program() { /usr/bin/python3 "$HAMAL_SOURCE/tests/lab/openstack/openstack.py" "$@"; }
cloud() { local word=$1; shift; lab_program "$word" "$CLOUD" "$@"; }
cloud_says() { sed -n "s/^$1=//p" "$CLOUD.txt"; }

# cloud_section NAME [LINE…]: as a plain member of the project. KEYSTONE, CLOUD_USER, SECRET and REGION stand for others.
cloud_section() {
  local name=$1
  shift
  printf '%s\n' "[platform $name]" "type = openstack_ceph" "endpoint = ${KEYSTONE:-$(cloud_says keystone_url)}" \
    "user = ${CLOUD_USER:-hamal}" "secret = ${SECRET:-$(cloud_says password)}" "project = demo" \
    "region = ${REGION-RegionOne}" "task_timeout = 2m" "$@" >> "$HAMAL_CONFIG"
}
# The user of Ceph with the least rights.
ceph_of_cloud() { # NAME [LINE…]
  local name=$1
  shift
  printf '%s\n' "[ceph $name]" "mon_host = $(cloud_says mon_host)" "user = backup" \
    "keyring = file:$(cloud_says keyring)" "$@" >> "$HAMAL_CONFIG"
}

# make_vm NAME [OPTION…] GIB…: a server; its id in $SERVER, its volumes' in $VOLUMES.
# shellcheck disable=SC2034 # the tests use them
make_vm() {
  cloud server "$@" > "$BATS_TEST_TMPDIR/server"
  SERVER=$(sed -n 's/^server=//p' "$BATS_TEST_TMPDIR/server")
  mapfile -t VOLUMES < <(sed -n 's/^volume=//p' "$BATS_TEST_TMPDIR/server")
}

# guest_writes VOLUME OFFSET BYTES: random ones.
guest_writes() {
  head -c "$3" /dev/urandom > "$BATS_TEST_TMPDIR/new"
  cloud write "$1" "$2" "$BATS_TEST_TMPDIR/new"
}

# "NAME STATUS ID VOLUME" of all snapshots in Cinder, of all volumes of the project.
snapshots_in_cinder() {
  PYTHONPATH=$HAMAL_SOURCE/tests/lab/openstack /usr/bin/python3 - "$CLOUD" << 'END'
import sys, openstack
user = openstack.user_of(sys.argv[1])
path = "/snapshots/detail"
while path:
    page = user.call("GET", "volumev3", path)
    for one in page["snapshots"]:
        print(one["name"], one["status"], one["id"], one["volume_id"])
    path = next(("/snapshots/detail?" + link["href"].split("?")[1] for link in page.get("snapshots_links", [])), None)
END
}

# same_as_volume VOLUME FILE: byte by byte, wherever either of them has anything.
same_as_volume() {
  PYTHONPATH=$HAMAL_SOURCE/tests/lab/openstack /usr/bin/python3 - "$CLOUD" "$@" << 'END'
import os, sys, openstack
BLOCK = 4 << 20
with openstack.Image(sys.argv[1], sys.argv[2]) as image, open(sys.argv[3], "rb") as file:
    size = image.size()
    if os.fstat(file.fileno()).st_size != size:
        sys.exit(f"{sys.argv[3]} has another size than the volume: {size}")
    ranges = []
    image.diff_iterate(0, size, None, lambda offset, length, exists: ranges.append((offset, offset + length)))
    at = 0
    while at < size:
        try:
            begin = os.lseek(file.fileno(), at, os.SEEK_DATA)
        except OSError:
            break
        at = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
        ranges.append((begin, at))
    blocks = {block for begin, end in ranges for block in range(begin // BLOCK, -(-end // BLOCK))}
    for block in sorted(blocks):
        length = min(BLOCK, size - block * BLOCK)
        if image.read(block * BLOCK, length) != os.pread(file.fileno(), length, block * BLOCK):
            sys.exit(f"{sys.argv[3]} differs from the volume in the 4 MiB at {block * BLOCK}")
    if not blocks:
        sys.exit("nothing was compared")
END
}
