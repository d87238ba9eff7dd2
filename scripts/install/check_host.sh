#!/bin/bash
# Compares this host with what is recommended for a sync proxy, and says what is below it. Never fails for that.
#
# usage: check_host.sh [DIRECTORY]     (where the state will be; default /var/lib/hamal)
set -uo pipefail

directory=${1:-/var/lib/hamal}
# What exists of it tells the file system.
while [ ! -e "$directory" ]; do directory=$(dirname "$directory"); done

below=0
note() {
  below=$((below + 1))
  printf 'check_host.sh: below the recommendation: %s\n' "$*"
}

cores=$(nproc)
[ "$cores" -ge 4 ] || note "$cores cores, 4 are recommended: fewer disks at a time (parallel_sync_disks_count)"

# A machine of 8 GB shows a little less of it.
memory=$(($(getconf _PHYS_PAGES) * $(getconf PAGESIZE)))
[ "$memory" -ge 7600000000 ] ||
  note "$((memory / 1000000)) MB of memory, 8 GB are recommended: mind memory_limit"

size=$(df -P -B 1 "$directory" | awk 'NR == 2 { print $2 }')
[ "${size:-0}" -ge 190000000000 ] ||
  note "$((${size:-0} / 1000000000)) GB in the file system of $directory, 200 GB are recommended"

type=$(findmnt -n -o FSTYPE -T "$directory")
case $type in
  ext4 | xfs) ;;
  *) note "$directory lies on ${type:-an unknown file system}, ext4 or xfs are recommended" ;;
esac

source=$(findmnt -n -o SOURCE -T "$directory")
below_it=
[ ! -b "${source%%\[*}" ] || below_it=$(lsblk -s -n -o TYPE "${source%%\[*}" 2> /dev/null)
if grep -qx lvm <<< "$below_it"; then
  note "$directory lies on LVM ($source), a plain partition is recommended"
fi

[ $below -gt 0 ] || echo "check_host.sh: this host is as recommended"
exit 0
