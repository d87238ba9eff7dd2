#!/usr/bin/env bats
# update_sync_proxy.sh: what it takes and refuses, what it keeps, and that a kill at any of its steps leaves a version that
# works. The tools are stand-ins (install_helpers.bash); systemd is one, too.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

bats_require_minimum_version 1.5.0
load helpers
load install_helpers

setup() {
  make_world
  need openssl curl
  make_key private public
  installed_root
  UPDATE=$R/opt/hamal/update_sync_proxy.sh
}
teardown() { [ -z "${W:-}" ] || end_world; }

next_release() {
  STUB_FAULT=${2:-} stub_tree "$W/tree-$1" "$1"
  release "$W/tree-$1" "$1"
}

# Break it: take the restart out of confirm_or_go_back, or write to $config anywhere.
@test "an update: the new version is in use, what runs was restarted, configuration, state and logs are kept" {
  works 1.0.0
  next_release 1.1.0
  succeeds "$UPDATE" -y "$RELEASE"
  works 1.1.0
  all_is_kept
  [ "$(readlink "$R/opt/hamal")" = hamal-versions/1.1.0 ]
  grep -q 'start --no-block hamal-period.service' "$W/systemctl.log"
  has "$(cat "$R/opt/hamal-versions/update.log")" "version 1.1.0 is in use and healthy"
  # It is installed: nothing to do, and no second restart.
  : > "$W/systemctl.log"
  succeeds "$UPDATE" -y "$RELEASE"
  has "$out" "is installed already"
  run ! grep -q start "$W/systemctl.log"
}

@test "a dry run checks all of it and changes nothing" {
  next_release 1.1.0
  find "$R" -printf '%p %l %s\n' | grep -v 'hamal-versions/\(lock\|update.lo[cg]k*\)' | sort > "$W/before"
  succeeds "$UPDATE" --dry-run "$RELEASE"
  has "$out" "from 1.0.0 to 1.1.0"
  find "$R" -printf '%p %l %s\n' | grep -v 'hamal-versions/\(lock\|update.lo[cg]k*\)' | sort | diff -u "$W/before" -
  # The state, too, by reading it.
  echo other > "$R/var/lib/hamal/hamal.db"
  fails 1 "version 1.1.0 cannot use the state" "$UPDATE" --dry-run "$RELEASE"
  [ "$(cat "$R/var/lib/hamal/hamal.db")" = other ]
  echo "kept state" > "$R/var/lib/hamal/hamal.db"
  sed -i '/^kept/d' "$R/etc/hamal/hamal.conf"
  fails 1 "version 1.1.0 cannot use $R/etc/hamal/hamal.conf" "$UPDATE" --dry-run "$RELEASE"
  works 1.0.0
}

# Break it: leave out a line of verify().
@test "what is not signed by the key, not what was signed, renamed or older is not taken" {
  next_release 1.1.0
  # Changed after it was signed.
  cp "$RELEASE" "$W/good"
  printf 'x' >> "$RELEASE"
  fails 1 "is not what was signed" "$UPDATE" -y "$RELEASE"
  cp "$W/good" "$RELEASE"
  # The checksum changed with it.
  (cd "$W/releases" && printf 'x' >> "$RELEASE" && sha256sum "${RELEASE##*/}" > "$RELEASE.sha256")
  fails 1 "is not signed with the release key" "$UPDATE" -y "$RELEASE"
  # Signed by another one.
  make_key other
  release "$W/tree-1.1.0" 1.1.0 "$W/other.pem"
  fails 1 "is not signed with the release key" "$UPDATE" -y "$RELEASE"
  # An old one by the name of a new one.
  stub_tree "$W/tree-0.9.0" 0.9.0
  release "$W/tree-0.9.0" 0.9.0
  fails 1 "is older than 1.0.0" "$UPDATE" -y "$RELEASE"
  for suffix in "" .sha256 .sha256.sig; do
    cp "$RELEASE$suffix" "$W/releases/hamal-2.0.0-linux-x86_64.tar.gz$suffix"
  done
  fails 1 "is of hamal-0.9.0-linux-x86_64.tar.gz" "$UPDATE" -y "$W/releases/hamal-2.0.0-linux-x86_64.tar.gz"
  # No signature, no file, no key.
  rm "$RELEASE.sha256.sig"
  capture "$UPDATE" -y "$RELEASE"
  [ "$status" = 1 ]
  fails 2 "cannot be read" "$UPDATE" -y "$W/none.tar.gz"
  fails 2 "only https:// addresses" "$UPDATE" -y "http://127.0.0.1/hamal-2.0.0-linux-x86_64.tar.gz"
  works 1.0.0
  all_is_kept
  [ "$(ls "$R/opt/hamal-versions")" = "$(printf '%s\n' 1.0.0 links lock update.lock update.log)" ]
}

@test "a release with a private key in it is not signed" {
  stub_tree "$W/tree-1.1.0" 1.1.0
  cp "$W/private.pem" "$W/tree-1.1.0/etc/notes"
  run release "$W/tree-1.1.0" 1.1.0
  [ "$status" = 1 ]
  has "$output" "has a private key in it: not signed"
  [ ! -e "$W/releases/hamal-1.1.0-linux-x86_64.tar.gz.sha256.sig" ]
}

# Break it: -k among the options of curl.
@test "from an address: TLS is verified, and the newest is asked for" {
  next_release 1.1.0
  basename "$RELEASE" > "$W/releases/latest"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$W/tls.key" -out "$W/tls.pem" -days 2 \
    -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 2> /dev/null
  python3 - "$W" > "$W/port" 2> "$W/server.log" 3>&- << 'END' &
import functools, http.server, ssl, sys
world = sys.argv[1]
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=world + "/releases")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(world + "/tls.pem", world + "/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
END
  stop_later $!
  until_true 60 test -s "$W/port"
  unset CURL_CA_BUNDLE SSL_CERT_FILE
  capture "$UPDATE" -y "https://127.0.0.1:$(cat "$W/port")/"
  [ "$status" = 1 ]
  has "$err" "certificate"
  works 1.0.0
  echo "https://127.0.0.1:$(cat "$W/port")/" > "$R/etc/hamal/update.url"
  succeeds "$UPDATE" -y --ca "$W/tls.pem"
  works 1.1.0
}

# Break it: let comes_up return 0.
@test "a version that does not come up is taken back; one that cannot use the configuration never is in use" {
  # shellcheck disable=SC2016 # for the script
  next_release 1.1.0 '[ "$1" != --version ] || { echo "hamal-period 1.1.0"; exit 0; }; exit 1'
  : > "$W/systemctl.log"
  capture "$UPDATE" -y "$RELEASE"
  [ "$status" = 1 ]
  has "$err" "did not come up healthy; 1.0.0 is in use again"
  works 1.0.0
  all_is_kept
  [ "$(grep -c 'start --no-block' "$W/systemctl.log")" = 2 ]
  has "$(cat "$R/opt/hamal-versions/update.log")" "going back to 1.0.0"
  : > "$W/systemctl.log"
  for tool in hamal-config hamal-sync; do
    stub_tree "$W/tree-1.2.0" 1.2.0
    # shellcheck disable=SC2016 # for the script
    printf '#!/bin/sh\n[ "$1" != --version ] || exit 0\necho "%s was asked" >&2\nexit 2\n' $tool > "$W/tree-1.2.0/bin/$tool"
    list_files "$W/tree-1.2.0"
    release "$W/tree-1.2.0" 1.2.0
    capture "$UPDATE" -y "$RELEASE"
    [ "$status" = 1 ] || { show "a broken $tool"; false; }
    has "$err" "$tool was asked"
    case $tool in
      hamal-config) has "$err" "version 1.2.0 cannot use $R/etc/hamal/hamal.conf" ;;
      hamal-sync) has "$err" "version 1.2.0 cannot use the state" ;;
    esac
    rm -rf "$W/tree-1.2.0"
    # It was never switched to.
    run ! grep -q "1.2.0 is switched to" "$R/opt/hamal-versions/update.log"
    works 1.0.0
  done
  run ! grep -q start "$W/systemctl.log"
}

# Break it: name tmpfiles.conf whether it is there or not; leave rehearse out of a dry run.
@test "--rollback goes back to the version before, once more to the new one; older ones are removed" {
  for version in 1.1.0 1.2.0; do
    next_release $version
    if [ $version = 1.1.0 ]; then
      # A version from before there was this file.
      rm "$W/tree-1.1.0/systemd/tmpfiles.conf"
      list_files "$W/tree-1.1.0"
      release "$W/tree-1.1.0" 1.1.0
    fi
    succeeds "$UPDATE" -y "$RELEASE"
  done
  works 1.2.0
  [ ! -e "$R/opt/hamal-versions/1.0.0" ]
  # A dry run reads configuration and state as the version does that it would go back to.
  succeeds "$UPDATE" --dry-run --rollback
  echo other > "$R/var/lib/hamal/hamal.db"
  fails 1 "version 1.1.0 cannot use the state" "$UPDATE" --dry-run --rollback
  echo "kept state" > "$R/var/lib/hamal/hamal.db"
  works 1.2.0
  [ -e "$R/usr/lib/tmpfiles.d/hamal.conf" ]
  succeeds "$UPDATE" -y --rollback
  works 1.1.0
  [ ! -e "$R/usr/lib/tmpfiles.d/hamal.conf" ]
  succeeds "$UPDATE" -y --rollback
  works 1.2.0
  [ -e "$R/usr/lib/tmpfiles.d/hamal.conf" ]
  all_is_kept
}

@test "it waits for a sync that runs, then stops it; another update at the same time is busy" {
  next_release 1.1.0
  lock_file "$R/var/lib/hamal/locks/vm-lab%2Fweb.lock"
  capture "$UPDATE" -y --wait 1 "$RELEASE"
  [ "$status" = 0 ]
  has "$out" "waiting up to 1 s for: vm-lab%2Fweb"
  has "$out" "stopped, they go on from where they are"
  grep -qx 'stop hamal-period.service' "$W/systemctl.log"
  # shellcheck disable=SC2086 # words
  kill $LOCKER
  # A pass that would begin meanwhile is skipped by the unit's own condition.
  lock_file "$R/opt/hamal-versions/update.lock"
  fails 4 "another update is running" "$UPDATE" -y "$RELEASE"
  # shellcheck disable=SC2086
  kill $LOCKER
  lock_file "$R/opt/hamal-versions/lock"
  condition=$(sed -n "s|^ExecCondition=/bin/sh -c '\(.*\)'|\1|p" "$R/opt/hamal/systemd/hamal-period.service" |
    sed "s|/opt/hamal-versions|$R&|g")
  run ! sh -c "$condition"
  # shellcheck disable=SC2086
  kill $LOCKER
  until_true 60 sh -c "$condition"
}

# Break it: take `|| return 1` away from back_to or restart, or rm the journal first.
@test "going back that fails is said, and done by the next call" {
  # shellcheck disable=SC2016 # for the script
  next_release 1.1.0 '[ "$1" != --version ] || { echo "hamal-period 1.1.0"; exit 0; }; exit 1'
  mkdir "$W/broken"
  # shellcheck disable=SC2016 # for the script
  printf '#!/bin/sh\ncase "$*" in *hamal-versions/1.0.0*) echo "mv: no space" >&2; exit 1 ;; esac\nexec /bin/ln "$@"\n' > "$W/broken/ln"
  chmod +x "$W/broken/ln"
  PATH=$W/broken:$PATH capture "$UPDATE" -y "$RELEASE"
  [ "$status" = 1 ]
  has "$err" "going back failed: 1.1.0 is in use"
  [ -e "$R/opt/hamal-versions/updating" ]
  # A dry run says it, and changes nothing.
  succeeds "$UPDATE" --dry-run "$RELEASE"
  has "$out" "was interrupted: the next call without --dry-run finishes it"
  works 1.1.0
  # What ran is known from the journal: the new version's crashes have ended the timer.
  touch "$R/inactive"
  fails 1 "there is no version before 1.0.0" "$UPDATE" -y --rollback
  grep -q "going back to 1.0.0" "$R/opt/hamal-versions/update.log"
  works 1.0.0
  [ ! -e "$R/opt/hamal-versions/updating" ]
}

# Break it: drop `|| return 1` behind the lists of links; or take what runs from forms alone in recover.
@test "a list of links that cannot be written ends the update, removes no link and replaces nothing foreign" {
  next_release 1.1.0
  rm "$R/usr/bin/hamal-repo"
  echo "another program" > "$R/usr/bin/hamal-repo"
  mkdir "$W/broken"
  # shellcheck disable=SC2016 # for the script
  printf '#!/bin/sh\ncase "$*" in "-d   -f 1") [ ! -e "$FULL" ] || { head -n 3; exit 1; } ;; esac\nexec /usr/bin/cut "$@"\n' > "$W/broken/cut"
  chmod +x "$W/broken/cut"
  touch "$W/full"
  FULL=$W/full PATH=$W/broken:$PATH capture "$UPDATE" -y "$RELEASE"
  [ "$status" = 1 ]
  has "$err" "going back failed: 1.0.0 is in use"
  works 1.0.0
  [ "$(cat "$R/usr/bin/hamal-repo")" = "another program" ]
  [ "$(find "$R/usr/bin" -type l | wc -l)" = 6 ]
  [ -e "$R/opt/hamal-versions/updating" ]
  capture "$UPDATE" -y "$RELEASE"
  [ "$status" = 0 ]
  works 1.1.0
  [ "$(cat "$R/usr/bin/hamal-repo")" = "another program" ]
}

# Break it: let recover take `running` and `health_before` from what is found.
@test "killed with a version that does not come up: the next call puts the old one back, whatever runs by then" {
  next_release 1.1.0 "exit 1"
  tar -xzf "$RELEASE" -C "$R/opt/hamal-versions" --transform "s|^[^/]*|1.1.0|"
  ln -sfn hamal-versions/1.1.0 "$R/opt/hamal"
  echo "1.0.0 1.1.0 0 no forward timer" > "$R/opt/hamal-versions/updating"
  touch "$R/inactive"
  fails 1 "there is no version before 1.0.0" "$R/opt/hamal-versions/1.0.0/update_sync_proxy.sh" -y --rollback
  [ "$(cat "$R/opt/hamal/version")" = 1.0.0 ]
  grep -q "start --no-block hamal-period.service" "$W/systemctl.log"
  [ ! -e "$R/opt/hamal-versions/updating" ]
}

# Break it: look at every unit in any_failed, or without failed_before; compare no times in passed.
@test "health: only a pass after the switch counts, and a failure of before is no reason to go back" {
  next_release 1.1.0
  # What an earlier try of that version left.
  printf '{ "hamal": "1.1.0", "started": "x", "last_pass": { "started": "2026-01-01T00:00:00Z" } }' > "$R/var/lib/hamal/hamal_info"
  sed -i '/"start --no-block/,$c\esac' "$W/fake/systemctl"
  fails 1 "did not come up healthy; 1.0.0 is in use again" "$UPDATE" -y --health 2 "$RELEASE"
  sed -i 's/^  "is-failed.*/  is-failed*) exit 0 ;;/' "$W/fake/systemctl"
  echo 1 > "$R/var/lib/hamal/health"
  succeeds "$UPDATE" -y --health 2 "$RELEASE"
  has "$out" "so it was before it"
  works 1.1.0
}

# What systemd itself does is in systemd.bats.
# Break it: leave take_credentials out, or its mkdir's mode, or the trap.
@test "what is asked of a version has the credentials of the unit, drop-ins in their order; then they are gone" {
  next_release 1.1.0
  echo "secret_key = credential:store" >> "$R/etc/hamal/hamal.conf"
  mkdir -p "$R/etc/credstore" "$R/unit"
  echo first > "$R/unit/store"
  echo first > "$R/etc/first"
  echo second > "$R/etc/credstore/kept"
  # An encrypted one has a store of its own; opened by a stand-in.
  mkdir "$R/etc/credstore.encrypted"
  echo third > "$R/etc/credstore.encrypted/sealed"
  # shellcheck disable=SC2016 # for the script
  printf '#!/bin/sh\n[ "$1 $2" = "decrypt --name=sealed" ] && cat "$3" > "$4"\n' > "$W/fake/systemd-creds"
  chmod +x "$W/fake/systemd-creds"
  printf '%s\n' "[Service]" "LoadCredential=gone:/etc/first" "LoadCredential=" " LoadCredential = \\" "store:/etc/first" \
    "LoadCredential=kept" "LoadCredentialEncrypted=sealed" 'SetCredential=kept:unused' 'SetCredential=word:a\x41' "LoadCredential=../x:/etc/first" > "$R/drop_in"
  # What a killed script left.
  mkdir "$R/run/hamal-credentials"
  echo old > "$R/run/hamal-credentials/old"
  # shellcheck disable=SC2016 # for the tool
  sed -i '2i [ ! -d "$CREDENTIALS_DIRECTORY" ] || (cd "$CREDENTIALS_DIRECTORY" && stat -c "%a %n" . * > "$HAMAL_ROOT/seen" && cat * >> "$HAMAL_ROOT/seen")' \
    "$W/tree-1.1.0/bin/hamal-sync"
  list_files "$W/tree-1.1.0"
  release "$W/tree-1.1.0" 1.1.0
  capture "$UPDATE" -y "$RELEASE"
  [ "$status" = 0 ] || { show "an update"; false; }
  has "$err" "LoadCredential=../x:/etc/first of hamal-period.service names no credential"
  diff -u <(printf '%s\n' "700 ." "400 kept" "400 sealed" "400 store" "400 word" second third first && printf aA) "$R/seen"
  [ ! -e "$R/run/hamal-credentials" ]
  # One that is not there: the unit would not start either.
  rm "$R/etc/first"
  capture "$UPDATE" -y --rollback
  [ "$status" = 1 ] || { show "going back"; false; }
  has "$err" "the credential store of hamal-period.service is no file: $R/etc/first"
  works 1.1.0
}

# The state and the logs are the service user's, who could put anything there before root comes.
# Break it: write the log into log_dir again; open the locks without looking, or as root without a limit of time.
@test "nothing that the service's user put into state or logs leads root elsewhere, or holds it up" {
  next_release 1.1.0
  : > "$W/victim"
  ln -s "$W/victim" "$R/var/log/hamal/update.log"
  mkdir -p "$R/var/lib/hamal/locks"
  mkfifo "$R/var/lib/hamal/locks/vm-fifo.lock"
  ln -s "$W/made" "$R/var/lib/hamal/locks/vm-link.lock"
  touch "$R/var/lib/hamal/locks/vm-idle.lock"
  lock_file "$R/var/lib/hamal/locks/vm-a"$'\n'"* * * * * root x.lock"
  succeeds timeout 60 "$UPDATE" -y --wait 0 "$RELEASE"
  has "$out" "they go on from where they are: vm-a??"
  run ! grep -q fifo "$R/opt/hamal-versions/update.log"
  run ! grep -q '^\*' "$R/opt/hamal-versions/update.log"
  [ ! -s "$W/victim" ]
  [ ! -e "$W/made" ]
  works 1.1.0
}

# In stand-ins as in life: an old state is one that an old hamal made.
old_state() {
  python3 - "$HAMAL_SOURCE/lib/hamal/state/schema.hpp" "$1" << 'END'
import re, sqlite3, sys
block = re.search(r"k_schema\[\] = \{(.*?)\n\};", open(sys.argv[1], encoding="utf-8").read(), re.S)[1]
connection = sqlite3.connect(sys.argv[2])
for raw, plain in re.findall(r'R"\((.*?)\)"|"(CREATE [^"]*)"', block, re.S):
    connection.execute(raw or plain)
connection.execute("INSERT INTO meta VALUES ('schema_version', '1')")
connection.commit()
END
}
state_sql() {
  python3 -c 'import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(*(row[0] for row in connection.execute(sys.argv[2])))
connection.commit()' "$R/var/lib/hamal/hamal.db" "$1"
}
# The tools of this build in a version of the stand-ins.
real_tools() { # TREE VERSION
  local tool
  for tool in hamal-config hamal-sync; do
    # shellcheck disable=SC2016 # for the script
    printf '#!/bin/sh\n[ "$1" != --version ] || { echo "%s %s"; exit 0; }\nexec "%s/%s" "$@"\n' $tool "$2" "$HAMAL_BIN" $tool \
      > "$1/bin/$tool"
  done
  list_files "$1"
}

# Break it: have rehearse ask nothing of the state.
@test "an old state is migrated by an update and not by a dry run; a version that does not know the state is not gone back to" {
  rm "$R/var/lib/hamal/hamal.db"
  old_state "$R/var/lib/hamal/hamal.db"
  printf '%s\n' "[DEFAULT]" "hamal_lib_dir = $R/var/lib/hamal" "hamal_info_path = $R/var/lib/hamal/hamal_info" \
    "log_dir = $R/var/log/hamal" "[database]" "connection = sqlite://$R/var/lib/hamal/hamal.db" "[job x]" \
    "platform = lab" "vm = a" "target = file:/t" "interval = 1h" "[platform lab]" "type = file" "path = /srv" > "$R/etc/hamal/hamal.conf"
  # The root's own paths are not under the root again.
  sed -i "s|sed -n 's/^hamal_lib_dir.*|echo /var/lib/hamal ;;|" "$R/opt/hamal/bin/hamal-config"
  list_files "$R/opt/hamal-versions/1.0.0"
  stub_tree "$W/tree-1.1.0" 1.1.0
  real_tools "$W/tree-1.1.0" 1.1.0
  release "$W/tree-1.1.0" 1.1.0
  version="SELECT value FROM meta WHERE key = 'schema_version'"
  capture "$UPDATE" --dry-run "$RELEASE"
  [ "$status" = 0 ] || { show "a dry run"; false; }
  [ "$(state_sql "$version")" = 1 ]
  touch "$R/inactive" # no pass: hamal_info is where the root is, not where the stand-ins have it
  capture "$UPDATE" -y "$RELEASE"
  [ "$status" = 0 ] || { show "an update"; false; }
  [ "$(state_sql "$version")" -ge 5 ]
  # The old version goes on with what was only added to; a state of a newer one is refused, before anything is changed.
  capture "$UPDATE" -y --rollback
  [ "$status" = 0 ] || { show "going back"; false; }
  works 1.0.0
  state_sql "UPDATE meta SET value = '99' WHERE key LIKE 'schema_%'"
  capture "$UPDATE" -y --rollback
  [ "$status" = 1 ]
  has "$err" "the state database has schema 99, this hamal knows"
  has "$err" "version 1.1.0 cannot use the state"
  works 1.0.0
  [ ! -e "$R/opt/hamal-versions/updating" ]
}

# Every command that changes something is a step; bash itself counts them and kills the script before the Nth. Without the
# lock, the journal or the atomic rename this fails (break it: let replace_link be `rm $2; ln -s $1 $2`).
#
# killed_at_steps FIRST STRIDE EXPECTED: at these steps; whatever was in use works, and the next call ends with version
# EXPECTED in use. HAMAL_KILL_STRIDE=1 takes every step of every form.
killed_at_steps() {
  local stride=${HAMAL_KILL_STRIDE:-$2} killed=0 status again
  mv "$R" "$W/pristine"
  cat > "$W/killer" << 'END'
set -o functrace
step=0
trap 'case $BASH_COMMAND in
  mv\ *|ln\ *|rm\ *|cp\ *|mkdir\ *|tar\ *|printf\ *\>*|systemctl\ *|sync\ *|find\ *|chmod\ *|chown\ *|compose\ *)
    step=$((step + 1)); echo $step > "$STEP_FILE"; [ $step -ne $KILL_AT ] || kill -9 $$ ;;
esac' DEBUG
END
  export STEP_FILE=$W/step KILL_AT BASH_ENV=
  for ((KILL_AT = $1; KILL_AT < 300; KILL_AT += stride)); do
    rm -rf "$R"
    cp -a "$W/pristine" "$R"
    status=0
    BASH_ENV=$W/killer "$UPDATE" -y "$RELEASE" > "$W/killed.log" 2>&1 || status=$?
    [ $status = 137 ] || break
    killed=$((killed + 1))
    works 1.0.0 1.1.0 || { echo "killed before step $KILL_AT" >&2; tail -n 3 "$W/killed.log" >&2; return 1; }
    all_is_kept
    again=0
    "$UPDATE" -y "$RELEASE" > "$W/again.log" 2>&1 || again=$?
    if [ "$again" != "$4" ] || ! works "$3"; then
      echo "killed before step $KILL_AT, then $again" >&2
      cat "$W/killed.log" "$W/again.log" >&2
      return 1
    fi
    all_is_kept
    [ ! -e "$R/opt/hamal-versions/updating" ]
    [ ! -e "$R/opt/hamal-versions/.incoming" ]
    [ ! -e "$R/run/hamal-credentials" ]
  done
  echo "# killed at $killed steps" >&3
  # It came to its end, after as many steps as it has.
  [ $status = "$4" ] || { cat "$W/killed.log" >&2; return 1; }
  [ $((killed * stride)) -ge 15 ]
  works "$3"
}

@test "killed at every step: the old version or the new one works, and the next call finishes it" {
  next_release 1.1.0
  killed_at_steps 1 1 1.1.0 0
}

@test "killed at a step of an update to a version that is broken: the old one is in use after the next call" {
  # shellcheck disable=SC2016 # for the script
  next_release 1.1.0 '[ "$1" != --version ] || { echo "hamal-period 1.1.0"; exit 0; }; exit 1'
  killed_at_steps 2 6 1.0.0 1
}

@test "killed at a step where the loop makes the passes: it is restarted by the next call" {
  next_release 1.1.0
  echo loop > "$R/form"
  killed_at_steps 3 6 1.1.0 0
  grep -q "restart hamal-period-loop.service" "$W/systemctl.log"
}

@test "killed at a step where containers make the passes: they are of the version in use after the next call" {
  next_release 1.1.0
  touch "$R/inactive"
  fake_containers
  echo 1.0.0 > "$R/containers"
  killed_at_steps 4 6 1.1.0 0
  [ "$(cat "$R/containers")" = 1.1.0 ]
}
