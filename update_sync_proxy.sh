#!/bin/bash
# Brings this sync proxy to another version, or leaves it as it is. The design is in hamal(7), UPDATE:
#
#   lock → fetch → signature, checksum → unpack beside → the new version reads configuration and state →
#   hold passes off, wait for runs → journal → ONE rename → restart → health → journal gone, or the rename back
#
# Up to the rename nothing that is in use was touched; the rename is atomic; what was killed between it and the end of
# the journal is finished, or taken back, by the next call. Both locks, of updates and of passes, die with this process.
set -euo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
if [ ! -e "$here/tools/common.sh" ]; then
  echo "update_sync_proxy.sh: error: it works from an installed version: /opt/hamal/update_sync_proxy.sh" >&2
  exit 2
fi
# shellcheck source=scripts/install/common.sh
. "$here/tools/common.sh"
# shellcheck source=scripts/install/form.sh
. "$here/tools/form.sh"
# shellcheck source=scripts/install/credentials.sh
. "$here/tools/credentials.sh"

usage() {
  cat << 'END'
usage: update_sync_proxy.sh [-y] [--dry-run] [OPTION…] [SOURCE]
       update_sync_proxy.sh --rollback [-y]

Updates hamal from SOURCE: the archive of a release, as a file or an https:// address, with its .sha256 and .sha256.sig
beside it; or an address that ends in /, where the file "latest" names the archive. Without SOURCE it is the first line
of /etc/hamal/update.url. Signature and checksum are checked with the key of the installed version before anything is
touched. Configuration, state and logs stay. When the new version does not come up healthy, the old one comes back.

  -y, --yes            do not ask
  --dry-run            check all of it, say what would be done, change nothing
  --rollback           back to the version before this one
  --wait SECONDS       for runs that have not ended; then they are stopped, and go on afterwards (600)
  --health SECONDS     for the new version to come up healthy (300)
  --key FILE           the release's public key, instead of the installed one
  --ca FILE            certificates to trust for https, instead of the host's
  --allow-downgrade    take a version that is not newer

Exit status: 0 done, or nothing newer; 1 failed, and the old version is in use; 2 wrong usage; 4 another update runs.
END
}

# "OLD NEW HEALTH FAILED STEP FORM…" from before the rename until the new version is known to work, or the old one runs:
# what ran and how it did cannot be asked for any more when the new one does not come up. STEP: forward or back.
journal=$versions/updating
incoming=$versions/.incoming
pass_lock=$versions/lock          # no pass begins while versions are switched: see hamal-period.service
log_file= # in a folder of root's: what the service's user may rename, root does not write to

log() {
  say "$*"
  if [ -n "$log_file" ]; then
    printf '%s %s\n' "$(date --rfc-3339=seconds)" "$*" >> "$log_file" 2> /dev/null || true
  fi
}
give_up() { # STATUS MESSAGE
  log "error: ${*:2}"
  rm -rf "$incoming"
  fail "$@"
}

parse() {
  yes=no dry_run=no rollback=no downgrade=no wait_seconds=600 health_seconds=300 key='' ca='' from=''
  while [ $# -gt 0 ]; do
    case $1 in
      -y | --yes) yes=yes ;;
      --dry-run) dry_run=yes ;;
      --rollback) rollback=yes ;;
      --allow-downgrade) downgrade=yes ;;
      --wait | --health | --key | --ca)
        [ $# -ge 2 ] || fail 2 "$1 needs a value"
        case $1 in
          --wait) wait_seconds=$2 ;;
          --health) health_seconds=$2 ;;
          --key) key=$2 ;;
          --ca) ca=$2 ;;
        esac
        shift ;;
      -h | --help) usage; exit 0 ;;
      -*) usage >&2; fail 2 "unknown option $1" ;;
      *) [ -z "$from" ] || fail 2 "one source and not two"; from=$1 ;;
    esac
    shift
  done
  [[ $wait_seconds =~ ^[0-9]+$ && $health_seconds =~ ^[0-9]+$ ]] || fail 2 "--wait and --health take seconds"
}

# ---- getting it

# get URL FILE: TLS is verified, always; a redirection cannot leave it.
get() {
  # Nothing of root's own .curlrc; what neither ends nor goes on is given up.
  local options=(--disable --fail --silent --show-error --location --max-redirs 5 --proto '=https' --proto-redir '=https'
    --tlsv1.2 --connect-timeout 30 --retry 3
    --speed-limit 1000 --speed-time 60 --max-time 3600 --max-filesize 2147483648)
  [ -z "$ca" ] || options+=(--cacert "$ca")
  curl "${options[@]}" --output "$2" "$1"
} 8>&- 9>&-

# The archive, its checksum and the signature of that into $incoming; their name into $archive.
fetch() {
  local name part
  if [ -z "$from" ]; then
    from=$(head -n 1 "$etc/update.url" 2> /dev/null) ||
      fail 2 "from where? name a file or an address, or put one into $etc/update.url"
  fi
  rm -rf "$incoming"
  mkdir -p "$incoming"
  case $from in
    https://*/)
      get "${from}latest" "$incoming/latest" || give_up 1 "cannot get ${from}latest"
      name=$(head -n 1 "$incoming/latest")
      [[ $name =~ ^[0-9A-Za-z][0-9A-Za-z._+~-]*$ ]] || give_up 1 "${from}latest names no archive"
      from=$from$name ;;
    https://*) ;;
    *://*) give_up 2 "$from: only https:// addresses are taken" ;;
    *) [ -r "$from" ] || give_up 2 "$from: cannot be read" ;;
  esac
  archive=${from##*/}
  for part in "$archive.sha256.sig" "$archive.sha256" "$archive"; do
    case $from in
      https://*) get "${from%/*}/$part" "$incoming/$part" || give_up 1 "cannot get ${from%/*}/$part" ;;
      *) cp "$(dirname "$from")/$part" "$incoming/$part" || give_up 1 "a release has a file $part beside it" ;;
    esac
  done
}

verify() {
  local wanted got name
  if [ -z "$key" ]; then
    key=$current/etc/hamal-release.pem
    [ -r "$key" ] || give_up 2 "the installed version knows no release key: name it by --key FILE"
  fi
  openssl dgst -sha256 -verify "$key" -signature "$incoming/$archive.sha256.sig" "$incoming/$archive.sha256" \
    > /dev/null 2>&1 || give_up 1 "$archive.sha256 is not signed with the release key ($key): not taken"
  read -r wanted name < "$incoming/$archive.sha256" || give_up 1 "$archive.sha256 is empty"
  # The name is under the signature, so that an old release cannot be passed off as a new one.
  [ "$name" = "$archive" ] || give_up 1 "$archive.sha256 is of $name: not taken"
  got=$(sha256sum < "$incoming/$archive")
  [ "${got%% *}" = "$wanted" ] || give_up 1 "$archive is not what was signed (SHA-256 ${got%% *}): not taken"
}

unpack() {
  mkdir "$incoming/tree"
  tar -xzf "$incoming/$archive" -C "$incoming/tree" --strip-components 1 --no-same-owner ||
    give_up 1 "$archive cannot be unpacked"
  new=$(version_in "$incoming/tree")
  is_version "$new" || give_up 1 "$archive names no version"
  [[ $archive == *"-$new-"* ]] || give_up 1 "$archive holds version $new: not taken"
  manifest_holds "$incoming/tree" || give_up 1 "$archive: files are missing or not what its manifest says"
}

# ---- the new version beside the old one

place() {
  local tree=$versions/$new
  if [ -d "$tree" ] && manifest_holds "$tree" && cmp -s "$tree/manifest" "$incoming/tree/manifest"; then
    return 0 # an update that was killed, or the version before
  fi
  rm -rf "$tree"
  make_durable "$incoming/tree"
  mv -T "$incoming/tree" "$tree"
}

# Nothing is in its hands yet: a configuration or state that it cannot use is found out now. It changes the tables of the
# state where it has to, and only adds to them: the old version goes on with them (hamal(7), STATE). A dry run reads them.
rehearse() { # TREE
  if [ $dry_run = yes ]; then
    try_dry "$1"
    return
  fi
  if has_form compose; then
    compose "$1" build period || give_up 1 "the image of version $new cannot be built"
  fi
  tool "$1" hamal-config check --quiet || give_up 1 "version $new cannot use $config"
  tool "$1" hamal-sync checkpoint list > /dev/null || give_up 1 "version $new cannot use the state"
}

# In containers its tools run in the image that is there, which has the libraries unless their list has changed.
try_dry() { # TREE
  local try=(tool "$1" hamal-config)
  if [[ " $running " == *" compose "* ]]; then
    if ! cmp -s "$1/docker/packages" "$current/docker/packages"; then
      say "it needs other libraries than the image has: configuration and state are tried when it is not a dry run"
      return 0
    fi
    try=(compose "$current" run --rm --no-deps -T -v "$1/bin:/opt/hamal/bin:ro" period hamal-config)
  elif ! runs_here "$1/bin/hamal-config"; then
    say "its tools do not run on this host: configuration and state are not tried"
    return 0
  fi
  "${try[@]}" check --quiet < /dev/null || give_up 1 "version $new cannot use $config"
  "${try[@]}" check --quiet --state < /dev/null || give_up 1 "version $new cannot use the state"
}

# ---- the switch

# The exit status of health: 0 healthy, 1 not, 2 when nothing is configured to run.
health() {
  local status=0
  tool "$current" hamal-period health > /dev/null 2>&1 || status=$?
  echo $status
}

# Until none is left or time is over. Those of the units and containers are stopped then, cleanly; what an operator
# started by hand goes on with the version that it began with.
wait_for_runs() {
  local end=$((SECONDS + wait_seconds)) busy told=
  while busy=$(running_syncs) && [ -n "$busy" ]; do
    if [ -z "$told" ]; then
      log "waiting up to $wait_seconds s for: $(tr '\n' ' ' <<< "$busy")"
      told=yes
    fi
    if [ $SECONDS -ge $end ]; then
      log "stopped, they go on from where they are: $(tr '\n' ' ' <<< "$busy")"
      ! has_form timer || systemctl stop hamal-period.service || true
      return 0
    fi
    sleep 1
  done
}

# What runs becomes what /opt/hamal says. A pass by the timer finds the lock shared: it may begin.
restart() {
  local unit
  make_links && reload_units && drop_dead_links || return 1
  restarted=$(date +%s)
  flock --unlock 9 || return 1
  # A session of its own: a kill of this script's group leaves no half of it.
  if [[ " $running " == *" compose "* ]]; then
    (session=(setsid --wait) && compose "$current" up -d) || return 1
  fi
  # A failure of before, of units that may not be in use, says nothing about this version.
  for unit in $(units); do systemctl reset-failed "$unit" 2> /dev/null || true; done
  if [[ " $running " == *" loop "* ]]; then systemctl restart hamal-period-loop.service || return 1; fi
  if [[ " $running " == *" timer "* ]]; then systemctl start --no-block hamal-period.service || return 1; fi
}

# The services that make the passes here.
units() {
  [[ " $running " != *" loop "* ]] || echo hamal-period-loop.service
  [[ " $running " != *" timer "* ]] || echo hamal-period.service
}
any_failed() {
  local unit
  for unit in $(units); do
    ! systemctl is-failed --quiet "$unit" || return 0
  done
  return 1
}

container_health() {
  local id
  id=$(containers --filter label=com.docker.compose.service=period)
  [ -n "$id" ] || { echo gone; return; }
  docker inspect -f '{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}' "$id" | head -n 1
}

# passed FILE: a pass of the version in use that began after the restart has ended. The file is the service user's.
passed() {
  local text begun
  if [ ! -f "$1" ] || [ -L "$1" ]; then return 1; fi
  text=$(as_owner "$(dirname "$1")" timeout 5 head -c 65536 "$1" 2> /dev/null | tr -d '\0\n') || return 1
  [[ $text == *"\"hamal\": \"$(current_version)\""* ]] || return 1
  [[ $text =~ \"last_pass\":\ *\{\ *\"started\":\ *\"([0-9TZ:.+-]+)\" ]] || return 1
  begun=$(date -d "${BASH_REMATCH[1]}" +%s 2> /dev/null) || return 1
  [ "$begun" -ge "$restarted" ]
}

# A pass of this version ended, and the machines do as well as before. A pass that takes longer is no failure.
comes_up() {
  local end=$((SECONDS + health_seconds)) info
  tool "$current" hamal-config check --quiet || return 1
  tool "$current" hamal-sync checkpoint list > /dev/null || return 1
  if [ -z "${running// /}" ] || [ "$health_before" = 2 ]; then return 0; fi
  info=$(info_file)
  while [ $SECONDS -lt $end ]; do
    if [[ " $running " == *" compose "* ]]; then
      case $(container_health) in
        unhealthy) [ "$health_before" != 0 ] || return 1 ;;
        gone | exited | dead) return 1 ;;
      esac
    elif [ "$failed_before" = no ] && any_failed; then
      return 1
    fi
    if passed "$info"; then
      if [ "$health_before" != 0 ] || [ "$(health)" = 0 ]; then return 0; fi
    fi
    sleep 1
  done
  if [[ " $running " == *" timer "* ]] && unit_is_busy hamal-period.service; then return 0; fi
  if [ "$failed_before" = yes ]; then
    log "warning: no pass of version $(current_version) ended; so it was before it"
    return 0
  fi
  return 1
}
info_file() {
  local file
  file=$(setting "$current" DEFAULT hamal_info_path) || file=
  file=${file:-/var/lib/hamal/hamal_info}
  if [ "${file%/*}" = /var/lib/hamal ]; then echo "$(state_folder)/${file##*/}"; else echo "$root$file"; fi
}
unit_is_busy() { [ "$(systemctl is-active "$1" 2> /dev/null)" = activating ]; }

write_journal() { # OLD NEW STEP
  printf '%s\n' "$1 $2 $health_before $failed_before $3 $running" > "$journal.new" && sync "$journal.new" &&
    mv -f "$journal.new" "$journal"
}

# back_to OLD: with the journal gone the old version is in use and runs; else what is in use is said, and the next call
# goes on.
back_to() {
  log "going back to $1"
  write_journal "$1" "$(current_version)" back || log "error: $journal cannot be written"
  if ! switch_to "$1"; then
    log "error: version $1 cannot be put back; $(current_version) is in use, and the next call tries it again"
    return 1
  fi
  if ! restart; then
    log "error: version $1 is in use, but not all that ran could be restarted: the next call tries it again"
    return 1
  fi
  rm -f "$journal"
}

# confirm_or_go_back OLD: the second half of an update, also of one that was killed. 0: the new version is in use and works;
# 1: the old one does; 2: neither is certain. It is called in conditions, where `set -e` is off: each step is checked.
confirm_or_go_back() {
  if restart && comes_up; then
    rm -f "$journal" || return 2
    log "version $(current_version) is in use and healthy"
    return 0
  fi
  log "error: version $(current_version) did not come up healthy"
  back_to "$1" || return 2
  return 1
}

# An earlier call was killed, or could not end: before its rename nothing has to be done, after it the rest of it has.
recover() {
  local old unfinished step forms now=$running status=0
  [ -e "$journal" ] || return 0
  read -r old unfinished health_before failed_before step forms < "$journal" || { rm -f "$journal"; return 0; }
  if [ $dry_run = yes ]; then
    say "an update from $old to $unfinished was interrupted: the next call without --dry-run finishes it"
    return 0
  fi
  # One of an older version says less.
  health_before=${health_before:-1} failed_before=${failed_before:-no} running=${forms:-$now}
  hold_passes
  if [ "$(current_version)" = "$unfinished" ]; then
    log "an update from $old to $unfinished was interrupted: finishing it"
    confirm_or_go_back "$old" || status=$?
  elif [ "$step" = back ]; then
    log "going back from $unfinished to $old was interrupted: finishing it"
    back_to "$old" || status=2
  else
    make_links || status=2
    [ $status != 0 ] || rm -f "$journal"
  fi
  [ $status != 2 ] || fail 1 "that could not be finished; version $(current_version) is in use"
  flock --unlock 9
}

# The version before stays for --rollback; a package's own files are the package manager's.
prune() { # OLD
  local tree name
  for tree in "$versions"/*/; do
    name=$(basename "$tree")
    if ! is_version "$name" || [ "$name" = "$1" ] || [ "$name" = "$(current_version)" ]; then continue; fi
    if [ -z "$root" ] && dpkg-query -S "$versions/$name/version" > /dev/null 2>&1; then continue; fi
    rm -rf "$tree"
    ! has_form compose || docker image rm "hamal:$name" > /dev/null 2>&1 || true
    log "version $name is removed"
  done
  printf '%s\n' "$1" > "$versions/previous.new"
  mv -f "$versions/previous.new" "$versions/previous"
}

ask() {
  [ $yes = no ] || return 0
  read -r -p "$1 [y/N] " answer || answer=
  [[ $answer == [yY]* ]] || give_up 1 "not confirmed: nothing was done"
}

# hamal may take it shared, and nobody else may open it.
open_locks() {
  take_update_lock 0
  (umask 0137 && : >> "$pass_lock")
  [ "$(id -u)" -ne 0 ] || own "root:$user" "$pass_lock"
  chmod 0640 "$pass_lock"
  exec 9>> "$pass_lock"
}
hold_passes() { flock --exclusive --timeout 60 9 || give_up 4 "$pass_lock is held: by whom, says: fuser $pass_lock"; }

# What runs, and how it does, before anything is held off or changed.
look() {
  running=$(forms | tr '\n' ' ')
  health_before=$(health)
  failed_before=no
  ! any_failed || failed_before=yes
}

main() {
  parse "$@"
  need_root
  umask 022
  [ -L "$current" ] || fail 1 "$current is no installed version: see tools/install_hamal.sh of an archive"
  open_locks
  log_file=$versions/update.log
  take_credentials
  look
  recover
  old=$(current_version)
  look
  if [ $rollback = yes ]; then
    new=$(head -n 1 "$versions/previous" 2> /dev/null || true)
    if [ -z "$new" ] || [ ! -d "$versions/$new" ]; then fail 1 "there is no version before $old"; fi
    manifest_holds "$versions/$new" || fail 1 "$versions/$new is not what its manifest says"
  else
    fetch
    verify
    unpack
    if [ "$new" = "$old" ]; then
      rm -rf "$incoming"
      say "version $old is installed already"
      exit 0
    fi
    newer "$new" "$old" || [ $downgrade = yes ] ||
      give_up 1 "version $new is older than $old, which is installed (--allow-downgrade takes it)"
  fi
  say "from $old to $new${running:+, and what runs (${running% }) is restarted}; configuration, state and logs stay"
  if [ $dry_run = yes ]; then
    if [ $rollback = yes ]; then rehearse "$versions/$new"; else rehearse "$incoming/tree"; fi
    rm -rf "$incoming"
    say "nothing was changed"
    exit 0
  fi
  ask "Update?"
  log "update from $old to $new begins (${from:-rollback})"
  [ $rollback = yes ] || place
  rm -rf "$incoming"
  rehearse "$versions/$new"
  hold_passes
  wait_for_runs
  write_journal "$old" "$new" forward
  switch_to "$new"
  log "version $new is switched to"
  confirm_or_go_back "$old" || case $? in
    1) fail 1 "version $new did not come up healthy; $old is in use again (see $log_file)" ;;
    *) fail 1 "version $new did not come up healthy, and going back failed: $(current_version) is in use (see $log_file)" ;;
  esac
  prune "$old"
  if [ -z "$root" ] && dpkg-query -S "$versions/$old/version" > /dev/null 2>&1; then
    say "dpkg goes on to show the version that the package brought: /opt/hamal/version is the one in use"
  fi
}

# bash reads a script as it goes: all of it is read before the first change.
main "$@"
exit
