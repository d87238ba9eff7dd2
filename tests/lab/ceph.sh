#!/bin/bash
# A Ceph of one monitor, one OSD and a radosgw in one directory, for tests: RBD, and S3 with and without TLS.
#
#   ceph.sh start DIR    starts it and prints what it started, one KEY=VALUE per line
#   ceph.sh stop DIR     stops it
#   ceph.sh rgw-down DIR kills its radosgw
#   ceph.sh rgw-up DIR   starts one again, where it was
#   ceph.sh osd-down DIR kills its OSD: with CEPH_STORE=bluestore what it had acknowledged is there again
#   ceph.sh osd-up DIR   after it was started again
#   ceph.sh run DIR      start, then stop as soon as standard input ends: with the death of whoever holds it
#
# On loopback, on ports that were free, without systemd, without root. CEPH_STORE is memstore (the default)
# or bluestore on a sparse file; CEPH_POOLS names pools for RBD ("rbd"); CEPH_RGW=no leaves radosgw away;
# CEPH_RBD_ORDER makes the objects of new images 2^ORDER bytes. CEPH_USERS adds users to the keyring, one
# "client.NAME|mon = "…"; osd = "…"" per line.
# DIR/ca.pem is what a client of https_endpoint trusts.
set -euo pipefail

access_key=HAMALLABKEY0123456789
secret_key=hamal/lab+secret0123456789abcdefghijklmn

usage() {
  echo "usage: ceph.sh start DIR | stop DIR | rgw-down DIR | rgw-up DIR | osd-down DIR | osd-up DIR |
       run DIR" >&2
  exit 2
}

free_ports() { # COUNT
  /usr/bin/python3 - "$1" <<'END'
import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for one in sockets:
    one.bind(("127.0.0.1", 0))
print(*[one.getsockname()[1] for one in sockets])
END
}

write_conf() {
  cat >"$dir/ceph.conf" <<END
[global]
fsid = $fsid
mon initial members = a
mon host = [v2:127.0.0.1:$mon_port/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
ms bind msgr1 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
keyring = $dir/keyring
run dir = $dir/run
pid file =
admin socket =
log file = $dir/log/\$name.log
log to stderr = false
mon cluster log file = $dir/log/cluster.log
crash dir = $dir/log
mon data = $dir/mon
osd data = $dir/osd
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon allow pool delete = true
mon warn on pool no redundancy = false
mon data avail warn = 1
mon data avail crit = 1
mon max pg per osd = 1000
mon mgr mkfs grace = 8640000
paxos propose interval = 0.02
paxos min wait = 0.01
mon tick interval = 1
mgr initial modules =
[osd]
admin socket = $dir/run/osd.asok
osd objectstore = ${CEPH_STORE:-memstore}
memstore device bytes = $((8 << 30))
bluestore block create = true
bluestore block size = $((8 << 30))
bluestore fsck on mkfs = false
bdev aio poll ms = 10
bluestore cache autotune = false
bluestore cache size = 134217728
osd memory target = 1073741824
osd scrub load threshold = 0.01
[client]
rbd cache = false
rbd default order = ${CEPH_RBD_ORDER:-22}
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:$http_port ssl_endpoint=127.0.0.1:$https_port ssl_certificate=$dir/server.pem ssl_private_key=$dir/server.key
rgw thread pool size = 64
rgw dns name = localhost
rgw enable apis = s3, admin
rgw gc obj min wait = 1
rgw cache enabled = false
END
}

write_keyring() {
  local name caps
  while IFS='|' read -r name caps; do
    [[ -n $name ]] || continue
    printf '[%s]\n\tkey = %s\n' "$name" "$(ceph-authtool --gen-print-key)"
    tr ';' '\n' <<<"$caps" | sed 's/^ */\tcaps /'
  done >"$dir/keyring" <<END
mon.|mon = "allow *"
client.admin|mon = "allow *"; osd = "allow *"
osd.0|mon = "allow profile osd"
client.rgw|mon = "allow rw"; osd = "allow rwx"
client.hamal|mon = "profile rbd"; osd = "profile rbd"
client.readonly|mon = "profile rbd-read-only"; osd = "profile rbd-read-only"
${CEPH_USERS:-}
END
  chmod 600 "$dir/keyring"
}

# An authority of our own, and a certificate for every way to call this host.
make_certificates() {
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=Hamal lab authority" \
    -keyout "$dir/ca.key" -out "$dir/ca.pem" 2>"$dir/log/openssl"
  openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" \
    -keyout "$dir/server.key" -out "$dir/server.csr" 2>>"$dir/log/openssl"
  openssl x509 -req -in "$dir/server.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 30 \
    -extfile <(echo "subjectAltName=DNS:localhost,DNS:*.localhost,IP:127.0.0.1") \
    -out "$dir/server.pem" 2>>"$dir/log/openssl"
}

daemon() { # NAME COMMAND…
  local name=$1
  shift
  # Nothing of the caller's is held open: it may be waiting for the end of a pipe.
  setsid "$@" -f -c "$dir/ceph.conf" </dev/null >>"$dir/log/$name.out" 2>&1 3>&- &
  echo "$! $name" >>"$dir/pids"
}

monitor_commands() { # osd UUID | down | pools POOL…
  /usr/bin/python3 - "$dir/ceph.conf" "$@" <<'END'
import json, sys, time
import rados, rbd
cluster = rados.Rados(conffile=sys.argv[1], name="client.admin")
cluster.connect(timeout=60)

def command(**words):
    status, out, error = cluster.mon_command(json.dumps(words), b"", timeout=60)
    if status:
        sys.exit(f"{words}: {status} {error}")
    return out

if sys.argv[2] == "osd":
    command(prefix="osd new", uuid=sys.argv[3], id=0)
    sys.exit()
if sys.argv[2] == "down":  # clients need not wait for the monitor to miss it
    command(prefix="osd down", ids=["0"])
    sys.exit()
for pool in sys.argv[3:]:
    command(prefix="osd pool create", pool=pool, pg_num=8, pgp_num=8)
    command(prefix="osd pool application enable", pool=pool, app="rbd")
end = time.time() + 120
while not any(osd["up"] and osd["in"] for osd in json.loads(command(prefix="osd dump", format="json"))["osds"]):
    if time.time() > end:
        sys.exit("osd.0 did not come up")
    time.sleep(0.02)
for pool in sys.argv[3:]:
    with cluster.open_ioctx(pool) as context:
        rbd.RBD().pool_init(context, True)  # a real write: the pool works
END
}

listening() { # PORT
  (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

start_radosgw() {
  local attempt http_port https_port
  http_port=$(sed -n 's/.* endpoint=127.0.0.1:\([0-9]*\).*/\1/p' "$dir/ceph.conf")
  https_port=$(sed -n 's/.* ssl_endpoint=127.0.0.1:\([0-9]*\).*/\1/p' "$dir/ceph.conf")
  export CEPH_CONF=$dir/ceph.conf
  daemon rgw radosgw -n client.rgw
  for ((attempt = 0; attempt < 1200; attempt++)); do
    if listening "$http_port" && listening "$https_port"; then
      return
    fi
    kill -0 "$(radosgw_pid)" 2>/dev/null || break
    sleep 0.05
  done
  return 1
}

radosgw_pid() {
  sed -n 's/ rgw$//p' "$dir/pids"
}

kill_daemon() { # NAME
  local pid
  pid=$(sed -n "s/ $1\$//p" "$dir/pids")
  ! ours "$pid" || kill -KILL "$pid"
  sed -i "/ $1\$/d" "$dir/pids"
  while [[ -e /proc/$pid ]] && ours "$pid"; do sleep 0.02; done
}

start_osd() {
  export CEPH_CONF=$dir/ceph.conf
  monitor_commands down
  daemon osd ceph-osd -i 0
}

create_user() {
  radosgw-admin -c "$dir/ceph.conf" -n client.rgw user create --uid=hamal --display-name=hamal \
    --access-key="$access_key" --secret-key="$secret_key" >"$dir/log/rgw.user" 2>&1
}

start() {
  local fsid osd_uuid mon_port http_port https_port
  if [[ -e $dir/pids ]]; then
    echo "ceph.sh: one runs in $dir already" >&2
    return 1
  fi
  mkdir -p "$dir"/{log,run,mon,osd}
  fsid=$(</proc/sys/kernel/random/uuid)
  osd_uuid=$(</proc/sys/kernel/random/uuid)
  read -r mon_port http_port https_port <<<"$(free_ports 3)"
  write_conf
  write_keyring
  : >"$dir/pids"
  export CEPH_CONF=$dir/ceph.conf
  monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon_port/0]" "$dir/monmap" >"$dir/log/monmap"
  ceph-mon -i a -c "$dir/ceph.conf" --mkfs --monmap "$dir/monmap" --keyring "$dir/keyring"
  daemon mon ceph-mon -i a
  ceph-osd -i 0 -c "$dir/ceph.conf" --mkfs --osd-uuid "$osd_uuid" >"$dir/log/osd.mkfs" 2>&1
  monitor_commands osd "$osd_uuid"
  daemon osd ceph-osd -i 0
  # shellcheck disable=SC2086  # a list of words
  monitor_commands pools ${CEPH_POOLS:-rbd}
  printf '%s\n' "mon_host=[v2:127.0.0.1:$mon_port/0]" "ceph_conf=$dir/ceph.conf" "keyring=$dir/keyring" "pools=${CEPH_POOLS:-rbd}"
  if [[ ${CEPH_RGW:-yes} == yes ]]; then
    make_certificates
    start_radosgw
    create_user
    printf '%s\n' "http_endpoint=http://localhost:$http_port" "https_endpoint=https://localhost:$https_port" \
      "ca_file=$dir/ca.pem" "access_key=$access_key" "secret_key=$secret_key"
  fi
}

ours() { # PID: still one of those that were started here
  grep -qz -x -F -- "CEPH_CONF=$dir/ceph.conf" "/proc/$1/environ" 2>/dev/null
}

# radosgw takes seconds to stop politely, and an OSD without its monitor too: scratch data needs neither.
stop() {
  local pid
  [[ -e $dir/pids ]] || return 0
  while read -r pid _; do
    ! ours "$pid" || kill -KILL "$pid"
  done <"$dir/pids"
  rm -f "$dir/pids"
}

# A port may be taken between the moment it was free and its use: then all begins again elsewhere.
start_again() {
  local attempt
  for attempt in 1 2 3; do
    # In a process of its own, where a failure ends it.
    if "$0" start "$dir" >"$dir/report"; then
      cat "$dir/report"
      return
    fi
    stop
    tail -n 5 "$dir"/log/*.out "$dir"/log/rgw.user >&2 2>/dev/null || true
    echo "ceph.sh: attempt $attempt to start Ceph failed" >&2
    rm -rf "${dir:?}"/{log,run,mon,osd,monmap}
  done
  return 1
}

[[ $# == 2 ]] || usage
mkdir -p "$2"
dir=$(cd "$2" && pwd)
case $1 in
  start) start ;;
  stop) stop ;;
  rgw-down) kill_daemon rgw ;;
  rgw-up) start_radosgw ;;
  osd-down) kill_daemon osd ;;
  osd-up) start_osd ;;
  run)
    trap stop EXIT
    start_again
    echo ready
    exec >&-
    cat >/dev/null
    ;;
  *) usage ;;
esac
