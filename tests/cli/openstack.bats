#!/usr/bin/env bats
# Servers of a real OpenStack (Keystone, Nova, Cinder on a real Ceph) as machines: what they have, fulls and increments
# of all their volumes, what a run that fails leaves, and what becomes of snapshots that somebody removes.
#
# Lists have two entries to a page; the user of OpenStack is a plain member under the policies' new defaults, that of
# Ceph may only read volumes: all that follows needs no more.
# shellcheck disable=SC2153,SC2154 # the helpers set VOLUMES, out, err and status

load helpers
load openstack_helpers

setup_file() {
  start_openstack --page 2 --strict
  grep -qx ready "$CLOUD.txt" || return 0
  head -c 3M /dev/urandom > "$BATS_FILE_TMPDIR/image"
  make_vm web --image "$BATS_FILE_TMPDIR/image" 1 1 1
  export SERVER VOLUME0=${VOLUMES[0]} VOLUME1=${VOLUMES[1]} VOLUME2=${VOLUMES[2]}
}
teardown_file() { stop_openstack; }

setup() {
  need_openstack
  make_world
  ceph_of_cloud ceph1 "osd_timeout = 10m" # a stopped process sees time pass
  cloud_section cloud
  T="file:$W/{index}.raw"
}
teardown() {
  [ -z "${W:-}" ] || end_world
}

# run_pipe [OPTION of hamal-sync…]: the three tools and the end, as an operator joins them; the result in $W/out.
run_pipe() {
  hamal-snapshot create cloud:web > "$W/doc"
  pipe "$W/doc" "$T" "$@"
  [ "$status" = 0 ] || { show "expected a committed run"; return 1; }
  cp "$W/out" "$W/result"
  succeeds hamal-snapshot finish "$W/doc" --committed
}
mark() { field "$W/doc" 'd["snapshot_id"][:8]'; }
ours_in_cinder() { snapshots_in_cinder | grep "^hamal-$(mark)-"; }

# Break it: read links as absolute addresses, sort devices as texts, or ask Nova for the order.
@test "servers, and their disks in the order of their devices with the images behind them" {
  succeeds hamal-snapshot vms cloud
  has "$out" "web*$SERVER*running*$VOLUME0*1 GiB*yes*image volumes/volume-$VOLUME0*$VOLUME1*$VOLUME2"
}

@test "what is wrong with a login, a region, a name" {
  SECRET=not-it cloud_section badsecret
  fails 1 "*Keystone refuses the login*user_domain*" hamal-snapshot vms badsecret
  REGION=Moon cloud_section badregion
  fails 2 "*is not in the region Moon*RegionOne*" hamal-snapshot vms badregion
  REGION='' cloud_section noregion
  fails 2 "*in several regions*one of Faulty, RegionOne, Secure*" hamal-snapshot vms noregion
  fails 2 "*no vm of this id or name*did you mean web?*" hamal-snapshot create cloud:wep
  KEYSTONE=$(cloud_says keystone_url | sed 's,/v3,/v2,') cloud_section badaddress
  fails 2 "*no Keystone v3 answers there*OS_AUTH_URL*" hamal-snapshot vms badaddress
  CLOUD_USER=reader SECRET=reader-secret cloud_section reader
  fails 1 "*Cinder to make a snapshot*the user may not do that*ROLES*" hamal-snapshot create reader:web
}

# Break it: take the snapshot of another volume for a disk, or the base for the new one.
@test "a full of three volumes, what changed since, one grown, and one snapshot of each that stays" {
  guest_writes "$VOLUME1" 41943040 2097152
  run_pipe
  [ "$(field "$W/result" '[disk["mode"] for disk in d["disks"]]')" = "['full', 'full', 'full']" ]
  [ "$(ours_in_cinder | grep -c '\.base available')" = 3 ]
  guest_writes "$VOLUME0" 4096 8192
  guest_writes "$VOLUME2" 104857600 4096
  cloud discard "$VOLUME1" 41943040 1048576
  cloud api --as-user POST volumev3 "/volumes/$VOLUME1/action" '{"os-extend": {"new_size": 2}}' > "$W/reply"
  cloud wait volumev3 "/volumes/$VOLUME1" in-use
  guest_writes "$VOLUME1" 1610612736 65536
  run_pipe --resize
  [ "$(field "$W/result" '[disk["mode"] for disk in d["disks"]][::2]')" = "['incremental', 'incremental']" ]
  [ "$(field "$W/result" 'd["disks"][0]["read_bytes"]')" -lt 1000000 ]
  same_as_volume "$VOLUME0" "$W/0.raw"
  same_as_volume "$VOLUME1" "$W/1.raw"
  same_as_volume "$VOLUME2" "$W/2.raw"
  [ "$(ours_in_cinder | wc -l)" = 3 ]
  [ "$(ours_in_cinder | grep -c '\.base available')" = 3 ]
}

# The zero-read trap. Break it: let verify_snapshot() of the platform say nothing, and the replica is committed with
# zeros where the snapshot had data.
@test "a snapshot that is deleted while it is read is not committed" {
  printf '%s\n' "[period]" "openstack_release_cpu_time = 1000" >> "$HAMAL_CONFIG"
  guest_writes "$VOLUME2" 0 12582912
  hamal-snapshot create cloud:web --disk 2 > "$W/doc"
  hamal-cbt-read "$W/doc" --target "$T" > "$W/stream"
  in_background hamal-sync "$W/stream" --target "$T" --progress=json
  until_true 60 grep -qE '"done":[1-9]' "$W/background.err"
  kill -STOP "$BACKGROUND" # in the middle of its reading, whatever the machine is busy with
  cloud api --as-user DELETE volumev3 "/snapshots/$(ours_in_cinder | cut -d' ' -f3)"
  cloud wait volumev3 "/snapshots/$(field "$W/doc" 'd["disks"][0]["source"].split("@snapshot-")[1]')" deleted
  kill -CONT "$BACKGROUND"
  status=0
  wait "$BACKGROUND" || status=$?
  [ "$status" = 75 ] || { cat "$W/background.err" >&2; return 1; }
  has "$(cat "$W/background.err")" "Cinder's snapshot * is gone"
  [ "$(checkpoints)" = 0 ]
  succeeds hamal-snapshot finish "$W/doc" --failed
}

# Break it: leave undo() out.
@test "one volume whose snapshot is refused: the others' are removed again" {
  KEYSTONE=$(cloud_says faulty_keystone_url) REGION=Faulty cloud_section faulty
  hamal-snapshot vms faulty > "$W/vms"
  cloud faults '[{"do": "", "times": 2, "service": "cinder", "method": "POST", "contains": "/snapshots"},
    {"do": "status", "status": 413, "service": "cinder", "method": "POST", "contains": "/snapshots", "body": "{\"overLimit\": {\"code\": 413, \"message\": \"Maximum number of snapshots allowed\"}}"}]'
  fails 1 "*the project's quota is used up: Maximum number of snapshots*" hamal-snapshot create faulty:web
  cloud faults > "$W/asked"
  [ "$(grep -c '^cinder POST .*/snapshots$' "$W/asked")" = 3 ]
  hamal-snapshot list faulty web > "$W/list"
  [ "$(grep -c yes "$W/list")" = 0 ]
  [ "$(snapshots_in_cinder | grep -vc '\.base ')" = 0 ]
}

# The undo finds by its name what a lost reply made. Break it: let undo() remove what create() returned.
@test "by TLS, with refusals that pass, and a reply that never came" {
  KEYSTONE=$(cloud_says secure_keystone_url) REGION=Secure cloud_section untrusted
  fails 1 "*the TLS certificate is not to be trusted*ca_file*" hamal-snapshot vms untrusted
  KEYSTONE=$(cloud_says secure_keystone_url) REGION=Secure cloud_section secure "ca_file = $(cloud_says ca_file)"
  cloud faults '[{"do": "status", "status": 503, "service": "cinder", "times": 2, "headers": {"Retry-After": "1"}},
    {"do": "status", "status": 401, "service": "nova", "times": 1}]'
  succeeds hamal-snapshot vms secure
  has "$out" "volumes/volume-$VOLUME0"
  [ "$(cloud faults | grep -c '^keystone POST')" = 2 ]
  cloud faults '[{"do": "lost", "service": "cinder", "method": "POST", "contains": "/snapshots"}]'
  fails 75 "*the connection was cut*" hamal-snapshot create secure:web
  [ "$(snapshots_in_cinder | grep -vc '\.base ')" = 0 ]
}

@test "a quota that does not suffice is said before anything is made" {
  local project used
  project=$(cloud api GET identity "/projects?name=demo" | python3 -c 'import json, sys; print(json.load(sys.stdin)["projects"][0]["id"])')
  used=$(snapshots_in_cinder | wc -l)
  cloud api PUT volumev3 "/os-quota-sets/$project" "{\"quota_set\": {\"snapshots\": $((used + 2))}}" > "$W/quota"
  fails 1 "*the run needs 3 snapshots of volumes, and 2 are left of the project's $((used + 2))*" hamal-snapshot create cloud:web
  cloud api PUT volumev3 "/os-quota-sets/$project" '{"quota_set": {"snapshots": -1}}' > "$W/quota"
  [ "$(snapshots_in_cinder | wc -l)" = "$used" ]
}

# A volume made from the base: Cinder answers 202 and sets the snapshot back to "available".
# Break it: wait for 404 alone, and the end of the run waits for its whole task_timeout.
@test "a base that something was cloned from stays, is said, and goes later" {
  [ -n "${HAMAL_OPENSTACK_LONG:-}" ] || skip "HAMAL_OPENSTACK_LONG=1 runs it"
  hamal-snapshot create cloud:web --disk 2 > "$W/doc"
  hamal-cbt-read "$W/doc" --target "$T" | hamal-sync - --target "$T" > "$W/sync"
  hamal-snapshot finish "$W/doc" --committed
  local base clone
  base=$(ours_in_cinder | cut -d' ' -f3)
  cloud api --as-user POST volumev3 /volumes "{\"volume\": {\"size\": 1, \"snapshot_id\": \"$base\"}}" > "$W/volume"
  clone=$(field "$W/volume" 'd["volume"]["id"]')
  cloud wait volumev3 "/volumes/$clone" available
  hamal-snapshot create cloud:web --disk 2 > "$W/doc"
  hamal-cbt-read "$W/doc" --target "$T" | hamal-sync - --target "$T" > "$W/sync"
  succeeds hamal-snapshot finish "$W/doc" --committed
  [ "$(ours_in_cinder | grep -c '\.base available')" = 2 ]
  has "$(cat "$W"/log/*.log)" "snapshot $base of the volume $VOLUME2 stays for now: Cinder says it is busy"
  cloud api --as-user DELETE volumev3 "/volumes/$clone"
  cloud wait volumev3 "/volumes/$clone" deleted
  hamal-snapshot create cloud:web --disk 2 > "$W/doc"
  hamal-cbt-read "$W/doc" --target "$T" | hamal-sync - --target "$T" > "$W/sync"
  succeeds hamal-snapshot finish "$W/doc" --committed
  [ "$(ours_in_cinder | wc -l)" = 1 ]
}

rbd_of_nova() { rbd --conf "$CLOUD/ceph/ceph.conf" --id admin "$@" 2> "$W/rbd.err"; }

# The fake Nova has no disks of its own in Ceph: the test makes the image that a real one would.
@test "a disk of Nova's own, and a volume whose pool hamal.conf says" {
  local image server
  image=$(cloud api --as-user GET image /v2/images | python3 -c 'import json, sys; print(json.load(sys.stdin)["images"][0]["id"])')
  cloud api POST compute /flavors '{"flavor": {"name": "own", "ram": 64, "vcpus": 1, "disk": 1, "id": "own"}}' > "$W/flavor"
  cloud api --as-user POST compute /servers "{\"server\": {\"name\": \"own\", \"flavorRef\": \"own\", \"networks\": \"none\", \"imageRef\": \"$image\"}}" > "$W/server"
  server=$(field "$W/server" 'd["server"]["id"]')
  cloud wait compute "/servers/$server" ACTIVE
  succeeds hamal-snapshot vms cloud
  has "$out" "own*set pool.CEPH_GLANCE_VMS"
  sed -i '/^type = openstack_ceph/a pool.CEPH_GLANCE_VMS = ceph1/vms' "$HAMAL_CONFIG"
  fails 1 "*its image is not there: rbd://ceph1/vms/${server}_disk*" hamal-snapshot create cloud:own
  head -c 8M /dev/urandom > "$W/disk.raw"
  rbd --conf "$CLOUD/ceph/ceph.conf" --id admin import "$W/disk.raw" "vms/${server}_disk" 2> "$W/rbd.err"
  hamal-snapshot create cloud:own > "$W/doc"
  hamal-cbt-read "$W/doc" --target "$T" | hamal-sync - --target "$T" > "$W/sync"
  succeeds hamal-snapshot finish "$W/doc" --committed
  cmp "$W/disk.raw" "$W/0.raw"
  hamal-snapshot create cloud:own > "$W/doc"
  hamal-cbt-read "$W/doc" --target "$T" > "$W/stream"
  has "$(head -n 1 "$W/stream")" '"mode":"incremental"'
  succeeds hamal-snapshot finish "$W/doc" --failed
  succeeds hamal-snapshot list cloud own
  has "$out" base
  [ "$(rbd --conf "$CLOUD/ceph/ceph.conf" --id admin snap ls "vms/${server}_disk" 2> "$W/rbd.err" | grep -c hamal-)" = 1 ]
  # Break it: remove_snapshot() in keep_base_of_nova(), and this commit fails, and every one after it.
  local base
  base=$(rbd_of_nova snap ls "vms/${server}_disk" | grep -o 'hamal-[^ ]*')
  rbd_of_nova snap protect "vms/${server}_disk@$base"
  hamal-snapshot create cloud:own > "$W/doc"
  hamal-cbt-read "$W/doc" --target "$T" | hamal-sync - --target "$T" > "$W/sync"
  succeeds hamal-snapshot finish "$W/doc" --committed
  [ "$(rbd_of_nova snap ls "vms/${server}_disk" | grep -c hamal-)" = 2 ]
  has "$(cat "$W/log/hamal-snapshot.log")" "$base is not needed any more and stays for now"
}

# Break it: let ends_without_vm() of the platform say no, or has_snapshots_of_ours().
@test "what a server that is gone has left is listed and removed by its id" {
  make_vm gone 1
  hamal-snapshot create cloud:gone > "$W/doc"
  succeeds hamal-snapshot finish "$W/doc" --committed # its base is in no record
  hamal-snapshot create cloud:gone > "$W/doc"
  cloud api --as-user DELETE compute "/servers/$SERVER"
  cloud wait compute "/servers/$SERVER" deleted
  local held
  held=$(field "$W/doc" 'd["snapshot_id"]')
  succeeds hamal-snapshot delete --stale cloud --older-than 0 --dry-run
  has "$out" "$held*would delete"
  succeeds hamal-snapshot delete cloud "$SERVER" "$held"
  [ "$(snapshots_in_cinder | grep -c "${VOLUMES[0]}")" = 1 ]
  succeeds hamal-snapshot list cloud "$SERVER"
  has "$out" base
  fails 2 "*no vm of this id or name*" hamal-snapshot list cloud 00000000-0000-0000-0000-000000000000
}
