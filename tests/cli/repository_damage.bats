#!/usr/bin/env bats
# Every kind of object deleted, cut, flipped or swapped: verify names the versions, disks and ranges that suffer,
# nothing false is ever restored, the other versions still are, and the next run mends what its source still has.
#
# shellcheck disable=SC2154 # out and status are set by the helpers
#
# Break it: let Layer::open or the version reader skip a check of a hash, or verify() its look into the packs.

load helpers

# Three versions of a disk of 8 MiB: version 2 has other bytes at 2 MiB, version 3 others at 4 MiB, too.
setup() {
  need qemu-io
  make_world
  R=$W/repo
  succeeds hamal-repo init "dir:$R"
  head -c 8M /dev/urandom > "$W/disk"
  protect 1
  change 2097152
  protect 2
  change 4194304
  protect 3
}

teardown() { end_world; }

change() { head -c 65536 /dev/urandom | dd of="$W/disk" bs=65536 seek=$(($1 / 65536)) conv=notrunc status=none; }

# protect N: version N of the disk as it is, kept as $W/version-N.
protect() {
  cp "$W/disk" "$W/version-$1"
  succeeds hamal-sync --source "file:$W/disk" --target "dir:$R" --vm web --disk vda --json
}

slot_of() { find "$R/versions" -type f -name "*$1" | head -n 1; }
# The one object of that kind which version N's session put.
object_of() {
  local session
  session=$(head -n 1 "$(slot_of "$2")" | python3 -c 'import json, sys; print(json.load(sys.stdin)["session"])')
  find "$R/$1/$session" -type f | sort | head -n 1
}

flip() {
  python3 - "$1" "$2" <<'END'
import os, sys
path, place = sys.argv[1], int(sys.argv[2])
os.chmod(path, 0o600)
with open(path, "r+b") as file:
    file.seek(place, os.SEEK_END if place < 0 else os.SEEK_SET)
    at = file.tell()
    byte = file.read(1)[0]
    file.seek(at)
    file.write(bytes([byte ^ 1]))
END
}

restore() {
  rm -f "$W/restored"
  hamal-cbt-read "dir:$R" --vm web --disk vda --at "$1" 2> "$W/read.err" |
    hamal-sync - --target "file:$W/restored" > "$W/restore.out" 2> "$W/restore.err"
}

restores() {
  for version in "$@"; do
    restore "$version" || { cat "$W/read.err" "$W/restore.err" >&2; return 1; }
    cmp "$W/restored" "$W/version-$version"
  done
}

does_not_restore() {
  for version in "$@"; do
    if restore "$version"; then
      return 1
    fi
  done
}

# damaged OPTIONS…: verify finds something.
damaged() {
  capture hamal-repo verify "dir:$R" "$@"
  [ "$status" = 1 ] || { show "expected damage"; return 1; }
}

@test "all is well, and says so" {
  succeeds hamal-repo verify "dir:$R"
  has "$out" "3 versions"
  succeeds hamal-repo verify --full "dir:$R"
  has "$out" "all is well"
  restores 1 2 3
}

@test "a pack that is gone: who has records there suffers, and where" {
  rm -f "$(object_of packs 2)"
  damaged
  has "$out" "version 2 disk vda: 64 KiB cannot be restored (at 2097152+65536)"
  has "$out" "version 3 disk vda: 64 KiB cannot be restored (at 2097152+65536)"
  [[ $out != *"version 1"* ]]
  restores 1
  does_not_restore 2 3
}

@test "a flipped bit in a pack: found by --full, and never restored" {
  flip "$(object_of packs 3)" 200
  succeeds hamal-repo verify "dir:$R"
  damaged --full --json
  [ "$(field "$W/out" '[(x["version"], x["disk"], x["ranges"]) for x in d["damages"]]')" = \
    "[(3, 'vda', [{'length': 65536, 'offset': 4194304}])]" ]
  restores 1 2
  does_not_restore 3
}

@test "a pack that was cut" {
  local pack
  pack=$(object_of packs 2)
  truncate -s $(($(stat -c %s "$pack") / 2)) "$pack"
  damaged
  has "$out" "version 2 disk vda"
  restores 1
  does_not_restore 2 3
}

@test "two packs that changed places" {
  local one two
  one=$(object_of packs 2)
  two=$(object_of packs 3)
  mv "$one" "$W/aside"
  mv "$two" "$one"
  mv "$W/aside" "$two"
  damaged --full
  has "$out" "version 2 disk vda"
  has "$out" "version 3 disk vda"
  restores 1
  does_not_restore 2 3
}

@test "a layer that is gone, cut, or flipped" {
  local layer
  layer=$(object_of layers 2)
  cp "$layer" "$W/layer"
  flip "$layer" 30
  damaged
  has "$out" "version 2 disk vda: 8 MiB cannot be restored"
  restores 1 3
  does_not_restore 2
  cp "$W/layer" "$layer"
  flip "$layer" -20
  damaged
  cp "$W/layer" "$layer"
  truncate -s -1 "$layer"
  damaged
  does_not_restore 2
  rm "$layer"
  damaged
  has "$out" "version 2"
  restores 1 3
  does_not_restore 2
  cp "$W/layer" "$layer"
  succeeds hamal-repo verify --full "dir:$R"
}

@test "a manifest that is gone or flipped, and two that changed places" {
  local slot
  slot=$(slot_of 2)
  cp "$slot" "$W/slot"
  flip "$slot" 40
  damaged
  has "$out" "version 2"
  does_not_restore 2
  rm "$slot"
  damaged
  has "$out" "version 2: "*"is missing"
  cp "$(slot_of 3)" "$slot"
  damaged
  has "$out" "version 2"
  does_not_restore 2
  cp "$W/slot" "$slot"
  succeeds hamal-repo verify "dir:$R"
  restores 1 2 3
}

@test "after verify --mark an incremental reads again what is damaged, and nothing else" {
  local vm
  start_qsd 1
  random_image "$W/content" 1M
  guest 0 "write -s $W/content 0 1M" "write -P 5 8M 64k"
  into() {
    hamal-snapshot create lab guest > "$W/doc"
    pipe "$W/doc" "dir:$R"
    hamal-repo commit "$W/doc" --target "dir:$R" > /dev/null
    hamal-snapshot finish "$W/doc" --committed > /dev/null
  }
  sed -i 's/^vm = web/vm = guest/' "$HAMAL_CONFIG"
  into
  did full "*"
  vm=$(find "$R/versions/lab" -type f -name '*1')
  rm -f "$R/packs/$(head -n 1 "$vm" | python3 -c 'import json, sys; print(json.load(sys.stdin)["session"])')/00000000"
  guest 0 "write -P 6 16M 64k"
  damaged --mark
  # Nothing changed in the guest where the pack is gone: the source has it all still.
  into
  did incremental "*"
  [ "$(field "$W/out" 'd["disks"][0]["read_bytes"]')" = $((1048576 + 65536 + 65536)) ]
  capture hamal-repo verify "dir:$R" guest --json
  [ "$(field "$W/out" '{x["version"] for x in d["damages"]}')" = "{1}" ]
  qemu-img convert -f raw -O raw "nbd+unix:///live0?socket=$QSD/nbd.sock" "$W/now.raw"
  succeeds hamal-sync "dir:$R" --vm guest --target "file:$W/restored"
  cmp "$W/now.raw" "$W/restored"
  # Once it is stored again it is not damaged any more.
  into
  did incremental "*"
  [ "$(field "$W/out" 'd["disks"][0]["read_bytes"]')" = 0 ]
}

@test "verify of one machine looks at no other, whatever is wrong there" {
  succeeds hamal-sync --source "file:$W/disk" --target "dir:$R" --vm other --disk vda --json
  flip "$(find "$R/versions" -path '*other*' -type f)" 40
  succeeds hamal-repo verify "dir:$R" web
  has "$out" "3 versions"
  damaged other
  has "$out" "version 1"
  fails 2 "nobody: is no vm of this repository" hamal-repo verify "dir:$R" nobody
}

@test "after verify --mark the next run stores again what is damaged" {
  rm -f "$(object_of packs 2)"
  flip "$(object_of packs 3)" 200
  damaged --full --mark
  protect 4
  damaged --full --json
  [ "$(field "$W/out" 'sorted({x["version"] for x in d["damages"]})')" = "[2, 3]" ]
  restores 1 4
}
