#!/usr/bin/env bats
# install_hamal.sh and uninstall_hamal.sh of an archive, in a root of their own; what the host is compared with.
# The tools are stand-ins (install_helpers.bash).
# Break it: drop is_our_link from remove_links, or the comparison from remove_tree.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

bats_require_minimum_version 1.5.0
load helpers
load install_helpers

setup() {
  make_world
  need openssl
  make_key private public
  installed_root
  UNINSTALL=$R/opt/hamal/uninstall_hamal.sh
}
teardown() { [ -z "${W:-}" ] || end_world; }

# Everything in the root, with what it holds, but for what the tools of the system keep for themselves.
content() { (cd "$R" && find . ! -path './etc/*-' ! -name .pwd.lock ! -type s -printf '%p %y %l\n' | sort); }

@test "installed from an archive: links, folders, configuration; again: nothing changes" {
  works 1.0.0
  has "$(cat "$W/install.log")" "hamal 1.0.0 is installed"
  has "$(cat "$W/install.log")" "check_host.sh: "
  grep -q '^hamal:' "$R/etc/passwd"
  [ "$(readlink "$R/usr/share/zsh/vendor-completions/_hamal")" = /opt/hamal/completions/_hamal ]
  if [ "$(id -u)" = 0 ]; then
    id=$(awk -F : '$1 == "hamal" { print $3 }' "$R/etc/passwd")
    [ "$(stat -c '%a %u' "$R/var/lib/hamal")" = "750 $id" ]
    [ "$(stat -c '%a' "$R/etc/hamal/hamal.conf")" = 640 ]
    grep -q "^HAMAL_USER=$id:" "$R/etc/hamal/compose.env"
  fi
  content > "$W/before"
  "$R/opt/hamal/tools/install_hamal.sh" > "$W/again.log"
  content | diff -u "$W/before" -
  all_is_kept
}

# Break it: compare by sort -V alone, or leave out the sed.
@test "versions: what is before a release is older, a revision is newer" {
  # shellcheck source=scripts/install/common.sh
  . "$R/opt/hamal/tools/common.sh"
  later() { # A B: A is later, and B is not
    is_version "$1" && is_version "$2" && newer "$1" "$2" || { echo "$1 is not later than $2" >&2; return 1; }
    if newer "$2" "$1" || newer "$1" "$1"; then echo "$2 is later than $1" >&2; return 1; fi
  }
  compare_all() {
    later 1.2.0 1.1.9
    later 1.10.0 1.9.0
    later 1.2.0 1.2.0~rc1
    later 1.2.0 1.2.0-rc1
    later 1.2.0-rc2 1.2.0-rc1
    later 1.2.0-rc.1 1.1.9
    later 1.2.0-1 1.2.0
    later 1.2.0+site1 1.2.0
  }
  compare_all
  # Where there is no dpkg.
  command() { [ "$2" != dpkg ] && builtin command "$@"; }
  compare_all
}

# Break it: leave the second manifest_holds out of place_tree.
@test "a first installation: what was changed while it was copied is not used; without a release's key it says so" {
  stub_tree "$W/tree-1.1.0" 1.1.0
  # shellcheck disable=SC2016 # for the script
  printf '%s\n' '#!/bin/bash' '/bin/cp "$@" || exit' 'case ${!#} in */hamal-versions/*.new) echo x >> "${!#}/bin/hamal-sync" ;; esac' > "$W/fake/cp"
  chmod +x "$W/fake/cp"
  fails 1 "was changed while it was copied" "$W/tree-1.1.0/tools/install_hamal.sh"
  works 1.0.0
  [ "$(cd "$R/opt/hamal-versions" && echo *)" = "1.0.0 links update.lock" ]
  rm "$W/fake/cp" "$W/tree-1.1.0/etc/hamal-release.pem"
  list_files "$W/tree-1.1.0"
  capture "$W/tree-1.1.0/tools/install_hamal.sh"
  [ "$status" = 0 ]
  has "$err" "this version has no release key"
  works 1.1.0
  # What ran in a loop is restarted.
  grep -qx -- "--no-block try-restart hamal-period-loop.service" "$W/systemctl.log"
}

# Break it: compare without the first line's sum in is_our_copy.
@test "a unit that was changed in place stays, by an update and by uninstalling; the others are hamal's" {
  unit=$R/usr/lib/systemd/system/hamal-period.service
  echo "Nice=10" >> "$unit"
  stub_tree "$W/tree-1.1.0" 1.1.0
  echo "# of 1.1.0" >> "$W/tree-1.1.0/systemd/hamal-heartbeat.timer"
  list_files "$W/tree-1.1.0"
  capture "$W/tree-1.1.0/tools/install_hamal.sh"
  has "$err" "$unit is not hamal's and stays as it is"
  [ "$(tail -n 1 "$unit")" = "Nice=10" ]
  [ "$(tail -n 1 "$R/usr/lib/systemd/system/hamal-heartbeat.timer")" = "# of 1.1.0" ]
  capture "$R/opt/hamal/uninstall_hamal.sh" -y
  has "$out" "stays, it is not hamal's, or was changed: $unit"
  [ "$(ls "$R/usr/lib/systemd/system")" = hamal-period.service ]
  [ ! -e "$R/usr/lib/tmpfiles.d/hamal.conf" ]
}

@test "what is not hamal's is neither replaced nor removed; an archive with a damaged file is not installed" {
  rm "$R/usr/bin/hamal-repo"
  echo "another program" > "$R/usr/bin/hamal-repo"
  capture "$R/opt/hamal/tools/install_hamal.sh"
  has "$err" "hamal-repo is not hamal's and stays as it is"
  [ "$(cat "$R/usr/bin/hamal-repo")" = "another program" ]
  echo "a note" > "$R/opt/hamal/note"
  echo "# changed" >> "$R/opt/hamal/etc/hamal.conf"
  capture "$UNINSTALL" -y
  [ "$status" = 0 ]
  [ "$(cat "$R/usr/bin/hamal-repo")" = "another program" ]
  has "$out" "stays, it is not hamal's, or was changed: $R/usr/bin/hamal-repo"
  has "$out" "stays, it was changed: $R/opt/hamal-versions/1.0.0/etc/hamal.conf"
  has "$out" "stays: $R/opt/hamal-versions/1.0.0/note"
  [ ! -L "$R/opt/hamal" ]
  echo x >> "$W/tree-1.0.0/bin/hamal-sync"
  fails 1 "not what its manifest says" "$W/tree-1.0.0/tools/install_hamal.sh"
}

@test "uninstalled: exactly what was put down is gone, the operator's things stay; then it can be installed again" {
  content > "$W/installed"
  succeeds "$UNINSTALL" --dry-run
  has "$out" "would remove $R/usr/bin/hamal-sync"
  content | diff -u "$W/installed" -
  succeeds "$UNINSTALL" -y
  [ ! -e "$R/opt/hamal-versions" ]
  [ -z "$(find "$R/usr" "$R/opt" ! -type d)" ]
  all_is_kept
  grep -q 'disable --quiet --now hamal-period.timer' "$W/systemctl.log"
  has "$out" "stays: $R/etc/hamal"
  "$W/tree-1.0.0/tools/install_hamal.sh" > "$W/again.log"
  works 1.0.0
  all_is_kept
  content | diff -u "$W/installed" -
  succeeds "$R/opt/hamal/uninstall_hamal.sh" -y --purge
  [ ! -e "$R/etc/hamal" ] && [ ! -e "$R/var/lib/hamal" ] && [ ! -e "$R/var/log/hamal" ]
}

# Break it: rm -rf "$lib" again; or drop the comparison with what is named from purge_below.
@test "a purge takes hamal's own names alone, wherever the configuration puts the state" {
  mkdir -p "$W/elsewhere" "$R/data/locks" "$R/data/metadata/lab/web" "$R/data/replicas" "$R/data/period" "$R/data/plans/vm-x"
  printf '%s\n' "hamal_lib_dir = /data" "target = file:/data/metadata/lab/web/{vm}.json" >> "$R/etc/hamal/hamal.conf"
  cp "$R/var/lib/hamal/hamal.db" "$R/data"
  touch "$R"/data/{hamal.db-wal,proxy_id,replicas/web.raw,period/a.json,period/web.raw,plans/vm-x/1,metadata/lab/web/w.json} \
    "$R/data/locks/a.lock" "$R/etc/hamal/repository.key" "$R/var/lib/hamal/web.raw" "$R/var/log/hamal/syslog" "$W/elsewhere/b.lock"
  ln -s "$W/elsewhere" "$R/data/vddk"
  succeeds "$UNINSTALL" -y --purge
  has "$out" "names it: $R/data/metadata"
  has "$out" "stays, it is not known to be only hamal's: $R/data/replicas"
  [ "$(cd "$R/data" && find . ! -type d | sort | tr '\n' ' ')" = "./metadata/lab/web/w.json ./period/web.raw ./replicas/web.raw ./vddk " ]
  [ -e "$W/elsewhere/b.lock" ]
  # What is not the configured folder is not hamal's.
  [ -e "$R/var/lib/hamal/web.raw" ] && [ -e "$R/var/lib/hamal/hamal.db" ]
  [ "$(find "$R/etc/hamal" "$R/var/log/hamal" -type f -printf '%f ')" = "repository.key syslog " ]
}

@test "it refuses while a sync runs, and names a platform that it cannot reach" {
  lock_file "$R/var/lib/hamal/locks/target-x.lock"
  fails 4 "a sync is running (target-x" "$UNINSTALL" -y
  works 1.0.0
  echo 75 > "$R/var/lib/hamal/platform"
  capture "$UNINSTALL" -y --force
  [ "$status" = 1 ]
  has "$out" "lab could not be asked for snapshots of hamal, which may be left there"
  has "$err" "hamal is uninstalled, but for what is named above"
  [ ! -L "$R/opt/hamal" ]
}

@test "it refuses while an update runs; a configuration that cannot be read leaves platforms unasked, and that is said" {
  lock_file "$R/opt/hamal-versions/update.lock"
  fails 4 "another update is running" "$UNINSTALL" -y
  fails 4 "another update is running" "$R/opt/hamal/tools/install_hamal.sh"
  works 1.0.0
  # shellcheck disable=SC2086 # words
  kill $LOCKER
  sed -i 's/^  "hamal-config check --json")/& exit 2;/' "$R/opt/hamal/bin/hamal-config"
  until_true 60 flock --nonblock "$R/opt/hamal-versions/update.lock" true
  capture "$UNINSTALL" -y
  [ "$status" = 1 ]
  has "$out" "no platform could be asked for snapshots of hamal: $R/etc/hamal/hamal.conf cannot be read"
}

# Break it: leave --all away, or call docker-compose in stop_all whatever is here.
@test "containers that are stopped are removed by the compose program that is here, or by docker itself" {
  # A host without docker-compose.
  mkdir "$W/host"
  ln -s /usr/sbin/* /usr/bin/* "$W/host" 2> /dev/null || true
  rm -f "$W/host/docker-compose"
  # shellcheck disable=SC2016 # for the script
  printf '%s\n' '#!/bin/bash' 'echo "$*" >> "$DOCKER_LOG"' 'case "$*" in' '"compose version") exit "$NO_COMPOSE" ;;' \
    '*" --all"*) echo 0123abcd ;;' '"images "*) printf "%s\n" hamal:1.0.0 site/on-hamal:1 ;;' \
    '*" hamal-config check --json") echo "\"section\":\"platform lab\"" ;; esac' > "$W/fake/docker"
  export DOCKER_LOG=$W/docker.log NO_COMPOSE
  cp -a "$R" "$W/pristine"
  for NO_COMPOSE in 0 1; do
    : > "$DOCKER_LOG"
    PATH=$W/fake:$W/host capture "$UNINSTALL" -y
    [ "$status" = 0 ] || { show "without docker-compose, $NO_COMPOSE"; false; }
    grep -qx "image rm hamal:1.0.0" "$DOCKER_LOG"
    run ! grep -q "site/on-hamal" "$DOCKER_LOG"
    [ ! -L "$R/opt/hamal" ]
    if [ "$NO_COMPOSE" = 0 ]; then
      grep -q "^compose .* stop$" "$DOCKER_LOG"
      grep -q "^compose .* run --rm --no-deps -T period hamal-snapshot delete --stale lab$" "$DOCKER_LOG"
      [[ "$(grep -n "" "$DOCKER_LOG" | grep -E " down | hamal-snapshot delete" | tail -n 1)" == *" down --rmi local" ]]
      rm -rf "$R"
      mv "$W/pristine" "$R"
    else
      grep -qx "stop --time 120 0123abcd" "$DOCKER_LOG"
      grep -qx "rm --force 0123abcd" "$DOCKER_LOG"
    fi
  done
}

@test "a host below the recommendation is told what is, one above nothing; neither fails" {
  fake() { printf '#!/bin/sh\n%s\n' "$2" > "$W/fake/$1"; chmod +x "$W/fake/$1"; }
  # shellcheck disable=SC2016 # for the scripts
  {
    fake getconf 'case $1 in PAGESIZE) echo 4096 ;; *) echo "$PAGES" ;; esac'
    fake df 'printf "x\nx %s\n" "$SIZE"'
    fake findmnt 'case "$*" in *FSTYPE*) echo "$TYPE" ;; *) echo "$DEVICE" ;; esac'
    fake nproc 'echo "$CORES"'
    fake lsblk 'echo "$BELOW"'
  }
  block=$(find /dev -maxdepth 1 -type b 2> /dev/null | head -n 1)
  check() { env "$@" "$HAMAL_SOURCE/scripts/install/check_host.sh" "$W"; }
  succeeds check CORES=4 PAGES=2000000 SIZE=250000000000 TYPE=xfs DEVICE=/dev/none BELOW=disk
  [ "$out" = "check_host.sh: this host is as recommended" ]
  succeeds check CORES=2 PAGES=500000 SIZE=50000000000 TYPE=btrfs DEVICE="${block:-/dev/none}" BELOW=lvm
  has "$out" "2 cores, 4 are recommended"
  has "$out" "2048 MB of memory, 8 GB are recommended"
  has "$out" "50 GB in the file system of $W, 200 GB are recommended"
  has "$out" "lies on btrfs"
  [ -z "$block" ] || has "$out" "lies on LVM"
}

@test "every option of the two scripts is in hamal(7)" {
  need mandoc
  mandoc -T ascii -O width=200 "$HAMAL_SOURCE/man/hamal.7" | col -bx | grep -oE -- '--[a-z-]+' | sort -u > "$W/page"
  for name in update_sync_proxy.sh uninstall_hamal.sh; do
    "$R/opt/hamal/$name" --help | grep -oE -- '--[a-z-]+' | sort -u > "$W/options"
    [ -s "$W/options" ]
    run comm -23 "$W/options" "$W/page"
    [ -z "$output" ] || { echo "not in the page: $output" >&2; false; }
  done
}
