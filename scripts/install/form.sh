# shellcheck shell=bash
# How hamal runs on this host, and the same few things done in each form: containers (docker-compose), units (systemd),
# or by hand. Included by update_sync_proxy.sh and uninstall_hamal.sh after common.sh.

# shellcheck disable=SC2154 # common.sh sets them

session=() # what docker-compose is started by: see update_sync_proxy.sh

# compose TREE ARGUMENT…: docker-compose with the file of that version and the site's, under one name of the project.
compose() {
  local tree=$1 program settings=() files=(-f "$1/docker-compose-hamal.yaml")
  shift
  read -ra program <<< "$(compose_program)"
  [ ${#program[@]} -gt 0 ] || { warn "there is neither docker-compose nor docker compose"; return 127; }
  [ ! -r "$etc/compose.env" ] || settings=(--env-file "$etc/compose.env")
  [ ! -r "$etc/docker-compose-site.yaml" ] || files+=(-f "$etc/docker-compose-site.yaml")
  "${session[@]}" "${program[@]}" "${settings[@]}" -p hamal "${files[@]}" "$@"
} 8>&- 9>&-
# The one that is here; nothing when there is none.
compose_program() {
  if command -v docker-compose > /dev/null; then
    echo docker-compose
  elif docker compose version > /dev/null 2>&1; then
    echo docker compose
  fi
}

# shellcheck disable=SC2120 # options are for other files
# containers OPTION…: those of hamal that docker ps finds with these; not what `docker-compose run` made for a moment.
containers() {
  command -v docker > /dev/null || return 0
  docker ps -q --filter label=com.docker.compose.project=hamal --filter label=com.docker.compose.oneoff=False "$@" \
    2> /dev/null || true
}
unit_active() { systemd_runs && systemctl is-active --quiet "$1"; }

# What runs passes here: words out of "compose", "timer", "loop"; none when they are made by hand.
forms() {
  # shellcheck disable=SC2119
  [ -z "$(containers)" ] || echo compose
  ! unit_active hamal-period.timer || echo timer
  ! unit_active hamal-period-loop.service || echo loop
}
has_form() { [[ " $(forms | tr '\n' ' ') " == *" $1 "* ]]; }

running= # what forms said when the script began, in one line

# tool TREE NAME ARGUMENT…: with the mounts, the environment and the secrets that a pass has: in that version's container,
# where containers make the passes or the host has not got the libraries, else as the units' user.
tool() {
  local tree=$1 name=$2
  shift 2
  if [[ " $running " != *" compose "* || -z $(compose_program) ]] && runs_here "$tree/bin/$name"; then
    HAMAL_CONFIG=$config as_user "$tree/bin/$name" "$@"
  elif ! docker info > /dev/null 2>&1; then
    warn "$tree/bin/$name does not run on this host, and there is no Docker engine: see $tree/docker/packages"
    return 1
  else
    compose "$tree" run --rm --no-deps -T period "$name" "$@" < /dev/null
  fi
}
runs_here() { "$1" --version > /dev/null 2>&1; }

# host_folder NAME: where docker-compose gets the containers' folder from, when it is another one of the host's.
host_folder() {
  local place=${!1:-}
  [ -n "$place" ] || place=$(sed -n "s/^$1=\([^# ]*\).*/\1/p" "$etc/compose.env" 2> /dev/null | tail -n 1) || place=
  [ -n "$place" ] && echo "${place%/}"
}

# The state's folder as the host sees it.
state_folder() {
  local folder
  folder=$(setting "$current" DEFAULT hamal_lib_dir) || folder=
  folder=${folder:-/var/lib/hamal}
  if [ "${folder%/}" = /var/lib/hamal ] && host_folder HAMAL_LIB; then return 0; fi
  echo "$root${folder%/}"
}
log_folder() {
  local folder
  folder=$(setting "$current" DEFAULT log_dir) || folder=
  folder=${folder:-/var/log/hamal}
  if [ "${folder%/}" = /var/log/hamal ] && host_folder HAMAL_LOG; then return 0; fi
  echo "$root${folder%/}"
}

# as_owner PATH COMMAND…: as the user who owns it. What the service's user may rename under our hands, root does not open.
as_owner() {
  local owner group
  owner=$(stat -c %u "$1")
  group=$(stat -c %g "$1")
  shift
  if [ -z "$root" ] && [ "$(id -u)" -eq 0 ] && [ "$owner" -ne 0 ]; then
    setpriv --reuid="$owner" --regid="$group" --clear-groups -- "$@"
  else
    "$@"
  fi
} 8>&- 9>&-

# One line for each machine or target that a run holds, in any form: the kernel knows who has the lock. Only plain files
# are locks, a name is printed without what a terminal or a log would take for more than a name, and opening takes no
# longer than opening does (a FIFO).
running_syncs() {
  local folder lock name status
  folder=$(state_folder)/locks
  for lock in "$folder"/*.lock; do
    if [ ! -f "$lock" ] || [ -L "$lock" ]; then continue; fi
    status=0
    as_owner "$folder" timeout 5 flock --nonblock --shared --conflict-exit-code 97 "$lock" true 2> /dev/null || status=$?
    [ $status = 97 ] || continue
    name=${lock##*/}
    name=${name%.lock}
    printf '%s\n' "${name//[^0-9A-Za-z._%-]/?}"
  done
}
