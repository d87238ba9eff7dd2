# shellcheck shell=bash
# What install_hamal.sh, update_sync_proxy.sh and uninstall_hamal.sh share: places, the switch from one version to another.
#
# Every version lies in a folder of its own, /opt/hamal-versions/VERSION, complete and never changed; /opt/hamal is a
# symbolic link to the one in use. Links elsewhere (/usr/bin, the pages, the units) go through /opt/hamal. So one rename
# changes all of it at once, and a script that is killed leaves the old version or the new one.
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

# newer A B: A is a later version than B.
newer() {
  [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | tail -n 1)" = "$1" ]
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
  for file in "$tree"/systemd/*.service "$tree"/systemd/*.timer; do
    echo "/usr/lib/systemd/system/${file##*/} /opt/hamal/systemd/${file##*/}"
  done
  echo "/usr/share/bash-completion/completions/hamal-sync /opt/hamal/completions/hamal.bash"
  for file in "$tree"/bin/hamal-*; do
    name=${file##*/}
    [ "$name" = hamal-sync ] || echo "/usr/share/bash-completion/completions/$name hamal-sync"
  done
  echo "/usr/share/zsh/vendor-completions/_hamal /opt/hamal/completions/_hamal"
}

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

# make_links: those of the version in use, recorded before they are made. What is not ours is not replaced. These two check
# each step by themselves: in a condition, where they are called from, `set -e` does not.
make_links() {
  local link target
  { outside_links "$current" | cut -d ' ' -f 1; cat "$record" 2> /dev/null || true; } | sort -u > "$record.new" &&
    mv -f "$record.new" "$record" || return 1
  read_links
  while read -r link target; do
    [ "${existing[$link]-}" != "$target" ] || continue
    if { [ -e "$root$link" ] || [ -L "$root$link" ]; } && ! is_our_link "$link"; then
      warn "$root$link is not hamal's and stays as it is"
      continue
    fi
    [ -d "$root${link%/*}" ] || mkdir -p "$root${link%/*}" || return 1
    replace_link "$target" "$root$link" || return 1
  done < <(outside_links "$current")
}

# Links that this version does not have lead nowhere.
drop_dead_links() {
  local link
  # A list that was cut short would make the rest of the links dead ones.
  outside_links "$current" | cut -d ' ' -f 1 | sort -u > "$record.new" || return 1
  while read -r link; do
    if is_our_link "$link"; then rm -f "$root$link" || return 1; fi
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
