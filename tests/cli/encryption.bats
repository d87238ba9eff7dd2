#!/usr/bin/env bats
# An encrypted repository: proxies that write and cannot read, hosts that restore, recipients that come and go.
# shellcheck disable=SC2154 # out, err and status are set by the helpers
# shellcheck disable=SC2030,SC2031 # HAMAL_CONFIG is for the rest of the test that sets it

load helpers

setup() {
  make_world
  R="dir:$W/backups"
  (umask 077 && mkdir "$W/keys")
  hamal-repo key generate "$W/keys/alice" > /dev/null
  hamal-repo key generate --index-key "$W/keys/index" > /dev/null
  make_host proxy "index_key = file:$W/keys/index"
  make_host alice "private_key = file:$W/keys/alice"
  be proxy
}
teardown() { end_world; }

# make_host NAME LINE: a configuration and a state of its own, with this line in [repository].
make_host() {
  mkdir -p "$W/$1/lib" "$W/$1/log"
  {
    sed -e "s|$W/lib|$W/$1/lib|; s|$W/log|$W/$1/log|" "$W/hamal.conf"
    printf '%s\n' "[repository]" "$2"
  } > "$W/$1.conf"
  chmod 0600 "$W/$1.conf"
}
be() { export HAMAL_CONFIG=$W/$1.conf; }

init() { hamal-repo init "$R" --recipient "$W/keys/alice.pub" > /dev/null; }
recipient() { hamal-repo key show "$R" --json > "$W/shown" && field "$W/shown" "d['recipients'][$1]"; }

# A disk of text that says where it is from, so that one finds it anywhere.
k_marker=the-plain-words-of-this-guest
make_disk() {
  yes "$k_marker $1" | head -c 2M > "$W/x.raw"
  head -c 1M /dev/urandom >> "$W/x.raw"
}
store_disk() {
  succeeds hamal-sync --source "file:$W/x.raw" --target "$R" --vm web --disk vda --json
}

# restores FILE [VERSION [DISK]]: the disk is restored, by whoever we are, and is that file.
restores() {
  rm -f "$W/restored.raw"
  hamal-cbt-read "$R" --vm web --disk "${3:-vda}" ${2:+--at "$2"} 2> "$W/read.err" |
    hamal-sync - --target "file:$W/restored.raw" --json > "$W/restore.out"
  cmp "$1" "$W/restored.raw"
}
# cannot_read STATUS MESSAGE: whoever we are; nothing of the disk comes out.
cannot_read() {
  fails "$1" "$2" hamal-cbt-read "$R" --vm web --disk vda --raw
  [ -z "$out" ]
}

# marked_files FOLDER…: those in which the marker is; its beginning is what zstd leaves as it is.
marked_files() { grep -rlaF "${k_marker:0:12}" "$@" || true; }

@test "a key pair is made once, and its private half is its owner's alone" {
  umask 022
  succeeds hamal-repo key generate "$W/keys/bob"
  has "$out" "private key*$W/keys/bob*public key*$W/keys/bob.pub*recipient*"
  [ "$(stat -c %a "$W/keys/bob")" = 600 ]
  [ "$(stat -c %a "$W/keys/bob.pub")" = 644 ]
  has "$out" "$(openssl pkey -pubin -in "$W/keys/bob.pub" -outform DER | sha256sum | cut -d' ' -f1)"
  cmp <(openssl pkey -in "$W/keys/bob" -pubout) "$W/keys/bob.pub"
  cp "$W/keys/bob" "$W/before"
  fails 2 "keys/bob: is there already" hamal-repo key generate "$W/keys/bob"
  rm "$W/keys/bob"
  fails 2 "keys/bob.pub: is there already" hamal-repo key generate "$W/keys/bob"
  [ ! -e "$W/keys/bob" ]
  [ "$(stat -c %a "$W/keys/index")" = 600 ]
  grep -qxE '[0-9a-f]{64}' "$W/keys/index"
  fails 2 "keys/index: is there already" hamal-repo key generate --index-key "$W/keys/index"
  [ -z "$(grep -rl 'PRIVATE KEY' "$W/proxy" "$W/log" || true)" ]
}

@test "init says what an encrypted repository needs, and makes nothing without it" {
  be alice
  fails 2 "\[repository\] index_key: an encrypted repository needs an index key*key generate --index-key" \
    hamal-repo init "$R" --recipient "$W/keys/alice.pub"
  be proxy
  fails 2 "no public X25519 key" hamal-repo init "$R" --recipient "$W/keys/alice"
  fails 1 "$W/nobody" hamal-repo init "$R" --recipient "$W/nobody"
  fails 2 "is not encrypted, and an index key is configured for it" hamal-repo init "$R"
  [ ! -e "$W/backups/repository.json" ]
  succeeds hamal-repo init "$R" --recipient "$W/keys/alice.pub" --json
  [ "$(field "$W/out" 'd["encrypted"], len(d["recipients"])')" = "(True, 1)" ]
  export HAMAL_CONFIG=$W/hamal.conf
  fails 2 "is encrypted, and its index key is not here" hamal-repo list "$R"
  hamal-repo key generate --index-key "$W/keys/other" > /dev/null
  make_host stranger "index_key = file:$W/keys/other"
  be stranger
  fails 2 "the index key is not that of repository" hamal-repo list "$R"
}

@test "a proxy adds full and increment, and only who has the private key reads them" {
  start_qsd 1
  local lab
  lab=$(sed -n '/^\[platform lab\]/,$p' "$W/hamal.conf")
  printf '%s\n' "$lab" >> "$W/proxy.conf"
  init
  protect() {
    hamal-snapshot create lab web > "$W/doc"
    hamal-cbt-read "$W/doc" --target "$R" | hamal-sync - --target "$R" --json > "$W/result"
    hamal-repo commit "$W/doc" --target "$R" > /dev/null
    hamal-snapshot finish "$W/doc" --committed > /dev/null
  }
  content() { qemu-img convert -f raw -O raw "nbd+unix:///live0?socket=$QSD/nbd.sock" "$1"; }
  guest 0 "write -P 1 0 1M" "write -P 2 5M 100k"
  protect
  content "$W/first.raw"
  guest 0 "write -P 3 5M 8k" "write -P 4 9M 64k"
  protect
  content "$W/second.raw"
  [ "$(field "$W/result" 'd["disks"][0]["mode"]')" = incremental ]
  [ "$(field "$W/result" 'd["disks"][0]["repository"]["stored_bytes"] < 200000')" = True ]
  be alice
  restores "$W/first.raw" 1 0
  restores "$W/second.raw" 2 0
}

@test "without the private key a restore ends with status 2 and says what is missing" {
  make_disk one
  init
  store_disk
  cannot_read 2 "is encrypted, and no private key is configured*private_key in the section \[repository\]"
  # The list of what to copy is in the index, which a proxy reads; the bytes are not.
  hamal-cbt-read "$R" --vm web --disk vda > "$W/stream"
  capture hamal-sync "$W/stream" --target "file:$W/restored.raw"
  [ "$status" = 2 ]
  has "$err" "is encrypted, and no private key is configured"
  [ ! -s "$W/restored.raw" ]
  # What verify can say without it: that what is stored is what was put.
  succeeds hamal-repo verify --full "$R"
  has "$out" "their checksums, not their content*all is well"
  be alice
  succeeds hamal-repo verify --full "$R" --json
  [ "$(field "$W/out" 'd["records_decoded"], d["damages"]')" = "(True, [])" ]
  # A flipped byte is found by both.
  local pack
  pack=$(find "$W/backups/packs" -type f | head -n 1)
  chmod u+w "$pack"
  printf 'X' | dd of="$pack" bs=1 seek=5000 conv=notrunc status=none
  for host in alice proxy; do
    be "$host"
    capture hamal-repo verify --full "$R"
    [ "$status" = 1 ]
    has "$out" "DAMAGED*web version 1 disk vda"
  done
}

@test "nothing on the proxy and in the store tells what was on the disk" {
  local level
  for level in 0 1; do
    rm -rf "$W/backups" "$W/proxy/lib"
    make_host proxy "index_key = file:$W/keys/index
compression = $level"
    make_disk "$level"
    # The search finds what is there to be found: in a repository that is not encrypted.
    if [ "$level" = 0 ]; then
      HAMAL_CONFIG=$W/hamal.conf hamal-repo init "dir:$W/open" > /dev/null
      HAMAL_CONFIG=$W/hamal.conf hamal-sync --source "file:$W/x.raw" --target "dir:$W/open" --vm web --disk vda --json > /dev/null
      [ -n "$(marked_files "$W/open")" ]
    fi
    init
    store_disk
    [ -z "$(marked_files "$W/backups" "$W/proxy")" ]
    # Nor is a key that opens it: all there is can be taken away, and reads nothing.
    [ -z "$(grep -rlaF 'PRIVATE KEY' "$W/backups" "$W/proxy" || true)" ]
    local half
    half=$(sed -n 2p "$W/keys/alice")
    [ -z "$(grep -rlaF "$half" "$W/backups" "$W/proxy" || true)" ]
  done
  # A second run of the proxy shares what is there, and still cannot read it.
  store_disk
  [ "$(field "$W/out" 'd["disks"][0]["repository"]["stored_bytes"]')" = 0 ]
  cannot_read 2 "no private key is configured"
  # Not even with a key pair of its own that is no recipient's, and none that adds itself.
  hamal-repo key generate "$W/keys/mallory" > /dev/null
  make_host proxy "index_key = file:$W/keys/index
private_key = file:$W/keys/mallory"
  cannot_read 2 "is of no recipient of this repository"
  fails 2 "is of no recipient" hamal-repo key add "$R" "$W/keys/mallory.pub"
}

@test "a recipient is added, reads what was there before, and the old one is removed" {
  make_disk one
  init
  store_disk
  hamal-repo key generate "$W/keys/bob" > /dev/null
  make_host bob "private_key = file:$W/keys/bob"
  fails 2 "only who can read can say who else can" hamal-repo key add "$R" "$W/keys/bob.pub"
  # The key is named on the command line, where the configuration has none.
  fails 2 "takes file:PATH, env:NAME or credential:NAME, never a key" \
    hamal-repo key add "$R" "$W/keys/bob.pub" --private-key "$W/keys/alice"
  succeeds hamal-repo key add "$R" "$W/keys/bob.pub" --private-key "file:$W/keys/alice" --json
  [ "$(field "$W/out" 'len(d["recipients"]), d["removed"], d["wrapped_data_keys"], d["done"]')" = "(2, [], 1, True)" ]
  be bob
  restores "$W/x.raw"
  be alice
  restores "$W/x.raw"
  local alice bob
  alice=$(recipient 0)
  bob=$(recipient 1)
  # Without --yes nothing happens.
  cp "$W/backups/repository.json" "$W/before"
  be bob
  succeeds hamal-repo key remove "$R" "${alice:0:8}"
  has "$out" "would go*$alice*recipient $bob*1 data keys would be wrapped anew*Nothing was changed"
  cmp "$W/before" "$W/backups/repository.json"
  fails 2 "is too short to name a recipient" hamal-repo key remove "$R" "${alice:0:7}"
  fails 2 "is no recipient of this repository" hamal-repo key remove "$R" 0123456789
  succeeds hamal-repo key remove "$R" "$alice" --yes
  fails 2 "is the only recipient" hamal-repo key remove "$R" "$bob" --yes
  restores "$W/x.raw"
  be alice
  cannot_read 2 "is of no recipient of this repository"
  # The proxy goes on as before, and what it adds is the new recipient's.
  be proxy
  make_disk two
  store_disk
  be bob
  restores "$W/x.raw"
}

@test "a recipient is put in another's place, and show says who they are" {
  make_disk one
  init
  store_disk
  hamal-repo key generate "$W/keys/bob" > /dev/null
  make_host bob "private_key = file:$W/keys/bob"
  local alice
  alice=$(recipient 0)
  be alice
  succeeds hamal-repo key rotate "$R" "${alice:0:12}" "$W/keys/bob.pub"
  has "$out" "would go*$alice*Nothing was changed"
  [ "$(recipient 0)" = "$alice" ]
  succeeds hamal-repo key rotate "$R" "${alice:0:12}" "$W/keys/bob.pub" --yes
  be bob
  restores "$W/x.raw"
  succeeds hamal-repo key show "$R"
  has "$out" "recipient   $(recipient 0)"
  has "$out" "1 data keys"
  be proxy
  succeeds hamal-repo key show "$R" --json
  [ "$(field "$W/out" 'd["authentic"], d["data_keys"], d["outdated_data_keys"]')" = "(True, 1, 0)" ]
  # Who has no key is told the names, and that they may be anybody's.
  export HAMAL_CONFIG=$W/hamal.conf
  succeeds hamal-repo key show "$R"
  has "$out" "recipient   *Nothing of that was checked: *its index key is not here"
}

@test "what a run wrapped to the recipients of before is wrapped anew" {
  make_disk one
  init
  store_disk
  cp -r "$W/backups/keys" "$W/keys-of-before"
  hamal-repo key generate "$W/keys/bob" > /dev/null
  make_host bob "private_key = file:$W/keys/bob"
  be alice
  hamal-repo key add "$R" "$W/keys/bob.pub" > /dev/null
  # As a run would that had opened the repository before.
  rm -rf "$W/backups/keys"
  cp -r "$W/keys-of-before" "$W/backups/keys"
  be bob
  cannot_read 2 "the data key is not wrapped to recipient*hamal-repo key rewrap"
  # A restore ends at once and says the same, instead of naming every range as unreadable.
  local name
  name=$(hamal-repo key show "$R" --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["recipients"][1][:16])')
  hamal-cbt-read "$R" --vm web --disk vda > "$W/stream"
  fails 2 "keys/*the data key is not wrapped to recipient $name*hamal-repo key rewrap" \
    hamal-sync "$W/stream" --target "file:$W/restored.raw"
  [[ $err != *"cannot be read"* ]]
  # Nor does it look like damage.
  fails 2 "the data key is not wrapped to recipient" hamal-repo verify --full "$R"
  be alice
  succeeds hamal-repo key show "$R"
  has "$out" "1 data keys*1 of them are not wrapped to exactly these recipients: run hamal-repo key rewrap"
  succeeds hamal-repo key rewrap "$R"
  has "$out" "1 data keys wrapped anew"
  be bob
  restores "$W/x.raw"
}

@test "pruning and compaction need the index key alone, and what stays restores" {
  make_disk one
  init
  store_disk
  make_disk two
  # Half of the first version's pack is not needed by the second.
  store_disk
  cp "$W/x.raw" "$W/second.raw"
  succeeds hamal-repo prune "$R" --keep-last 1 --yes
  has "$out" "1 versions dropped"
  succeeds hamal-repo compact "$R" --sparse 100 --json
  [ "$(field "$W/out" 'd["done"], d["new_packs"] > 0, d["damaged_records"]')" = "(True, True, 0)" ]
  succeeds hamal-repo prune "$R" --keep-last 1 --yes
  succeeds hamal-repo verify --full "$R"
  [ -z "$(marked_files "$W/backups" "$W/proxy")" ]
  export HAMAL_CONFIG=$W/hamal.conf
  fails 2 "its index key is not here" hamal-repo prune "$R" --keep-last 1
  fails 2 "its index key is not here" hamal-repo compact "$R"
  be alice
  restores "$W/second.raw"
  succeeds hamal-repo verify --full "$R"
}

@test "what is not encrypted has no recipients" {
  export HAMAL_CONFIG=$W/hamal.conf
  hamal-repo init "$R" > /dev/null
  succeeds hamal-repo key show "$R"
  has "$out" "is not encrypted"
  be alice
  fails 2 "is not encrypted, and has no recipients*hamal-repo init --recipient" hamal-repo key add "$R" "$W/keys/alice.pub"
  fails 2 "holds no repository" hamal-repo key show "dir:$W/nothing"
}
