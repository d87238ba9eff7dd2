#!/usr/bin/env bats
# A repository as the target: the pipe, the direct form, the data stream, and what becomes of versions when runs fail.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers

setup() {
  make_world
  R="dir:$W/backups"
  hamal-repo init "$R" > /dev/null
}
teardown() { end_world; }

# protect: one turn of the pipe, up to and including the commit; its result is in $W/result.
protect() {
  hamal-snapshot create lab web > "$W/doc"
  hamal-cbt-read "$W/doc" --target "$R" | hamal-sync - --target "$R" --json > "$W/result"
  hamal-repo commit "$W/doc" --target "$R" > /dev/null
  hamal-snapshot finish "$W/doc" --committed > /dev/null
}

versions() { hamal-repo list "$R" --json | wc -l; }
result() { field "$W/result" "$1"; }
sound() { hamal-repo verify --full "$R" > /dev/null; }

@test "the pipe makes a full and then increments, both disks in one version" {
  start_qsd 2
  guest 0 "write -P 1 0 1M" "write -P 2 5M 100k"
  guest 1 "write -P 3 7M 2M"
  protect
  [ "$(result '[k["mode"] for k in d["disks"]]')" = "['full', 'full']" ]
  [ "$(result 'd["repository_version"]["generation"], d["repository_version"]["state"]')" = "(1, 'staged')" ]
  [ "$(versions)" = 1 ]
  guest 0 "write -P 4 9M 64k" "write -z 0 64k"
  protect
  [ "$(result '[k["mode"] for k in d["disks"]]')" = "['incremental', 'incremental']" ]
  [ "$(result 'd["disks"][0]["repository"]["data_bytes"]')" -le 131072 ]
  [ "$(result 'd["disks"][1]["repository"]["packs"]')" = 0 ]
  [ "$(versions)" = 2 ]
  sound
  [ "$(hamal-snapshot list lab --json | python3 -c 'import json, sys
print(sum(s["state"] == "held" for s in json.load(sys.stdin)["snapshots"]))')" = 0 ]
}

@test "what is staged is no version before the commit, and a commit may be repeated" {
  start_qsd 1
  guest 0 "write -P 1 0 1M"
  hamal-snapshot create lab web > "$W/doc"
  fails 2 "nothing of this snapshot was staged" hamal-repo commit "$W/doc" --target "$R"
  pipe "$W/doc" "$R"
  [ "$status" = 0 ]
  [ "$(versions)" = 0 ]
  # A session that waits for its commit keeps its snapshot.
  hamal-snapshot create lab web > "$W/again"
  cmp "$W/doc" "$W/again"
  succeeds hamal-repo commit "$W/doc" --target "$R" --json
  [ "$(versions)" = 1 ]
  succeeds hamal-repo commit "$W/doc" --target "$R" --json
  [ "$(versions)" = 1 ]
  succeeds hamal-snapshot finish "$W/doc" --committed
}

@test "the checkpoint is in the repository: what the state knows of it may be lost" {
  start_qsd 1
  guest 0 "write -P 1 0 1M"
  protect
  hamal-sync checkpoint forget --target "$R" > /dev/null
  rm -r "$W/lib/repository"
  guest 0 "write -P 2 3M 64k"
  protect
  [ "$(result 'd["disks"][0]["mode"]')" = incremental ]
  [ "$(versions)" = 2 ]
  sound
}

@test "a disk that failed is not in the version, and its next run counts from its own last one" {
  start_qsd 2
  guest 0 "write -P 1 0 1M"
  guest 1 "write -P 2 0 1M"
  protect
  guest 0 "write -P 3 1M 64k"
  guest 1 "write -P 4 2M 64k"
  hamal-snapshot create lab web > "$W/doc"
  hamal-cbt-read "$W/doc" --target "$R" > "$W/stream"
  python3 - "$W/stream" << 'END'
import json, sys
lines = open(sys.argv[1]).read().splitlines()
header = json.loads(lines[0])
header["disks"][1]["source"] += "-gone"
lines[0] = json.dumps(header)
open(sys.argv[1], "w").write("\n".join(lines) + "\n")
END
  capture hamal-sync "$W/stream" --target "$R" --json
  [ "$status" = 3 ]
  hamal-repo commit "$W/doc" --target "$R" > /dev/null
  hamal-snapshot finish "$W/doc" --failed > /dev/null
  [ "$(hamal-repo show "$R" web@2 --json | python3 -c 'import json, sys
print(len(json.load(sys.stdin)["disks"]))')" = 1 ]
  guest 0 "write -P 5 4M 64k"
  protect
  [ "$(versions)" = 3 ]
  [ "$(result '[k["checkpoint"]["before"]["generation"] for k in d["disks"]]')" = "[2, 1]" ]
  sound
}

@test "a raw image goes into a repository under the names it is given, once" {
  make_image "$W/x.raw"
  fails 2 "needs names" hamal-sync --source "file:$W/x.raw" --target "$R"
  fails 2 "needs --disk" hamal-sync --source "file:$W/x.raw" --target "$R" --vm web01
  succeeds hamal-sync --source "file:$W/x.raw" --target "$R" --vm web01 --disk vda --json
  [ "$(field "$W/out" 'd["vm_id"], d["disks"][0]["disk"], d["repository_version"]["state"]')" = "('web01', 'vda', 'committed')" ]
  [ "$(field "$W/out" 'd["disks"][0]["checkpoint"]["after"]["generation"]')" = 1 ]
  succeeds hamal-sync --source "file:$W/x.raw" --target "$R" --vm web01 --disk vda --json
  [ "$(field "$W/out" 'd["disks"][0]["mode"], d["disks"][0]["repository"]["stored_bytes"]')" = "('full', 0)" ]
  [ "$(versions)" = 2 ]
  sound
}

@test "records are compressed at the level that is configured, or not at all" {
  # Words, in an order that repeats nowhere for long: what a level above 1 saves more of.
  python3 -c 'import random, sys
words = ["%x" % random.Random(i).getrandbits(40) for i in range(3000)]
r = random.Random(1)
sys.stdout.write(" ".join(r.choice(words) for _ in range(400000))[:4 << 20])' > "$W/x.raw"
  local level stored=()
  for level in 0 1 19; do
    sed "s/^\[sync\]/[repository]\ncompression = $level\n[sync]/" "$HAMAL_CONFIG" > "$W/level.conf"
    chmod 0600 "$W/level.conf"
    rm -rf "$W/backups" "$W/lib/repository"
    hamal-repo init "$R" > /dev/null
    succeeds hamal-sync --config "$W/level.conf" --source "file:$W/x.raw" --target "$R" --vm web01 --disk vda --json
    stored+=("$(du -bs "$W/backups/packs" | cut -f1)")
    hamal-cbt-read "$R" --vm web01 --disk vda --raw | cmp - "$W/x.raw"
  done
  [ "${stored[0]}" -ge 4194304 ]
  [ "${stored[1]}" -lt $((stored[0] * 3 / 4)) ]
  [ "${stored[2]}" -lt "${stored[1]}" ]
}

@test "the direct form of a platform's disk commits by itself" {
  start_qsd 2
  guest 0 "write -P 1 0 1M"
  succeeds hamal-sync --source lab:web/top0 --target "$R" --json
  guest 0 "write -P 2 8M 64k"
  succeeds hamal-sync --source lab:web/top0 --target "$R" --json
  did incremental "in $R"
  [ "$(versions)" = 2 ]
  sound
}

@test "a data stream is staged like any other" {
  make_image "$W/x.raw"
  hamal-cbt-read "file:$W/x.raw" --full --data > "$W/stream"
  succeeds hamal-sync "$W/stream" --target "$R" --json
  [ "$(field "$W/out" 'd["disks"][0]["repository"]["data_bytes"] > 0')" = True ]
  [ "$(field "$W/out" 'd["repository_version"]["state"]')" = staged ]
}

@test "a dry run and two repositories at once leave nothing" {
  make_image "$W/x.raw"
  find "$W/backups" | sort > "$W/before"
  succeeds hamal-sync --source "file:$W/x.raw" --target "$R" --vm web01 --disk vda --dry-run
  has "$out" "would copy"
  find "$W/backups" | sort > "$W/after"
  cmp "$W/before" "$W/after"
  [ ! -d "$W/lib/repository" ]
}

@test "while another run holds the vm, exit 4" {
  make_image "$W/x.raw"
  mkdir -p "$W/lib/locks"
  exec 9> "$W/lib/locks/vm-file%2Fweb01.lock"
  flock 9
  fails 4 "web01" hamal-sync --source "file:$W/x.raw" --target "$R" --vm web01 --disk vda
  exec 9>&-
  [ "$(versions)" = 0 ]
}

@test "no repository there, a repository among other targets: named, exit 2" {
  make_image "$W/x.raw"
  fails 2 "hamal-repo init" hamal-sync --source "file:$W/x.raw" --target "dir:$W/none" --vm web01 --disk vda
  start_qsd 2
  hamal-snapshot create lab web > "$W/doc"
  hamal-cbt-read "$W/doc" --full > "$W/stream"
  fails 2 "one repository" hamal-sync "$W/stream" --target "$R" --map "top1=file:$W/one.raw"
}
