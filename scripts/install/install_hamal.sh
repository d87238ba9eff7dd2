#!/bin/bash
# Installs the version that this script is part of: user, folders, configuration, links; starts nothing.
set -euo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
tree=$(dirname "$here")
# shellcheck source=scripts/install/common.sh
. "$here/common.sh"

usage() {
  cat << 'END'
usage: install_hamal.sh [--from-package]

Installs this version of hamal into /opt/hamal-versions, makes the user hamal, /etc/hamal, /var/lib/hamal and
/var/log/hamal where they are missing, links the tools, pages, units and completions to where they are looked for,
and makes this version the one in use (/opt/hamal). What is configured stays. Nothing is started.

  --from-package   the files are in place already: what the package's script says
END
}

from_package=no lock_seconds=0
for argument in "$@"; do
  case $argument in
    --from-package) from_package=yes lock_seconds=60 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; fail 2 "unknown option $argument" ;;
  esac
done

wanted_id=6426 # the default of docker-compose-hamal.yaml
need_root
umask 022
version=$(version_in "$tree")
is_version "$version" || fail 1 "$tree/version: names no version: unpack the archive again"
checked=$(cat "$tree/manifest" 2> /dev/null) || checked=
manifest_holds "$tree" || fail 1 "$tree: files are missing or not what its manifest says: unpack the archive again"

make_user() {
  local prefix=()
  [ -z "$root" ] || prefix=(--prefix "$root")
  ! grep -q "^$user:" "$root/etc/passwd" 2> /dev/null || return 0
  [ -n "$root" ] || ! getent passwd "$user" > /dev/null || return 0
  # The same number everywhere, where it is free: the container's user is known by it.
  local number=()
  grep -qs ":$wanted_id:" "$root/etc/passwd" "$root/etc/group" ||
    number=(--uid "$wanted_id" --key "SYS_UID_MAX=$wanted_id" --key "SYS_GID_MAX=$wanted_id")
  useradd "${prefix[@]}" "${number[@]}" --system --user-group --home-dir /var/lib/hamal --no-create-home --shell /usr/sbin/nologin \
    --comment "hamal sync proxy" "$user"
}

folder() { # MODE OWNER:GROUP PATH: one that exists keeps its mode
  [ -d "$3" ] || { mkdir -p "$3" && chmod "$1" "$3" && own "$2" "$3"; }
}

file() { # MODE SOURCE PATH: one that exists stays
  [ -e "$3" ] || { cp "$2" "$3.new" && chmod "$1" "$3.new" && own "root:$user" "$3.new" && mv "$3.new" "$3"; }
}

# Complete before it gets its name.
place_tree() {
  local place=$versions/$version
  [ "$(readlink -f "$tree")" != "$(readlink -f "$place" 2> /dev/null)" ] || return 0
  mkdir -p "$versions"
  if [ -d "$place" ]; then
    manifest_holds "$place" && cmp -s "$tree/manifest" "$place/manifest" && return 0
    [ "$(current_version)" != "$version" ] ||
      fail 1 "version $version is installed, and is another build: uninstall it first"
    rm -rf "$place"
  fi
  rm -rf "$place.new"
  cp -a "$tree" "$place.new"
  # What an archive's owner was is no matter here.
  [ "$(id -u)" -ne 0 ] || chown -R 0:0 "$place.new"
  # Whoever unpacked it could change it until now.
  if ! manifest_holds "$place.new" || [ "$(cat "$place.new/manifest")" != "$checked" ]; then
    rm -rf "$place.new"
    fail 1 "$tree was changed while it was copied"
  fi
  make_durable "$place.new"
  mv -T "$place.new" "$place"
}

if [ -e "$current" ] && [ ! -L "$current" ]; then
  fail 1 "$current is a folder and no link to a version: move it away first"
fi
take_update_lock "$lock_seconds"
make_user
folder 0750 "root:$user" "$etc"
folder 0750 "root:$user" "$etc/conf.d"
folder 0750 "$user:$user" "$root/var/lib/hamal"
folder 0750 "$user:$user" "$root/var/log/hamal"
# Where units and containers may write replicas and repositories.
folder 0750 "$user:$user" "$root/srv/hamal"
folder 0770 "$user:$user" "$root/run/hamal" # at the next boot by tmpfiles.d
file 0640 "$tree/etc/hamal.conf" "$config"
if [ $from_package = yes ]; then
  own "root:$user" "$config"
  chmod 0640 "$config"
fi
[ $from_package = yes ] || place_tree
# For the container, which is to write as the same user as the service.
if [ ! -e "$etc/compose.env" ]; then
  uid=$(awk -F : -v name="$user" '$1 == name { print $3 ":" $4 }' "$root/etc/passwd" 2> /dev/null || true)
  [ -n "$uid" ] || uid=$(id -u "$user"):$(id -g "$user")
  sed "s/@UID@/$uid/; s/@HOSTNAME@/$(uname -n)/" "$tree/etc/compose.env" > "$etc/compose.env.new"
  chmod 0640 "$etc/compose.env.new"
  own "root:$user" "$etc/compose.env.new"
  mv "$etc/compose.env.new" "$etc/compose.env"
fi
previous=$(current_version)
switch_to "$version"
make_links
drop_dead_links
reload_units
# What runs goes on with the tools of the version that it began with, which a package takes away; its link leads to the new
# one by now.
if systemd_runs && { [ "$previous" != "$version" ] || [ $from_package = yes ]; }; then
  systemctl --no-block try-restart hamal-period-loop.service || true
fi
"$here/check_host.sh" "$root/var/lib/hamal"
if ! "$current/bin/hamal-config" --version > /dev/null 2>&1; then
  warn "the tools do not run on this host; it lacks: $(ldd "$current/bin/hamal-sync" 2> /dev/null |
    awk '/not found/ { printf "%s ", $1 }'): install the packages of $current/docker/packages, or use the container"
fi
[ -e "$current/etc/hamal-release.pem" ] ||
  warn "this version has no release key: update_sync_proxy.sh takes no update without --key"
say "hamal $version is installed${previous:+ (before: $previous)}. Next:"
say "  edit $config, then check it: sudo -u $user hamal-config check --secrets"
say "  systemctl enable --now hamal-period.timer"
say "  or: docker-compose -f $current/docker-compose-hamal.yaml up -d"
