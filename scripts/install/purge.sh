# shellcheck shell=sh
# What a purge removes of state, logs and configuration: files by hamal's own names, then the folders that are empty. What
# else lies there, replicas, repositories and keys before all, is nobody's to remove. Never `rm -rf` of a folder that a
# configuration names. uninstall_hamal.sh includes this; the package's postrm, which runs when all else is gone, has a
# copy of it (HamalInstall.cmake).
#
# $root stands before every path; $purge_named is what configuration and checkpoints name, one a line.

# purge_files FOLDER TEST…: the plain files of it that find's TESTs choose. No link is followed, no mount is entered.
purge_files() {
  purge_in=$1
  shift
  if [ ! -d "$purge_in" ] || [ -L "$purge_in" ]; then return 0; fi
  find "$purge_in" -xdev -mindepth 1 -type f "$@" -delete
}

# purge_below FOLDER TEST…: the same for a folder that is hamal's alone, and itself when it is empty then.
purge_below() {
  case "${purge_named:-}
" in
    *"${1#"${root:-}"}/"* | *"${1#"${root:-}"}
"*)
      echo "stays, a configuration or checkpoint names it: $1"
      return 0
      ;;
  esac
  purge_files "$@" || return 1
  if [ -d "$1" ] && [ ! -L "$1" ]; then find "$1" -xdev -depth -type d -empty -delete; fi
}

# purge_folder FOLDER: itself, when nothing is left in it.
purge_folder() {
  if [ ! -d "$1" ] || [ -L "$1" ] || rmdir "$1" 2> /dev/null; then return 0; fi
  find "$1" -mindepth 1 -maxdepth 1 -printf 'stays, it is not known to be only hamal'\''s: %p\n'
}

purge_state() { # FOLDER
  purge_below "$1/locks" -maxdepth 1 -name '*.lock' &&
    purge_below "$1/vddk" -maxdepth 1 -name '*.[0-9]*' &&
    purge_below "$1/period" -maxdepth 1 -name '*.json' &&
    purge_below "$1/plans" -mindepth 2 -maxdepth 2 -path '*/plans/vm-*' &&
    purge_below "$1/metadata" -mindepth 3 -maxdepth 4 -name '*.json' &&
    purge_below "$1/repository" \( -path '*/repository/*/sessions/*' -o -name 'records.db' -o -name 'records.db-*' \) &&
    purge_files "$1" -maxdepth 1 \( -name hamal.db -o -name 'hamal.db-*' -o -name hamal.db.lock \
      -o -name proxy_id -o -name hamal_info \) &&
    purge_folder "$1"
}

purge_logs() { # FOLDER
  purge_files "$1" -maxdepth 1 \( -name 'hamal-*.log*' -o -name 'vm-*_Agent-*.log*' -o -name ip_mapping.backup \
    -o -name update.log \) && purge_folder "$1"
}

purge_configuration() { # FOLDER
  purge_files "$1" -maxdepth 1 \( -name hamal.conf -o -name 'hamal.conf.dpkg-*' -o -name compose.env -o -name update.url \
    -o -name docker-compose-site.yaml \) && purge_below "$1/conf.d" -maxdepth 1 -name '*.conf' && purge_folder "$1"
}
