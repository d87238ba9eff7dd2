#!/usr/bin/env bats
# Wrong input of hamal-cbt-read: each case its exit status and its message.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers

setup() {
  make_world
  make_image "$W/x.raw"
  document > "$W/doc"
}
teardown() { end_world; }

# edited EXPRESSION…: the good document, changed by Python statements on d, in $W/edited.
edited() {
  python3 -c 'import json, sys
d = json.loads(open(sys.argv[1]).read())
exec(sys.argv[2])
print(json.dumps(d))' "$W/doc" "$1" > "$W/edited"
}

checkpoint() {
  printf '{"format":"hamal-checkpoint","version":1,"platform":"%s","vm_id":"v","disk":"%s","target":"t","vm_name":"v","change_id":"c","snapshot_id":"s","generation":1,"size":%s,"committed":"2026-11-22T21:24:35Z","target_uri":"file:t"}\n' "$1" "$2" "$3"
}

@test "the document that the others spoil is good" {
  succeeds hamal-cbt-read "$W/doc" --full
}

@test "no source" {
  fails 2 "SOURCE is required" hamal-cbt-read --full
}

@test "no base" {
  fails 2 "changes since when?" hamal-cbt-read "$W/doc"
}

@test "two bases" {
  fails 2 "only one of --target" hamal-cbt-read "$W/doc" --full --since x
}

@test "raw with a base" {
  fails 2 "--raw is a whole disk" hamal-cbt-read "$W/doc" --raw --since x
}

@test "raw and data together" {
  fails 2 "--raw" hamal-cbt-read "$W/doc" --raw --data --full
}

@test "a second source" {
  fails 2 "unexpected argument more" hamal-cbt-read "$W/doc" more --full
}

@test "an empty target" {
  fails 2 "--target: is empty" hamal-cbt-read "$W/doc" --target ""
}

@test "a target pattern with an unknown word" {
  fails 2 "{host}" hamal-cbt-read "$W/doc" --target "file:/b/{host}.raw"
}

@test "a target that is no endpoint" {
  fails 2 "/b/x.raw" hamal-cbt-read "$W/doc" --target "/b/x.raw"
}

@test "a document that does not exist" {
  fails 1 "$W/none: cannot open: No such file or directory" hamal-cbt-read "$W/none" --full
}

@test "a document that is a directory" {
  fails 1 "$W/lib: cannot read: Is a directory" hamal-cbt-read "$W/lib" --full
}

@test "a document that may not be read" {
  [ "$(id -u)" != 0 ] || skip "root may read everything"
  chmod 0 "$W/doc"
  fails 1 "$W/doc: cannot open: Permission denied" hamal-cbt-read "$W/doc" --full
}

@test "an empty document" {
  : > "$W/empty"
  fails 2 "$W/empty: is empty" hamal-cbt-read "$W/empty" --full
}

@test "an empty pipe says whose failure it is" {
  fails 2 "hamal-snapshot failed: its own message says why" hamal-cbt-read - --full < /dev/null
}

@test "a truncated document" {
  head -c 100 "$W/doc" > "$W/edited"
  fails 2 "$W/edited" hamal-cbt-read "$W/edited" --full
}

@test "a document with something behind it" {
  cat "$W/doc" "$W/doc" > "$W/edited"
  fails 2 "$W/edited" hamal-cbt-read "$W/edited" --full
}

@test "text that is no JSON" {
  fails 2 "$W/edited" bash -c "echo 'hello: world' > $W/edited; exec hamal-cbt-read $W/edited --full"
}

@test "random bytes" {
  head -c 3000 /dev/urandom > "$W/edited"
  fails 2 "$W/edited" hamal-cbt-read "$W/edited" --full
}

@test "a document larger than any document is" {
  head -c 17000000 /dev/zero > "$W/edited"
  fails 2 "larger than 16 MiB" hamal-cbt-read "$W/edited" --full
}

@test "JSON of another kind" {
  echo '[1, 2]' > "$W/edited"
  fails 2 "$W/edited" hamal-cbt-read "$W/edited" --full
}

@test "an extent stream given as the document" {
  hamal-cbt-read "$W/doc" --full > "$W/stream"
  fails 2 "$W/stream" hamal-cbt-read "$W/stream" --full
}

@test "a document of another format" {
  edited 'd["format"] = "hamal-checkpoint"'
  fails 2 "hamal-checkpoint" hamal-cbt-read "$W/edited" --full
}

@test "a document of a newer version" {
  edited 'd["version"] = 2'
  fails 2 "newer" hamal-cbt-read "$W/edited" --full
}

@test "a document without disks" {
  edited 'd["disks"] = []'
  fails 2 "disks" hamal-cbt-read "$W/edited" --full
}

@test "a document without its vm" {
  edited 'del d["vm_id"]'
  fails 2 "vm_id" hamal-cbt-read "$W/edited" --full
}

@test "a document with a size that is text" {
  edited 'd["disks"][0]["size"] = "4194304"'
  fails 2 "size" hamal-cbt-read "$W/edited" --full
}

@test "a document with a negative size" {
  edited 'd["disks"][0]["size"] = -1'
  fails 2 "size" hamal-cbt-read "$W/edited" --full
}

@test "a document with a size beyond all disks" {
  edited 'd["disks"][0]["size"] = 2**63'
  fails 2 "size" hamal-cbt-read "$W/edited" --full
}

@test "a document with one disk twice" {
  edited 'd["disks"] *= 2'
  fails 2 '0' hamal-cbt-read "$W/edited" --full
}

@test "a document of a platform that is not configured" {
  edited 'd["platform"] = "lab"'
  fails 2 "no section [[]platform lab]" hamal-cbt-read "$W/edited" --full
}

@test "a disk that the snapshot does not have" {
  fails 2 "vdz" hamal-cbt-read "$W/doc" --full --disk vdz
}

@test "raw of a snapshot with several disks" {
  edited 'd["disks"].append(dict(d["disks"][0], id="1"))'
  fails 2 "--raw prints one disk, the snapshot has 2" hamal-cbt-read "$W/edited" --raw
}

@test "a source that is gone" {
  edited 'd["disks"][0]["source"] = "file:/none/x.raw"'
  fails 1 "/none/x.raw" hamal-cbt-read "$W/edited" --full
  has "$out" '{"error":{"status":1,'
}

@test "a source that has shrunk since the snapshot" {
  truncate -s 1M "$W/x.raw"
  fails 1 "$W/x.raw" hamal-cbt-read "$W/doc" --raw
}

@test "a source that is no endpoint" {
  edited 'd["disks"][0]["source"] = "gopher://x"'
  fails 2 "gopher" hamal-cbt-read "$W/edited" --full
}

@test "an nbd server that is not there" {
  capture hamal-cbt-read "nbd+unix:///?socket=$W/none.sock" --full
  [ "$status" = 1 ] || [ "$status" = 75 ]
  has "$err" "$W/none.sock"
  [ -z "$out" ]
}

@test "an nbd export that is not there" {
  start_qsd
  capture hamal-cbt-read "nbd+unix:///nosuch?socket=$QSD/nbd.sock" --full
  [ "$status" = 1 ]
  has "$err" "nosuch"
}

@test "an nbd server that speaks something else" {
  need nbdkit
  python3 -c 'import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen(5)
while True:
    client, _ = server.accept()
    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    client.close()' "$W/http.sock" 3>&- &
  stop_later $!
  until_true 60 listens "$W/http.sock"
  capture hamal-cbt-read "nbd+unix:///?socket=$W/http.sock" --full
  [ "$status" = 1 ] || [ "$status" = 75 ]
  has "$err" "$W/http.sock"
}

@test "an endpoint of a kind that this version cannot open" {
  fails 2 "s3://bucket/x" hamal-cbt-read s3://bucket/x --full
}

@test "an endpoint with a broken escape" {
  fails 2 "escape" hamal-cbt-read file:/x%zz --full
}

@test "a platform's disk without its snapshot" {
  fails 2 "lab:web/vda: names no snapshot" hamal-cbt-read lab:web/vda --full
}

@test "a platform's disk of a snapshot that was never made here" {
  fails 2 "no such snapshot was recorded here" hamal-cbt-read lab:web/vda@s1 --full
}

@test "a checkpoint that does not exist" {
  fails 1 "$W/none: cannot open" hamal-cbt-read "$W/doc" --checkpoint "$W/none"
}

@test "a checkpoint that is a snapshot document" {
  fails 2 "$W/doc" hamal-cbt-read "$W/doc" --checkpoint "$W/doc"
}

@test "a checkpoint that is truncated" {
  checkpoint file 0 4194304 | head -c 60 > "$W/checkpoint"
  fails 2 "$W/checkpoint" hamal-cbt-read "$W/doc" --checkpoint "$W/checkpoint"
}

@test "a checkpoint of another platform" {
  checkpoint lab 0 4194304 > "$W/checkpoint"
  fails 2 "the checkpoint is of lab:v/0" hamal-cbt-read "$W/doc" --checkpoint "$W/checkpoint"
}

@test "a checkpoint of a disk that the snapshot does not have" {
  checkpoint file 7 4194304 > "$W/checkpoint"
  fails 2 "the checkpoint is of file:v/7" hamal-cbt-read "$W/doc" --checkpoint "$W/checkpoint"
}

@test "disk contents are not written to a terminal" {
  need script
  status=0
  script -qec "hamal-cbt-read $W/doc --raw" "$W/typescript" < /dev/null > /dev/null 2>&1 3>&- || status=$?
  [ "$status" = 2 ]
  has "$(cat "$W/typescript")" "will not write disk contents to a terminal"
}

@test "a full disk for the stream" {
  for form in "--full" "--data --full" "--raw"; do
    status=0
    # shellcheck disable=SC2086 # words are meant
    hamal-cbt-read "$W/doc" $form > /dev/full 2> "$W/err" || status=$?
    [ "$status" = 1 ]
    has "$(cat "$W/err")" "standard output: cannot write: No space left on device"
  done
}
