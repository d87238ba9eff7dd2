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
# shellcheck source=scripts/install/credentials.sh
. "$here/tools/credentials.sh"
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

Exit status: 0 done; 1 something could not be removed, or platforms could not be asked for snapshots of hamal; 2 wrong
usage; 4 a sync or an update is running.
END
}

yes=no dry_run=no purge=no force=no from_package=no lock_seconds=0
for argument in "$@"; do
  case $argument in
    -y | --yes) yes=yes ;;
    --dry-run) dry_run=yes ;;
    --purge) purge=yes ;;
    --force) force=yes ;;
    # What the package's script says: dpkg removes its own files by itself. It waits for an update that ends soon.
    --from-package) from_package=yes lock_seconds=60 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; fail 2 "unknown option $argument" ;;
  esac
done

# run WORD…: does it, or says so.
run() {
  if [ $dry_run = yes ]; then say "would run: $*"; else "$@"; fi
}
# shellcheck disable=SC2317 # by run
quietly() { "$@" > /dev/null; }
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

# No pass begins any more. Containers are stopped with the time that a run needs, and removed at the end: what has to be
# asked of the platforms may have to be asked from within.
stop_all() {
  local unit ids
  ids=$(containers --all)
  if [ -n "$ids" ]; then
    running="compose $running"
    if [ -n "$(compose_program)" ]; then
      run compose "$current" stop
    else
      # shellcheck disable=SC2086 # words
      run docker stop --time 120 $ids
    fi
  fi
  if systemd_runs; then
    for unit in hamal-period.timer hamal-heartbeat.timer hamal-period-loop.service hamal-period.service \
      hamal-heartbeat.service; do
      run systemctl disable --quiet --now "$unit" 2> /dev/null || true
    done
  fi
}

# Containers, their network, and the images that were built for them: ours have a label and our name, so that no other
# image, one that is built on ours, say, goes with them.
remove_containers() {
  local ids image
  command -v docker > /dev/null || return 0
  if ! docker info > /dev/null 2>&1; then
    say "the Docker engine does not answer: containers and images of hamal, where there are any, stay"
    return 0
  fi
  ids=$(docker ps -q --all --filter label=com.docker.compose.project=hamal)
  if [ -n "$ids" ]; then
    if [ -n "$(compose_program)" ]; then
      run compose "$current" down --rmi local
    else
      # shellcheck disable=SC2086 # words
      run quietly docker rm --force $ids
      run quietly docker network rm hamal_default 2> /dev/null || true
    fi
  fi
  for image in $(docker images --filter label=hamal.image=sync-proxy --format '{{.Repository}}:{{.Tag}}'); do
    case $image in
      hamal:*) run quietly docker image rm "$image" || missed+=("the image $image could not be removed") ;;
    esac
  done
}

missed=() # what could not be done, one a line

# What dead runs left is ended; what an interrupted run would go on from is not, unless it never will.
release_snapshots() {
  local age=() output='' platform list
  [ -e "$config" ] || return 0
  [ $purge = no ] || age=(--older-than 0s)
  if ! list=$(platforms); then
    missed+=("no platform could be asked for snapshots of hamal: $config cannot be read")
    return 0
  fi
  for platform in $list; do
    if [ $dry_run = yes ]; then
      say "would end the snapshots that dead runs left on $platform"
    elif ! output=$(tool "$current" hamal-snapshot list "$platform" 2>&1); then
      missed+=("$platform could not be asked for snapshots of hamal, which may be left there: ${output##*error: }")
    elif ! output=$(tool "$current" hamal-snapshot delete --stale "${age[@]}" "$platform" 2>&1); then
      missed+=("not all snapshots of hamal could be ended on $platform: ${output##*error: }")
    fi
  done
}
# A section's name has no blanks.
platforms() {
  local list
  list=$(tool "$current" hamal-config check --json 2> /dev/null) || return 1
  grep -o '"section":"platform [^"]*"' <<< "$list" | sed 's/.*platform \(.*\)"/\1/' | sort -u || true
}

# What lies in the state's folder and is more than state: as configuration and checkpoints name it.
named_paths() {
  tool "$current" hamal-config check --json 2> /dev/null | grep -oE '"value":"[^"]*/[^"]*"' | cut -d '"' -f 4 || true
  tool "$current" hamal-sync checkpoint list --json 2> /dev/null |
    grep -oE '"target":"[^"]*/[^"]*"' | cut -d '"' -f 4 || true
}

remove_links() {
  local link
  [ -e "$record" ] || return 0
  read_links
  while read -r link; do
    if is_ours "$link"; then
      remove "$root$link"
    elif [ -n "${existing[$link]+is}" ]; then
      say "stays, it is not hamal's, or was changed: $root$link"
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

# By whatever it was put down. One that was removed and not purged is none (Status: config-files).
is_package() {
  [ $from_package = no ] && [ -z "$root" ] &&
    [[ $(dpkg-query -W -f '${db:Status-Status}' hamal 2> /dev/null) == @(installed|unpacked|half-*|trigger*) ]]
}

# The package's own script calls this one again, with the same options, and tells what it missed by a file: for dpkg a
# status other than 0 is a removal that did not happen.
remove_package() {
  local how=--remove
  [ $purge = no ] || how=--purge
  if [ $dry_run = yes ]; then
    from_package=yes
    say "would run: dpkg $how hamal, which does:"
    return 0
  fi
  # Free, or it is said here; the package's script takes it by itself.
  take_update_lock 0
  exec 8>&-
  report=$(mktemp)
  HAMAL_UNINSTALL="$([ $force = no ] || echo --force) $([ $purge = no ] || echo --purge)" HAMAL_UNINSTALL_REPORT=$report \
    dpkg $how hamal || fail 1 "dpkg could not remove hamal"
  mapfile -t missed < "$report"
  rm -f "$report"
  if [ $purge = yes ] && getent passwd "$user" > /dev/null; then userdel "$user"; fi
}

confirm() {
  [ $yes = no ] && [ $dry_run = no ] || return 0
  read -r -p "Uninstall hamal $(current_version)? [y/N] " answer || answer=
  [[ $answer == [yY]* ]] || fail 1 "not confirmed: nothing was done"
}

# What was missed is said last, where it is seen.
tell_missed() {
  [ ${#missed[@]} -gt 0 ] || return 0
  printf '%s\n' "${missed[@]}"
  if [ -n "${HAMAL_UNINSTALL_REPORT:-}" ]; then
    printf '%s\n' "${missed[@]}" > "$HAMAL_UNINSTALL_REPORT"
  elif [ $from_package = no ]; then
    fail 1 "hamal is uninstalled, but for what is named above"
  fi
}

main() {
  local tree lib log
  need_root
  [ -L "$current" ] || [ -d "$versions" ] || fail 1 "hamal is not installed: there is no $current"
  check_idle
  confirm
  if is_package; then
    remove_package
    if [ $dry_run = no ]; then
      say "hamal is uninstalled"
      tell_missed
      return
    fi
  fi
  [ $dry_run = yes ] || take_update_lock "$lock_seconds"
  running=$(forms | tr '\n' ' ')
  [ $dry_run = yes ] || take_credentials
  lib=$(state_folder)
  log=$(log_folder)
  [ $purge = no ] || purge_named=$(named_paths)
  stop_all
  release_snapshots
  remove_containers
  remove_links
  for tree in "$versions"/*/; do
    [ ! -d "$tree" ] || remove_tree "${tree%/}"
  done
  if [ -L "$current" ]; then remove "$current"; fi
  remove "$record" "$versions/lock" "$versions/update.lock" "$versions/previous" "$versions/updating" "$versions/update.log"
  if [ $dry_run = no ]; then
    rm -rf "$versions/.incoming"
    rmdir "$versions" "$root/run/hamal" 2> /dev/null || true
    reload_units
  fi
  if [ $purge = yes ]; then
    run purge_state "$lib"
    run purge_logs "$log"
    # An empty one says nothing.
    [ ! -d "$root/srv/hamal" ] || run quietly rmdir "$root/srv/hamal" 2> /dev/null || say "stays: $root/srv/hamal"
    # Of a package dpkg does it, which knows its own file there.
    [ $from_package = yes ] || run purge_configuration "$etc"
    if [ $from_package = no ] && [ -z "$root" ] && getent passwd "$user" > /dev/null; then run userdel "$user"; fi
  else
    say "stays: $etc, $lib, $log (--purge removes them)"
  fi
  [ $dry_run = yes ] || [ $from_package = yes ] || say "hamal is uninstalled"
  tell_missed
}

# bash reads a script as it goes: all of it is read before this very file is removed.
main
exit
