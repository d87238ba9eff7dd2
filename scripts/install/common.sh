# shellcheck shell=bash
# What install_hamal.sh, update_sync_proxy.sh and uninstall_hamal.sh share: places, the switch from one version to another.
#
# Every version lies in a folder of its own, /opt/hamal-versions/VERSION, complete and never changed; /opt/hamal is a
# symbolic link to the one in use. Links elsewhere (/usr/bin, the pages) go through /opt/hamal. So one rename changes all of
# it at once, and a script that is killed leaves the old version or the new one. What is read at boot before /opt need be
# mounted, the units and the folder of sockets, are copies: they name /opt/hamal, and either version's serve both.
#
# HAMAL_ROOT, for tests and images, stands before every path.
# shellcheck disable=SC2034 # used by those who include this

root=${HAMAL_ROOT:-}
opt=$root/opt
versions=$opt/hamal-versions
current=$opt/hamal
etc=$root/etc/hamal
config=$etc/hamal.conf
record=$versions/links # the links that were made outside, one path a line
user=hamal
credentials=$root/run/hamal-credentials # in memory, the service user's alone, as long as the script that took them runs

script=${0##*/}
say() { printf '%s\n' "$*"; }
warn() { printf '%s: warning: %s\n' "$script" "$*" >&2; }
# fail STATUS MESSAGE: the statuses are those of hamal(7).
fail() {
  local status=$1
  shift
  printf '%s: error: %s\n' "$script" "$*" >&2
  exit "$status"
}

need_root() {
  [ "$(id -u)" -eq 0 ] || [ -n "$root" ] || fail 2 "run it as root (sudo $script)"
}

# own OWNER:GROUP PATH, by the numbers of the root that is installed into.
own() {
  local owner=${1%:*} group=${1#*:}
  owner=$(awk -F : -v name="$owner" '$1 == name { print $3 }' "$root/etc/passwd")
  group=$(awk -F : -v name="$group" '$1 == name { print $3 }' "$root/etc/group")
  # Who is not root may prepare a root of his own.
  [ "$(id -u)" -ne 0 ] || chown "${owner:-$1}:${group:-}" "$2"
}

# take_update_lock SECONDS: updates, installations and removals, a package's too, one at a time. It dies with the process.
# Who is neither root nor hamal cannot open it, and hold anything up.
update_lock=$versions/update.lock
take_update_lock() {
  mkdir -p "$versions"
  (umask 0177 && : >> "$update_lock")
  chmod 0600 "$update_lock"
  exec 8>> "$update_lock"
  flock --exclusive --timeout "$1" 8 || fail 4 "another update is running, or an installation or removal"
}

# A version's name is the name of a folder and nothing else.
is_version() { [[ $1 =~ ^[0-9]+(\.[0-9]+)*([-+~][0-9A-Za-z.+~-]+)?$ ]]; }
version_in() { head -n 1 "$1/version" 2> /dev/null || true; }
current_version() { version_in "$current"; }

# newer A B: A is a later version than B. What is before a release is older than it, written as Debian does (1.0~rc1) or as
# semver.org does (1.0-rc1); a package's revision (1.0-1) is newer.
newer() {
  local one two
  one=$(sed -E 's/-([A-Za-z])/~\1/' <<< "$1")
  two=$(sed -E 's/-([A-Za-z])/~\1/' <<< "$2")
  if command -v dpkg > /dev/null; then
    dpkg --compare-versions "$one" gt "$two"
  else
    [ "$one" != "$two" ] && [ "$(printf '%s\n%s\n' "$one" "$two" | sort -V | tail -n 1)" = "$one" ]
  fi
}

# replace_link TARGET LINK: LINK is at any time the old one or the new one.
replace_link() {
  [ "$(readlink "$2" 2> /dev/null)" != "$1" ] || return 0
  ln -sfn "$1" "$2.new" && mv -fT "$2.new" "$2"
}

# switch_to VERSION: the one rename.
switch_to() {
  replace_link "hamal-versions/$1" "$current" && sync "$opt"
}

# Onto the disk, all of that folder.
make_durable() { find "$1" \( -type f -o -type d \) -exec sync {} +; }

# Unlike the version's own files these lie where other programs look: "LINK TARGET", both as the host sees them.
outside_links() {
  local tree=$1 file name
  for file in "$tree"/bin/hamal-*; do
    echo "/usr/bin/${file##*/} /opt/hamal/bin/${file##*/}"
  done
  for name in update_sync_proxy.sh uninstall_hamal.sh; do
    echo "/usr/sbin/$name /opt/hamal/$name"
  done
  for file in "$tree"/man/man?/*; do
    name=${file#"$tree"/man/}
    echo "/usr/share/man/$name /opt/hamal/man/$name"
  done
  echo "/usr/share/bash-completion/completions/hamal-sync /opt/hamal/completions/hamal.bash"
  for file in "$tree"/bin/hamal-*; do
    name=${file##*/}
    [ "$name" = hamal-sync ] || echo "/usr/share/bash-completion/completions/$name hamal-sync"
  done
  echo "/usr/share/zsh/vendor-completions/_hamal /opt/hamal/completions/_hamal"
}

# "COPY FILE", the file as it lies in the version.
outside_copies() {
  local tree=$1 file
  for file in "$tree"/systemd/*.service "$tree"/systemd/*.timer; do
    echo "/usr/lib/systemd/system/${file##*/} systemd/${file##*/}"
  done
  # An old version has none.
  [ ! -e "$tree/systemd/tmpfiles.conf" ] || echo "/usr/lib/tmpfiles.d/hamal.conf systemd/tmpfiles.conf"
}
outside() { outside_links "$1" && outside_copies "$1"; }

# What lies at the places of the record: $existing[LINK] is where a link leads, or empty for what is none. One process
# for all of them.
declare -A existing
read_links() {
  local link target links=()
  existing=()
  [ -s "$record" ] || return 0
  mapfile -t links < "$record"
  while IFS=$'\t' read -r link target; do
    existing[${link#"$root"}]=$target
  done < <(find "${links[@]/#/$root}" -maxdepth 0 -printf '%p\t%l\n' 2> /dev/null || true)
}
is_our_link() {
  case ${existing[$1]-} in /opt/hamal/* | hamal-sync) return 0 ;; *) return 1 ;; esac
}
# A copy says whose it is; one that was changed is not hamal's any more.
is_our_copy() {
  local mark
  case $1 in /usr/lib/systemd/system/* | /usr/lib/tmpfiles.d/*) ;; *) return 1 ;; esac
  [ -f "$root$1" ] && [ ! -L "$root$1" ] || return 1
  mark=$(sed -n '1s/^# Of hamal, \([0-9a-f]*\):.*/\1/p' "$root$1")
  [ -n "$mark" ] && [ "$(sed 1d "$root$1" | sha256sum)" = "$mark  -" ]
}
is_ours() { is_our_link "$1" || is_our_copy "$1"; }

# place_copy FILE COPY: what it holds is in its first line, by which it is known again whatever version is in use.
place_copy() {
  local mark
  mark=$(sha256sum < "$1") || return 1
  { printf '# Of hamal, %s: what a site changes is in a drop-in (systemctl edit)\n' "${mark%% *}" && cat "$1"; } > "$2.new" &&
    mv -fT "$2.new" "$2"
}

# make_links: those of the version in use, and its copies, recorded before they are made. What is not ours is not replaced.
# These two check each step by themselves: in a condition, where they are called from, `set -e` does not.
make_links() {
  local link target
  { outside "$current" | cut -d ' ' -f 1; cat "$record" 2> /dev/null || true; } | sort -u > "$record.new" &&
    mv -f "$record.new" "$record" || return 1
  read_links
  while read -r link target; do
    [ "${existing[$link]-}" != "$target" ] || continue
    is_free "$link" || continue
    replace_link "$target" "$root$link" || return 1
  done < <(outside_links "$current")
  while read -r link target; do
    is_free "$link" || continue
    place_copy "$current/$target" "$root$link" || return 1
  done < <(outside_copies "$current")
}
# is_free LINK: nothing foreign lies there, and its folder does.
is_free() {
  if { [ -e "$root$1" ] || [ -L "$root$1" ]; } && ! is_ours "$1"; then
    warn "$root$1 is not hamal's and stays as it is"
    return 1
  fi
  [ -d "$root${1%/*}" ] || mkdir -p "$root${1%/*}"
}

# What this version does not have leads nowhere.
drop_dead_links() {
  local link
  # A list that was cut short would make the rest of the links dead ones.
  outside "$current" | cut -d ' ' -f 1 | sort -u > "$record.new" || return 1
  while read -r link; do
    if is_ours "$link"; then rm -f "$root$link" || return 1; fi
  done < <(comm -13 "$record.new" "$record")
  mv -f "$record.new" "$record"
}

# Files are listed by what they hold; a tree that was cut short or changed is not used.
manifest_holds() {
  (cd "$1" && [ -s manifest ] && sha256sum --check --quiet --strict manifest > /dev/null 2>&1)
}

systemd_runs() { [ -d "$root/run/systemd/system" ]; }
reload_units() {
  ! systemd_runs || systemctl daemon-reload
}

# As the service's user, so that no file of root's comes to lie in the state, and with the credentials of its unit, where
# they were taken (credentials.sh). Here and elsewhere 8 and 9 are the locks of update_sync_proxy.sh: what it starts, and may
# outlive it, does not hold them.
as_user() {
  local given=()
  [ ! -d "$credentials" ] || given=(CREDENTIALS_DIRECTORY="$credentials")
  if [ -z "$root" ] && [ "$(id -u)" -eq 0 ] && getent passwd "$user" > /dev/null; then
    setpriv --reuid="$user" --regid="$user" --init-groups -- env HOME=/var/lib/hamal "${given[@]}" "$@"
  else
    env "${given[@]}" "$@"
  fi
} 8>&- 9>&-

# setting TREE SECTION KEY: as that version understands the configuration.
setting() {
  HAMAL_CONFIG=$config as_user "$1/bin/hamal-config" get "$2" "$3" 2> /dev/null
}
