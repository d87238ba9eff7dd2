#!/usr/bin/env bats
# Wrong input of hamal-snapshot: each case its exit status and its message.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers

setup() { make_world; }
teardown() { end_world; }

# A platform whose monitor is $W/qmp.sock.
with_monitor() {
  printf '%s\n' "[platform lab]" "type = qemu" "qmp = $W/qmp.sock" "nbd_socket = $W/nbd.sock" \
    "scratch_dir = $W" >> "$HAMAL_CONFIG"
}

# A server on $W/qmp.sock that says the given bytes (printf) to every client, and then nothing or goodbye.
monitor_that_says() {
  python3 - "$W/qmp.sock" "$1" "${2:-stay}" 3>&- << 'PYTHON' &
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen(5)
kept = []
while True:
    client, _ = server.accept()
    client.sendall(sys.argv[2].encode().decode("unicode_escape").encode("latin-1"))
    if sys.argv[3] == "stay":
        kept.append(client)
    else:
        client.close()
PYTHON
  stop_later $!
  until_true 60 listens "$W/qmp.sock"
}

config_line() { grep -n -- "$1" "$HAMAL_CONFIG" | cut -d: -f1 | tail -n 1; }

@test "an unknown command" {
  fails 2 "unknown command crate (did you mean create?)" hamal-snapshot crate lab:web
}

@test "create without a vm" {
  fails 2 "VM is required" hamal-snapshot create
}

@test "create of a platform without a vm" {
  fails 2 "lab: names no vm" hamal-snapshot create lab
}

@test "create of a vm with a broken escape" {
  fails 2 "lab:%zz: the vm has a broken %XX escape" hamal-snapshot create lab:%zz
}

@test "a quiesce that does not exist" {
  fails 2 "--quiesce" hamal-snapshot create lab:web --quiesce=maybe
}

@test "a wait that is no duration" {
  fails 2 "--wait: is not a duration: soon" hamal-snapshot create lab:web --wait=soon
}

@test "finish without an outcome" {
  fails 2 "finish needs one of --committed and --failed" hamal-snapshot finish -
}

@test "finish with both outcomes" {
  fails 2 "finish needs one of --committed and --failed" hamal-snapshot finish - --committed --failed
}

@test "delete without a snapshot" {
  fails 2 "SNAPSHOT" hamal-snapshot delete lab
}

@test "a log level that does not exist" {
  fails 2 "--log-level" hamal-snapshot vms lab --log-level=loud
}

@test "a configuration that was named and does not exist" {
  fails 2 "$W/none.conf" hamal-snapshot vms lab --config "$W/none.conf"
}

@test "a configuration named by HAMAL_CONFIG that does not exist" {
  fails 2 "$W/none.conf" env "HAMAL_CONFIG=$W/none.conf" hamal-snapshot vms lab
}

@test "an empty name of a configuration" {
  fails 2 "--config (or HAMAL_CONFIG) is empty" hamal-snapshot vms lab --config ""
}

@test "a configuration that is a directory" {
  mkdir "$W/d.conf"
  fails 2 "$W/d.conf" hamal-snapshot vms lab --config "$W/d.conf"
}

@test "a configuration value of the wrong type, with its file and line" {
  printf '[data_sync_v2]\npre_disk_readers_count = many\n' >> "$HAMAL_CONFIG"
  fails 2 "$HAMAL_CONFIG:$(config_line many): * pre_disk_readers_count" hamal-snapshot vms lab
}

@test "a configuration value out of range, with its file and line" {
  printf '[period]\ninterval = -5\n' >> "$HAMAL_CONFIG"
  fails 2 "$HAMAL_CONFIG:$(config_line 'interval = -5'): * interval" hamal-snapshot vms lab
}

@test "a configuration line that is neither a section nor a key" {
  printf 'this is no line\n' >> "$HAMAL_CONFIG"
  fails 2 "$HAMAL_CONFIG:$(config_line 'no line')" hamal-snapshot vms lab
}

@test "an unknown key is a warning with the nearest one, and the run goes on" {
  mkdir "$W/images"
  printf '[platform images]\ntype = file\npath = %s\n[period]\nintervall = 5\n' "$W/images" >> "$HAMAL_CONFIG"
  capture hamal-snapshot vms images
  [ "$status" = 0 ]
  has "$err" "hamal-snapshot: warning: $HAMAL_CONFIG:$(config_line intervall): [[]period] intervall: unknown key, ignored; did you mean interval?"
}

@test "a platform named by a reserved word" {
  printf '[platform nbd]\ntype = qemu\n' >> "$HAMAL_CONFIG"
  fails 2 "nbd" hamal-snapshot vms nbd
}

@test "a platform of an unknown type" {
  printf '[platform lab]\ntype = hyperq\n' >> "$HAMAL_CONFIG"
  fails 2 "hyperq" hamal-snapshot vms lab
}

@test "a platform of a type that this version has not got" {
  printf '[platform lab]\ntype = libvirt\n' >> "$HAMAL_CONFIG"
  fails 2 'this version has no platform of type "libvirt"' hamal-snapshot vms lab
}

@test "an unknown platform names the nearest one" {
  printf '[platform lab]\ntype = qemu\nqmp = /x\n' >> "$HAMAL_CONFIG"
  fails 2 "no section [[]platform lob] (did you mean lab?" hamal-snapshot vms lob
}

@test "a qemu platform without its monitor's path" {
  printf '[platform lab]\ntype = qemu\n' >> "$HAMAL_CONFIG"
  fails 2 "qmp" hamal-snapshot vms lab
}

@test "a monitor that is not there" {
  with_monitor
  fails 75 "$W/qmp.sock: no QMP monitor answers here: No such file" hamal-snapshot vms lab
}

@test "a monitor that nobody listens on any more" {
  with_monitor
  python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$W/qmp.sock"
  fails 75 "$W/qmp.sock" hamal-snapshot vms lab
}

@test "a monitor that another client holds" {
  start_qsd
  python3 -c 'import socket, sys, time
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.recv(1)
open(sys.argv[2], "w")
time.sleep(600)' "$QSD/qmp.sock" "$W/held" 3>&- &
  stop_later $!
  until_true 60 test -e "$W/held"
  fails 75 "another client holds this monitor" hamal-snapshot vms lab
}

@test "a monitor that speaks no QMP" {
  with_monitor
  monitor_that_says 'SSH-2.0-OpenSSH_9.2\r\n'
  fails 1 "$W/qmp.sock" hamal-snapshot vms lab
}

@test "a monitor that greets and hangs up" {
  with_monitor
  monitor_that_says '{"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": ""}, "capabilities": []}}\r\n' leave
  capture hamal-snapshot vms lab
  [ "$status" = 75 ] || [ "$status" = 1 ]
  has "$err" "$W/qmp.sock"
}

@test "a vm that the platform does not have" {
  start_qsd
  fails 2 "lab:wob: no vm of this id or name (did you mean web?)" hamal-snapshot create lab:wob
}

@test "a disk that the vm does not have" {
  start_qsd
  fails 2 "nosuch" hamal-snapshot create lab:web --disk nosuch
  [ -z "$out" ]
}

@test "a quiesce that the platform cannot do" {
  start_qsd
  fails 1 "uiesce" hamal-snapshot create lab:web --quiesce=require
}

@test "a second snapshot while one is held" {
  start_qsd
  hamal-snapshot create lab:web > "$W/doc"
  fails 4 "$(field "$W/doc" 'd["snapshot_id"]')" hamal-snapshot create lab:web
  has "$err" "hamal-snapshot delete"
}

@test "a snapshot that this installation did not make" {
  start_qsd
  capture hamal-snapshot delete lab:web hamal-00000000-000001-0000
  [ "$status" != 0 ]
  has "$err" "hamal-00000000-000001-0000"
}

@test "an image that does not exist" {
  fails 1 "$W/none.raw: cannot open: No such file" hamal-snapshot create "file:$W/none.raw" --offline
}

@test "an image that is a directory" {
  capture hamal-snapshot create "file:$W" --offline
  [ "$status" = 1 ] || [ "$status" = 2 ]
  has "$err" "$W"
}

@test "an nbd server that is not frozen" {
  make_image "$W/x.raw"
  serve "$W/x.raw"
  fails 1 "say --offline" hamal-snapshot create "$NBD"
}

@test "an nbd server that is not there" {
  capture hamal-snapshot create "nbd+unix:///?socket=$W/none.sock" --offline
  [ "$status" = 1 ] || [ "$status" = 75 ]
  has "$err" "$W/none.sock"
}

@test "an image in a cluster that is not configured" {
  fails 2 "rbd:pool/image" hamal-snapshot create rbd:pool/image --offline
}

@test "finish of nothing" {
  fails 2 "standard input: is empty: a snapshot document was expected" hamal-snapshot finish - --failed < /dev/null
}

@test "finish of a document that does not exist" {
  fails 1 "$W/none.json: cannot open: No such file or directory" hamal-snapshot finish "$W/none.json" --failed
}

@test "finish of a document for a platform that is not configured" {
  document file:/x lob > "$W/doc"
  fails 2 "no section [[]platform lob]" hamal-snapshot finish "$W/doc" --failed
}

@test "finish of text that is no JSON" {
  echo "hello" > "$W/doc"
  fails 2 "$W/doc" hamal-snapshot finish "$W/doc" --failed
}

# newer KEY…: the state says that a hamal of schema 9999 changed it, or is the oldest that may use it.
newer() {
  python3 -c 'import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
for key in sys.argv[2:]: database.execute("update meta set value = ? where key = ?", ("9999", key))
database.commit()' "$W/lib/hamal.db" "$@"
}

@test "a state of a newer version" {
  mkdir "$W/images"
  printf '[platform images]\ntype = file\npath = %s\n' "$W/images" >> "$HAMAL_CONFIG"
  hamal-snapshot list images > /dev/null
  newer schema_version  # which only added to it
  succeeds hamal-snapshot list images
  newer schema_oldest_hamal
  fails 1 "$W/lib/hamal.db: the state database has schema 9999" hamal-snapshot list images
}

@test "a state that is no database" {
  mkdir "$W/images"
  printf '[platform images]\ntype = file\npath = %s\n' "$W/images" >> "$HAMAL_CONFIG"
  head -c 5000 /dev/urandom > "$W/lib/hamal.db"
  fails 1 "$W/lib/hamal.db" hamal-snapshot list images
}

@test "a state that cannot be made" {
  sed -i "s|^connection = .*|connection = sqlite:///proc/none/hamal.db|" "$HAMAL_CONFIG"
  fails 1 "/proc/none" hamal-snapshot create "file:$W/x.raw" --offline
}

@test "a database of an unknown scheme" {
  sed -i "s|^connection = .*|connection = oracle://x|" "$HAMAL_CONFIG"
  fails 2 "oracle" hamal-snapshot create "file:$W/x.raw" --offline
}

@test "a log that cannot be written never fails the run" {
  sed -i "s|^log_dir = .*|log_dir = /proc/none|" "$HAMAL_CONFIG"
  make_image "$W/x.raw"
  capture hamal-snapshot create "file:$W/x.raw" --offline
  [ "$status" = 0 ]
  has "$out" '"format":"hamal-snapshot"'
}
