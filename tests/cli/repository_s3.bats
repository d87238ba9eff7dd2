#!/usr/bin/env bats
# A repository in a bucket of a real service (radosgw, with and without TLS): the whole pipe there and back, and what
# becomes of a run when it is killed, when the service goes away, and when the configuration is wrong.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers
load s3_helpers

setup_file() { start_radosgw; }
teardown_file() { stop_radosgw; }

setup() {
  need qemu-io
  make_world
  make_bucket hamal-"$BATS_TEST_NUMBER"
  s3_section lab hamal-"$BATS_TEST_NUMBER"
  R=s3://lab/backups/one
  succeeds hamal-repo init "$R"
}
teardown() {
  have_radosgw_back
  end_world
}

# protect: one turn of the pipe, up to and including the commit; its result is in $W/result.
protect() {
  hamal-snapshot create lab web > "$W/doc"
  hamal-cbt-read "$W/doc" --target "$R" | hamal-sync - --target "$R" --json > "$W/result"
  hamal-repo commit "$W/doc" --target "$R" > /dev/null
  hamal-snapshot finish "$W/doc" --committed > /dev/null
}

result() { field "$W/result" "$1"; }
versions() { hamal-repo list "$R" --json | wc -l; }
pack_bytes() { hamal-repo stats "$R" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["objects"]["packs"]["bytes"])'; }

# keep NUMBER VERSION: what the guest's disk is now, in $W/VERSION-NUMBER.raw.
keep() {
  qemu-img convert -O raw "nbd+unix:///live$1?socket=$QSD/nbd.sock" "$W/$2-$1.raw"
}

# image [REPOSITORY]: one image of 48 MiB, and the options by which it goes into the repository in small packs.
image() {
  [ -e "$W/disk.raw" ] || random_image "$W/disk.raw" 48M
  INTO=(--source "file:$W/disk.raw" --target "${1:-$R}" --vm web01 --disk vda --memory-limit 8M --json)
}

@test "the whole pipe: full, incremental, list, show, verify, restore, prune, compact" {
  start_qsd 2
  guest 0 "write -P 1 0 1M" "write -P 2 5M 100k"
  guest 1 "write -P 3 7M 2M"
  keep 0 first
  keep 1 first
  protect
  [ "$(result '[k["mode"] for k in d["disks"]]')" = "['full', 'full']" ]
  guest 0 "write -P 4 9M 64k" "write -z 0 64k"
  keep 0 second
  keep 1 second
  protect
  [ "$(result '[k["mode"] for k in d["disks"]]')" = "['incremental', 'incremental']" ]
  [ "$(result 'd["disks"][0]["repository"]["data_bytes"]')" -le 131072 ]
  [ "$(result 'd["disks"][1]["repository"]["packs"]')" = 0 ]
  [ "$(versions)" = 2 ]
  succeeds hamal-repo list "$R"
  has "$out" "web"
  succeeds hamal-repo show "$R" web@2 --json
  [ "$(field "$W/out" 'len(d["disks"])')" = 2 ]
  succeeds hamal-repo verify --full "$R"
  has "$out" "2 versions*all is well"
  succeeds hamal-repo stats "$R"
  local version number
  for version in first second; do
    for number in 0 1; do
      hamal-cbt-read "$R" --vm web --disk "$number" --at "$([ $version = first ] && echo 1 || echo 2)" |
        hamal-sync - --target "file:$W/restored.raw" --force > /dev/null
      cmp "$W/restored.raw" "$W/$version-$number.raw"
      rm "$W/restored.raw"
    done
  done
  succeeds hamal-repo prune "$R" --keep-last 1
  has "$out" "1"
  [ "$(versions)" = 2 ]
  succeeds hamal-repo prune "$R" --keep-last 1 --yes
  [ "$(versions)" = 1 ]
  succeeds hamal-repo compact "$R"
  succeeds hamal-repo prune "$R" --keep-last 1 --yes
  succeeds hamal-repo verify --full "$R"
  has "$out" "1 versions*all is well"
  for number in 0 1; do
    succeeds hamal-sync "$R" --vm web --disk "$number" --target "file:$W/restored-{index}.raw"
    cmp "$W/restored-$number.raw" "$W/second-$number.raw"
  done
}

@test "over TLS, in another bucket than the one beside it" {
  s3_section tls hamal-"$BATS_TEST_NUMBER" tls
  succeeds hamal-repo init s3://tls
  image s3://tls
  succeeds hamal-sync "${INTO[@]}"
  succeeds hamal-repo verify --full s3://tls
  succeeds hamal-sync s3://tls --vm web01 --target "file:$W/restored.raw"
  cmp "$W/disk.raw" "$W/restored.raw"
  [ "$(versions)" = 0 ]
}

@test "killed in the middle: the next run uploads nothing again that is there" {
  image
  local before
  in_background hamal-sync "${INTO[@]}" --bwlimit 16M
  until_true 60 packs_are_there 2
  kill -KILL "$BACKGROUND"
  wait "$BACKGROUND" || true
  before=$(pack_bytes)
  [ "$before" -gt 0 ]
  [ "$(versions)" = 0 ]
  succeeds hamal-sync "${INTO[@]}"
  [ "$(field "$W/out" 'd["repository_version"]["state"]')" = committed ]
  # What was in memory when it was killed is all that may be there twice.
  [ "$(pack_bytes)" -le $((48 * 1048576 * 102 / 100 + 8 * 1048576)) ]
  [ "$(field "$W/out" 'd["disks"][0]["repository"]["shared_bytes"]')" -ge $((before * 98 / 100 - 4 * 1048576)) ]
  succeeds hamal-repo verify --full "$R"
  succeeds hamal-sync "$R" --vm web01 --target "file:$W/restored.raw"
  cmp "$W/disk.raw" "$W/restored.raw"
}

@test "killed in the middle of the pipe: what is finished of the snapshot is not even read again" {
  start_qsd 1
  random_image "$W/content" 24M
  guest 0 "write -s $W/content 0 24M"
  keep 0 first
  hamal-snapshot create lab web > "$W/doc"
  hamal-cbt-read "$W/doc" --target "$R" > "$W/stream"
  in_background hamal-sync "$W/stream" --target "$R" --memory-limit 8M --bwlimit 8M
  until_true 60 packs_are_there 3
  kill -KILL "$BACKGROUND"
  wait "$BACKGROUND" || true
  pipe "$W/doc" "$R" --memory-limit 8M
  [ "$status" = 0 ]
  [ "$(field "$W/out" 'd["disks"][0]["resumed"]["finished_ranges"] > 0')" = True ]
  [ "$(field "$W/out" 'd["disks"][0]["read_bytes"]')" -lt $((22 * 1048576)) ]
  succeeds hamal-repo commit "$W/doc" --target "$R"
  succeeds hamal-snapshot finish "$W/doc" --committed
  [ "$(pack_bytes)" -le $((24 * 1048576 * 102 / 100 + 8 * 1048576)) ]
  succeeds hamal-repo verify --full "$R"
  succeeds hamal-sync "$R" --vm web --target "file:$W/restored.raw"
  cmp "$W/restored.raw" "$W/first-0.raw"
}

packs_are_there() {
  [ "$(hamal-repo stats "$R" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["objects"]["packs"]["count"])')" -ge "$1" ]
}

@test "the service hangs for longer than it is waited for: status 75, and the same command goes on later" {
  image
  in_background hamal-sync "${INTO[@]}" --bwlimit 16M
  until_true 60 packs_are_there 1
  stop_for_now
  status=0
  wait "$BACKGROUND" || status=$?
  [ "$status" = 75 ]
  has "$(cat "$W/background.out")" "s3://lab/backups/one*timed out"
  wake_radosgw
  local before
  before=$(pack_bytes)
  [ "$(versions)" = 0 ]
  succeeds hamal-sync "${INTO[@]}"
  [ "$(versions)" = 1 ]
  [ "$(pack_bytes)" -le $((48 * 1048576 * 102 / 100 + 8 * 1048576)) ]
  succeeds hamal-repo verify --full "$R"
}

@test "the service is away for a while, and the run only takes longer" {
  image
  sed -i 's/^outage_max = .*/outage_max = 10m/' "$HAMAL_CONFIG"
  in_background hamal-sync "${INTO[@]}" --bwlimit 16M
  until_true 60 packs_are_there 1
  take_radosgw_down
  until_true 60 grep -q "the store cannot be used" "$W/log/hamal-sync.log" # longer than a request is repeated
  bring_radosgw_up
  wait "$BACKGROUND"
  [ "$(versions)" = 1 ]
  succeeds hamal-repo verify --full "$R"
}

@test "the service is restarted in the middle of a restore, which then goes on" {
  image
  succeeds hamal-sync "${INTO[@]}"
  sed -i 's/^outage_max = .*/outage_max = 10m/' "$HAMAL_CONFIG"
  in_background hamal-sync "$R" --vm web01 --target "file:$W/restored.raw" --bwlimit 16M
  until_true 60 test -s "$W/restored.raw"
  take_radosgw_down
  until_true 60 grep -q "interrupted: s3://lab/backups/one" "$W/log/hamal-sync.log"
  bring_radosgw_up
  wait "$BACKGROUND"
  cmp "$W/disk.raw" "$W/restored.raw"
}

@test "a restore that was given up goes on from the same version" {
  image
  succeeds hamal-sync "${INTO[@]}"
  in_background hamal-sync "$R" --vm web01 --target "file:$W/restored.raw" --bwlimit 16M
  until_true 60 test -s "$W/restored.raw"
  take_radosgw_down
  status=0
  wait "$BACKGROUND" || status=$?
  [ "$status" = 75 ]
  bring_radosgw_up
  succeeds hamal-sync "$R" --vm web01 --target "file:$W/restored.raw"
  cmp "$W/disk.raw" "$W/restored.raw"
}

@test "nobody listens: status 75" {
  sed -i 's,^endpoint = .*,endpoint = http://127.0.0.1:1,' "$HAMAL_CONFIG"
  fails 75 "s3://lab/backups/one*http://127.0.0.1:1" hamal-repo list "$R"
}

@test "a wrong secret, key or bucket: said, with status 2" {
  s3_section no-secret hamal-"$BATS_TEST_NUMBER" plain wrong/secret
  fails 2 "s3://no-secret/x*correct secret_key*" hamal-repo init s3://no-secret/x
  s3_section no-bucket hamal-none
  fails 2 "s3://no-bucket/x*create the bucket*" hamal-repo init s3://no-bucket/x
  image s3://no-secret/x
  fails 2 "correct secret_key*" hamal-sync "${INTO[@]}"
  image s3://no-bucket/x
  fails 2 "create the bucket*" hamal-sync "${INTO[@]}"
  sed -i 's/^access_key = .*/access_key = NOBODY/' "$HAMAL_CONFIG"
  fails 2 "correct access_key*" hamal-repo list "$R"
}

@test "a certificate that is not trusted: said, and nothing is sent" {
  s3_section tls hamal-"$BATS_TEST_NUMBER" tls
  sed -i '/^ca_file = /d' "$HAMAL_CONFIG"
  fails 1 "s3://tls*certificate*ca_file*" hamal-repo init s3://tls
  image s3://tls
  fails 1 "s3://tls*certificate*ca_file*" hamal-sync "${INTO[@]}"
}

@test "restoring onto the disk of another version writes what differs" {
  image
  succeeds hamal-sync "${INTO[@]}"
  cp "$W/disk.raw" "$W/first.raw"
  head -c 65536 /dev/urandom | dd of="$W/disk.raw" bs=65536 seek=100 conv=notrunc status=none
  succeeds hamal-sync "${INTO[@]}"
  succeeds hamal-sync "$R" --vm web01 --at 1 --target "file:$W/restored.raw"
  cmp "$W/first.raw" "$W/restored.raw"
  succeeds hamal-sync "$R" --vm web01 --target "file:$W/restored.raw" --json
  [ "$(field "$W/out" 'd["disks"][0]["mode"], d["disks"][0]["written_bytes"]')" = "('incremental', 65536)" ]
  cmp "$W/disk.raw" "$W/restored.raw"
  succeeds hamal-sync "$R" --vm web01 --at 1 --target "file:$W/restored.raw" --json
  [ "$(field "$W/out" 'd["disks"][0]["mode"], d["disks"][0]["written_bytes"]')" = "('incremental', 65536)" ]
  cmp "$W/first.raw" "$W/restored.raw"
}

@test "a job of hamal-period into a bucket: full, incremental, retention" {
  start_qsd 1
  printf '%s\n' "[job nightly]" "platform = lab" "vm = web" "target = $R" "interval = 1h" "retention = last=1" >> "$HAMAL_CONFIG"
  guest 0 "write -P 1 0 1M"
  succeeds hamal-period
  guest 0 "write -P 2 3M 64k"
  keep 0 second
  succeeds hamal-period --now
  hamal-period status --json > "$W/result"
  [ "$(result 'd["vms"][0]["mode"], d["vms"][0]["state"]')" = "('incremental', 'done')" ]
  [ "$(versions)" = 1 ]
  hamal-cbt-read "$R" --vm web --disk 0 | hamal-sync - --target "file:$W/restored.raw" > /dev/null
  cmp "$W/restored.raw" "$W/second-0.raw"
}

@test "encrypted: who has no private key adds an increment, and who has it restores every version" {
  local version
  start_qsd 1
  R=s3://lab/secret
  (umask 077 && mkdir "$W/keys")
  hamal-repo key generate "$W/keys/alice" > /dev/null
  hamal-repo key generate --index-key "$W/keys/index" > /dev/null
  # Hosts with a configuration and a state of their own.
  host() {
    mkdir -p "$W/$1/lib" "$W/$1/log"
    { sed -e "s|$W/lib|$W/$1/lib|; s|$W/log|$W/$1/log|" "$W/hamal.conf"; printf '%s\n' "[repository]" "$2"; } > "$W/$1.conf"
    chmod 0600 "$W/$1.conf"
  }
  host proxy "index_key = file:$W/keys/index"
  host reader "private_key = file:$W/keys/alice"
  export HAMAL_CONFIG=$W/proxy.conf
  succeeds hamal-repo init "$R" --recipient "$W/keys/alice.pub"
  yes "the plain words of this guest" | head -c 1M > "$W/words"
  guest 0 "write -s $W/words 0 1M" "write -P 2 5M 100k"
  keep 0 first
  protect
  guest 0 "write -P 3 5M 8k" "write -P 4 9M 64k"
  keep 0 second
  protect
  [ "$(result 'd["disks"][0]["mode"]')" = incremental ]
  [ "$(result 'd["disks"][0]["repository"]["stored_bytes"] < 200000')" = True ]
  [ "$(versions)" = 2 ]
  fails 2 "no private key is configured" hamal-cbt-read "$R" --vm web --disk 0 --raw
  succeeds hamal-repo verify --full "$R"
  has "$out" "their checksums, not their content*all is well"
  export HAMAL_CONFIG=$W/reader.conf
  succeeds hamal-repo verify --full "$R"
  for version in first second; do
    hamal-cbt-read "$R" --vm web --disk 0 --at "$([ $version = first ] && echo 1 || echo 2)" |
      hamal-sync - --target "file:$W/restored.raw" --force > /dev/null
    cmp "$W/restored.raw" "$W/$version-0.raw"
    rm "$W/restored.raw"
  done
}
