#!/bin/bash
# Removes what installing put down, compared with the manifests, and nothing else. Replicas and repositories are data: they
# are never touched. Configuration, state and logs stay, unless --purge.
set -euo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
if [ ! -e "$here/tools/common.sh" ]; then
  echo "uninstall_hamal.sh: error: it works from an installed version: /opt/hamal/uninstall_hamal.sh" >&2
  exit 2
fi
# shellcheck source=scripts/install/common.sh
. "$here/tools/common.sh"
# shellcheck source=scripts/install/form.sh
. "$here/tools/form.sh"
# shellcheck source=scripts/install/purge.sh
. "$here/tools/purge.sh"

usage() {
  cat << 'END'
usage: uninstall_hamal.sh [-y] [--dry-run] [--purge] [--force]

Stops what runs, ends the snapshots that dead runs left on the platforms (those that cannot be reached are listed),
and removes the versions and links that installing made. A file that is not in a version's manifest, or was changed,
stays and is named. Configuration, state and logs stay, so that an installation later goes on from them.

  -y, --yes   do not ask
  --dry-run   say what would be removed, change nothing
  --purge     configuration, state, logs and the user hamal as well; the next run after that is a full. Only what has
              a name of hamal's: replicas, repositories and keys in those folders stay, too, and are named
  --force     also while a sync runs: it is stopped, and goes on if hamal is installed again

Exit status: 0 done; 1 something could not be removed; 2 wrong usage; 4 a sync is running.
END
}

yes=no dry_run=no purge=no force=no from_package=no
for argument in "$@"; do
  case $argument in
    -y | --yes) yes=yes ;;
    --dry-run) dry_run=yes ;;
    --purge) purge=yes ;;
    --force) force=yes ;;
    --from-package) from_package=yes ;; # what the package's script says: it removes its own files by itself
    -h | --help) usage; exit 0 ;;
    *) usage >&2; fail 2 "unknown option $argument" ;;
  esac
done

# run WORD…: does it, or says so.
run() {
  if [ $dry_run = yes ]; then say "would run: $*"; else "$@"; fi
}
remove() { # PATH…
  local path
  for path in "$@"; do
    if [ $dry_run = yes ]; then say "would remove $path"; else rm -f "$path"; fi
  done
}

check_idle() {
  local busy
  busy=$(running_syncs)
  [ -n "$busy" ] || return 0
  if [ $force = no ] && [ $dry_run = no ]; then
    fail 4 "a sync is running ($(tr '\n' ' ' <<< "$busy")): wait for it, or --force"
  fi
  say "running: $(tr '\n' ' ' <<< "$busy")"
}

stop_all() {
  local unit
  if has_form compose; then run compose "$current" down; fi
  if systemd_runs; then
    for unit in hamal-period.timer hamal-heartbeat.timer hamal-period-loop.service hamal-period.service \
      hamal-heartbeat.service; do
      run systemctl disable --quiet --now "$unit" 2> /dev/null || true
    done
  fi
}

# What dead runs left is ended; what an interrupted run would go on from is not, unless it never will.
release_snapshots() {
  local age=() output='' platform
  [ -e "$config" ] || return 0
  [ $purge = no ] || age=(--older-than 0s)
  while read -r platform; do
    if [ $dry_run = yes ]; then
      say "would end the snapshots that dead runs left on $platform"
      continue
    fi
    output=$(HAMAL_CONFIG=$config as_user "$here/bin/hamal-snapshot" list "$platform" 2>&1) || {
      say "not reached, snapshots of hamal may be left there: $platform: ${output##*error: }"
      continue
    }
    HAMAL_CONFIG=$config as_user "$here/bin/hamal-snapshot" delete --stale "${age[@]}" "$platform" 2>&1 ||
      say "not all snapshots could be ended on $platform"
  done < <(platforms)
}
platforms() {
  HAMAL_CONFIG=$config as_user "$here/bin/hamal-config" check --json 2> /dev/null |
    grep -o '"section":"platform [^"]*"' | sed 's/.*platform \(.*\)"/\1/' | sort -u || true
}

# What lies in the state's folder and is more than state: as configuration and checkpoints name it.
named_paths() {
  HAMAL_CONFIG=$config as_user "$current/bin/hamal-config" check --json 2> /dev/null |
    grep -oE '"value":"[^"]*/[^"]*"' | cut -d '"' -f 4 || true
  HAMAL_CONFIG=$config as_user "$current/bin/hamal-sync" checkpoint list --json 2> /dev/null |
    grep -oE '"target":"[^"]*/[^"]*"' | cut -d '"' -f 4 || true
}

remove_links() {
  local link
  [ -e "$record" ] || return 0
  read_links
  while read -r link; do
    if is_our_link "$link"; then
      remove "$root$link"
    elif [ -n "${existing[$link]+is}" ]; then
      say "stays, it is not hamal's: $root$link"
    fi
  done < "$record"
}

# By the manifest: a file that was changed or added is somebody's work.
remove_tree() {
  local tree=$1 hash name left=0
  if [ $from_package = yes ] && [ -z "$root" ] && dpkg-query -S "$tree/version" > /dev/null 2>&1; then return 0; fi
  [ -e "$tree/manifest" ] || { say "stays, it has no manifest: $tree"; return 0; }
  while read -r hash name; do
    [ -e "$tree/$name" ] || continue
    if [ "$(sha256sum < "$tree/$name")" = "$hash  -" ]; then
      [ $dry_run = yes ] || rm -f "$tree/$name"
    else
      say "stays, it was changed: $tree/$name"
      left=1
    fi
  done < "$tree/manifest"
  remove "$tree/.env"
  [ $dry_run = no ] || { say "would remove the files of $tree"; return 0; }
  [ $left = 1 ] || rm -f "$tree/manifest"
  find "$tree" -depth -type d -empty -delete
  [ ! -d "$tree" ] || find "$tree" -mindepth 1 ! -type d -printf 'stays: %p\n'
}

main() {
  local tree lib log
  need_root
  [ -L "$current" ] || [ -d "$versions" ] || fail 1 "hamal is not installed: there is no $current"
  if [ $from_package = no ] && [ -z "$root" ] && dpkg-query -W hamal > /dev/null 2>&1; then
    check_idle
    [ $purge = no ] || { run dpkg --purge hamal; return; }
    run dpkg --remove hamal
    return
  fi
  check_idle
  if [ $yes = no ] && [ $dry_run = no ]; then
    read -r -p "Uninstall hamal $(current_version)? [y/N] " answer || answer=
    [[ $answer == [yY]* ]] || fail 1 "not confirmed: nothing was done"
  fi
  lib=$(state_folder)
  log=$(log_folder)
  [ $purge = no ] || purge_named=$(named_paths)
  stop_all
  release_snapshots
  remove_links
  for tree in "$versions"/*/; do
    [ ! -d "$tree" ] || remove_tree "${tree%/}"
  done
  if [ -L "$current" ]; then remove "$current"; fi
  remove "$record" "$versions/lock" "$versions/update.lock" "$versions/previous" "$versions/updating" "$versions/update.log"
  if [ $dry_run = no ]; then
    rm -rf "$versions/.incoming"
    rmdir "$versions" 2> /dev/null || true
    reload_units
  fi
  if [ $purge = yes ]; then
    run purge_state "$lib"
    run purge_logs "$log"
    run purge_configuration "$etc"
    if [ -z "$root" ] && getent passwd "$user" > /dev/null; then run userdel "$user"; fi
  else
    say "stays: $etc, $lib, $log (--purge removes them)"
  fi
  [ $dry_run = yes ] || say "hamal is uninstalled"
}

# bash reads a script as it goes: all of it is read before this very file is removed.
main
exit
