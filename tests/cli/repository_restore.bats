#!/usr/bin/env bats
# The pipe run backwards: versions of a repository onto files, NBD servers and block devices, and what differs only.
# shellcheck disable=SC2154,SC2016 # out, err and status are set by the helpers; scripts for nbdkit expand there

load helpers

setup() {
  need qemu-io qemu-img
  make_world
  R="dir:$W/backups"
  hamal-repo init "$R" > /dev/null
}
teardown() {
  [ -z "${LOOP:-}" ] || losetup -d "$LOOP"
  end_world
}

# protect NAME: one turn of the pipe; what the two disks are now is kept in $W/NAME-0.raw and $W/NAME-1.raw.
protect() {
  local number
  for number in 0 1; do
    qemu-img convert -O raw "nbd+unix:///live$number?socket=$QSD/nbd.sock" "$W/$1-$number.raw"
  done
  hamal-snapshot create lab web > "$W/doc"
  hamal-cbt-read "$W/doc" --target "$R" | hamal-sync - --target "$R" > /dev/null
  hamal-repo commit "$W/doc" --target "$R" > /dev/null
  hamal-snapshot finish "$W/doc" --committed > /dev/null
}

# two_versions: of a vm with two disks; both change between them.
two_versions() {
  start_qsd 2
  guest 0 "write -P 1 0 1M" "write -P 2 20M 100k"
  guest 1 "write -P 3 7M 2M"
  protect first
  guest 0 "write -P 4 9M 64k" "write -z 0 64k"
  guest 1 "write -P 5 8M 64k"
  protect second
}

wrote() { field "$W/out" 'd["disks"][0]["mode"], d["disks"][0]["written_bytes"] + d["disks"][0]["zeroed_bytes"]'; }

@test "a whole vm of two disks, at the newest version and at a chosen one, by the pipe and in one command" {
  two_versions
  local number
  succeeds hamal-sync "$R" --vm web --target "file:$W/new-{index}.raw"
  succeeds hamal-sync "$R" --vm web --at 1 --target "file:$W/old-{index}.raw"
  hamal-cbt-read "$R" --vm web --at 1 | hamal-sync - --target "file:$W/pipe-{index}.raw" > /dev/null
  for number in 0 1; do
    cmp "$W/new-$number.raw" "$W/second-$number.raw"
    cmp "$W/old-$number.raw" "$W/first-$number.raw"
    cmp "$W/pipe-$number.raw" "$W/first-$number.raw"
  done
  fails 2 "has no version 9" hamal-sync "$R" --vm web --at 9 --target "file:$W/none-{index}.raw"
}

@test "versions are snapshots, with their sizes and what the platform says of the machine" {
  start_qsd 1
  guest 0 "write -P 1 0 1M"
  hamal-snapshot create lab web | python3 -c 'import json, sys
d = json.load(sys.stdin)
d["hardware"] = {"cpus": 3}
print(json.dumps(d))' > "$W/doc"
  hamal-cbt-read "$W/doc" --target "$R" | hamal-sync - --target "$R" > /dev/null
  hamal-repo commit "$W/doc" --target "$R" > /dev/null
  hamal-snapshot finish "$W/doc" --committed > /dev/null
  succeeds hamal-snapshot list "$R" --json
  [ "$(field "$W/out" '[(s["id"], s["vm_id"], s["state"]) for s in d["snapshots"]]')" = "[('1', 'lab/web', 'held')]" ]
  succeeds hamal-repo show "$R" web
  has "$out" 'hardware*"cpus":3'
  succeeds hamal-repo show "$R" web --json
  # Of sixteen records that are alike one was stored.
  [ "$(field "$W/out" 'd["logical_bytes"], d["changed_bytes"], d["shared_bytes"], 0 < d["stored_bytes"] < 1000')" = \
    "(33554432, 33554432, 983040, True)" ]
}

@test "onto the disk of another version writes what differs, forwards and back" {
  two_versions
  succeeds hamal-sync "$R" --vm web --disk 0 --at 1 --target "file:$W/disk.raw"
  succeeds hamal-sync "$R" --vm web --disk 0 --target "file:$W/disk.raw" --json
  [ "$(wrote)" = "('incremental', 131072)" ]
  cmp "$W/disk.raw" "$W/second-0.raw"
  succeeds hamal-sync "$R" --vm web --disk 0 --at 1 --target "file:$W/disk.raw" --json
  [ "$(wrote)" = "('incremental', 131072)" ]
  cmp "$W/disk.raw" "$W/first-0.raw"
}

@test "onto an NBD server, and from there to another version" {
  two_versions
  nbdkit_at "$W/target.sock" memory 32M
  local target="nbd+unix:///?socket=$W/target.sock"
  succeeds hamal-sync "$R" --vm web --disk 1 --at 1 --target "$target"
  qemu-img compare -f raw -F raw "$target" "$W/first-1.raw" > /dev/null
  succeeds hamal-sync "$R" --vm web --disk 1 --target "$target" --json
  [ "$(wrote)" = "('incremental', 65536)" ]
  qemu-img compare -f raw -F raw "$target" "$W/second-1.raw" > /dev/null
}

@test "onto a block device" {
  need losetup
  truncate -s 32M "$W/device"
  LOOP=$(losetup --find --show "$W/device" 2> /dev/null) || { LOOP=; skip "no loop devices"; }
  two_versions
  succeeds hamal-sync "$R" --vm web --disk 0 --target "$LOOP"
  cmp "$LOOP" "$W/second-0.raw"
}

@test "a disk that a version does not include leaves the index of the others alone" {
  two_versions
  guest 0 "write -P 6 3M 64k"
  guest 1 "write -P 7 3M 64k"
  hamal-snapshot create lab web > "$W/doc"
  hamal-cbt-read "$W/doc" --disk top1 --target "$R" | hamal-sync - --target "$R" > /dev/null
  hamal-repo commit "$W/doc" --target "$R" > /dev/null
  hamal-snapshot finish "$W/doc" --failed > /dev/null
  succeeds hamal-repo show "$R" web@3 --json
  [ "$(field "$W/out" '[(k["id"], k["index"]) for k in d["disks"]]')" = "[('top1', 1)]" ]
  succeeds hamal-sync "$R" --vm web --target "file:$W/whole-{index}.raw"
  [ ! -e "$W/whole-0.raw" ]
  qemu-img compare -f raw -F raw "nbd+unix:///live1?socket=$QSD/nbd.sock" "$W/whole-1.raw" > /dev/null
  hamal-cbt-read "$R" --vm web | hamal-sync - --target "file:$W/pipe-{index}.raw" > /dev/null
  cmp "$W/whole-1.raw" "$W/pipe-1.raw"
  # By its index, too.
  succeeds hamal-sync "$R" --vm web --disk 1 --target "file:$W/one.raw"
  cmp "$W/whole-1.raw" "$W/one.raw"
  fails 2 "has no disk \"0\"*top1*" hamal-sync "$R" --vm web --disk 0 --target "file:$W/none.raw"
}

@test "compare: a disk of a version with what it was restored to" {
  two_versions
  succeeds hamal-sync "$R" --vm web --disk 0 --at 1 --target "file:$W/disk.raw"
  succeeds hamal-sync --compare --source "$R" --vm web --disk 0 --at 1 --target "file:$W/disk.raw"
  has "$out" "identical"
  capture hamal-sync --compare --source "$R" --vm web --disk 0 --target "file:$W/disk.raw" --json
  [ "$status" = 1 ]
  [ "$(field "$W/out" 'd["differing_bytes"]')" = 131072 ]
  fails 2 "which disk of which vm*--vm VM --disk DISK*" hamal-sync --compare --source "$R" --target "file:$W/disk.raw"
}

@test "a disk that became smaller is a full, and restores as it is" {
  random_image "$W/disk.raw" 4M
  local into=(--source "file:$W/disk.raw" --target "$R" --vm web01 --disk vda --json)
  succeeds hamal-sync "${into[@]}"
  truncate -s 3M "$W/disk.raw"
  succeeds hamal-sync "${into[@]}"
  succeeds hamal-sync "$R" --vm web01 --at 1 --target "file:$W/restored.raw"
  [ "$(stat -c %s "$W/restored.raw")" = 4194304 ]
  fails 6 "--resize" hamal-sync "$R" --vm web01 --target "file:$W/restored.raw"
  succeeds hamal-sync "$R" --vm web01 --target "file:$W/restored.raw" --resize
  cmp "$W/disk.raw" "$W/restored.raw"
  succeeds hamal-repo verify --full "$R"
}

@test "a data stream of ranges that are no whole blocks is refused, and says which" {
  nbdkit_at "$W/odd.sock" eval get_size='echo 1M' can_extents='exit 0' \
    pread='head -c "$3" /dev/zero | tr "\0" x' \
    extents='printf "%s\n" "0 512 hole,zero" "512 512" "1024 1047552 hole,zero"'
  hamal-cbt-read "nbd+unix:///?socket=$W/odd.sock" --full --data > "$W/stream"
  fails 1 "*512*whole blocks of 4096 bytes*without --data*" hamal-sync "$W/stream" --target "$R"
  # The same onto a disk, and as extents: no need for whole blocks there.
  succeeds hamal-sync "$W/stream" --target "file:$W/disk.raw"
  hamal-cbt-read "nbd+unix:///?socket=$W/odd.sock" --full | hamal-sync - --target "$R" > /dev/null
}

# copy_newest: the newest version of the machine from $R into $W/elsewhere, as hamal-repo(1) has it.
copy_newest() {
  hamal-snapshot create old lab/web > "$W/copy"
  hamal-cbt-read "$W/copy" --target "dir:$W/elsewhere" | hamal-sync - --target "dir:$W/elsewhere" --json > "$W/out"
  hamal-repo commit "$W/copy" --target "dir:$W/elsewhere" > /dev/null
  hamal-snapshot finish "$W/copy" --committed > /dev/null
}

# Break it: have the platform of a repository say that it has no changes, or read another version than the document's.
@test "from one repository into another: a full, then what the next version changed" {
  start_qsd 2
  guest 0 "write -P 1 0 1M" "write -P 2 20M 100k"
  guest 1 "write -P 3 7M 2M"
  hamal-repo init "dir:$W/elsewhere" > /dev/null
  printf '[platform old]\ntype = repository\nendpoint = %s\n' "$R" >> "$HAMAL_CONFIG"
  protect first
  copy_newest
  [ "$(field "$W/out" '[k["mode"] for k in d["disks"]]')" = "['full', 'full']" ]
  guest 0 "write -P 4 9M 64k" "write -z 0 64k"
  protect second
  copy_newest
  [ "$(field "$W/out" '[(k["mode"], k["asked"]["data_bytes"] + k["asked"]["zero_bytes"]) for k in d["disks"]]')" = \
    "[('incremental', 131072), ('incremental', 0)]" ]
  local number
  hamal-repo verify --full "dir:$W/elsewhere" > /dev/null
  succeeds hamal-sync "dir:$W/elsewhere" --vm web --target "file:$W/new-{index}.raw"
  succeeds hamal-sync "dir:$W/elsewhere" --vm web --at 1 --target "file:$W/old-{index}.raw"
  for number in 0 1; do
    cmp "$W/new-$number.raw" "$W/second-$number.raw"
    cmp "$W/old-$number.raw" "$W/first-$number.raw"
  done
}
