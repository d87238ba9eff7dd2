# shellcheck shell=bash
# The quickstart's running disk: made, served, written to and changed without root. Sourced by scripts/quickstart
# inside its scratch directory; uses its live, daemon_pid, writer_pid, fuse_mounted, note, run and fail.
# shellcheck disable=SC2034,SC2154

# A raw file first, because mke2fs can fill a file system only there; then the qcow2 that is served.
make_disk() {
  local i
  mkdir -p tree/home tree/etc tree/var
  echo web01 >tree/etc/hostname
  for i in $(seq 1 200); do
    echo "note $i: $(head -c 600 /dev/urandom | base64 -w 0)" >"tree/home/note-$i.txt"
  done
  echo "to be deleted" >tree/home/old-notes.txt
  head -c 60M /dev/urandom >tree/home/photos.tar
  head -c 32M /dev/urandom >tree/var/data.db
  truncate -s 1G disk.raw
  mkfs.ext4 -q -F -L demo -d tree disk.raw
  # Where the database lies on the disk: pages of it can be rewritten from outside as a guest would.
  database_blocks=$(debugfs -R 'blocks /var/data.db' disk.raw 2>/dev/null)
  [ -n "$database_blocks" ] || fail "debugfs does not find /var/data.db in the disk that was just made"
  run qemu-img convert -f raw -O qcow2 disk.raw disk.qcow2
  rm disk.raw
}

# `top` is a filter that does nothing: what the guest (here: the NBD export) is attached to, so that a
# snapshot can slip its copy-before-write filter underneath.
start_daemon() {
  qemu-storage-daemon --daemonize --pidfile "$PWD/qsd.pid" \
    --chardev "socket,id=qmp,path=$PWD/qmp.sock,server=on,wait=off" --monitor chardev=qmp \
    --blockdev "driver=file,node-name=file0,filename=$PWD/disk.qcow2" \
    --blockdev driver=qcow2,node-name=disk0,file=file0,discard=unmap \
    --blockdev driver=raw,node-name=top,file=disk0 \
    --nbd-server "addr.type=unix,addr.path=$PWD/nbd.sock,max-connections=64" \
    --export type=nbd,id=live,node-name=top,name=live,writable=on
  daemon_pid=$(cat qsd.pid)
}

# Rewrites one random page of the database every now and then, until it is killed or a write fails.
start_writer() {
  local blocks
  read -ra blocks <<<"$database_blocks"
  {
    while true; do
      block=${blocks[RANDOM % ${#blocks[@]}]}
      printf 'write -P %d %d 4k\n' $((RANDOM % 255 + 1)) $((block * 4096))
      sleep 0.05
    done
  } 2>/dev/null | stdbuf -oL qemu-io -f raw "$live" >writer.log 2>&1 &
  writer_pid=$!
}

# The frozen disk read by qemu-img, a program that shares no code with Hamal.
save_frozen() {
  local uri
  uri=$(grep -o '"source": *"[^"]*"' "$1" | head -n 1 | sed 's/.*: *"//; s/"$//')
  [ -n "$uri" ] || fail "no source in $1"
  qemu-img convert -f raw -O raw "$uri" "$2"
}

list_files() { debugfs -R "ls -p $2" "$1" 2>/dev/null | cut -d / -f 6 | grep -Ev '^(\.|\.\.|)$' | sort | grep -v '^note-'; }

unmount() {
  if command -v fusermount3 >/dev/null; then fusermount3 -u mnt; else umount mnt; fi
  fuse_mounted=no
  wait "$fuse_pid" 2>/dev/null || true # so that the last write has arrived
}

# Presents the running disk's NBD export as a file, mnt/disk.
mount_live() {
  [ -w /dev/fuse ] || return 1
  nbdfuse mnt/disk "$live" 2>fuse.log &
  fuse_pid=$!
  for _ in $(seq 50); do
    if [ -e mnt/disk ]; then
      fuse_mounted=yes
      return 0
    fi
    kill -0 "$fuse_pid" 2>/dev/null || return 1
    sleep 0.1
  done
  kill "$fuse_pid"
  return 1
}

edit_file_system() {
  debugfs -w -f new/commands "$1" >debugfs.log 2>&1
  if grep -Ei 'error|not found|while' debugfs.log | grep -v '^debugfs'; then fail "debugfs could not change the files"; fi
}

change_files() {
  mkdir -p new
  seq 1 20000 >new/report-2.txt
  head -c 3M /dev/urandom >new/mail.mbox
  cat >new/commands <<END
write new/report-2.txt /home/report-2.txt
write new/mail.mbox /var/mail.mbox
rm /home/old-notes.txt
rm /home/note-7.txt
mkdir /home/archive
END
  if mount_live; then
    note "nbdfuse shows the running disk as mnt/disk; debugfs edits the files in it"
    edit_file_system mnt/disk
    unmount
  else
    note "FUSE cannot be used here: files are changed in a copy, and the blocks that differ are written to the running disk"
    change_files_by_blocks
  fi
  sed 's/^/     /' new/commands
}

# The same change without FUSE: the difference of two copies, written through the NBD export.
change_files_by_blocks() {
  local offset length
  qemu-img convert -f raw -O raw "$live" before.raw
  cp --sparse=always before.raw after.raw
  edit_file_system after.raw
  # cmp ends with 1 when the files differ, which they should.
  { cmp -l before.raw after.raw || true; } | awk '
    { block = int(($1 - 1) / 4096)
      if (block == last) next
      if (NR > 1 && block == last + 1 && last - first < 255) { last = block; next }
      if (NR > 1) print first * 4096, (last - first + 1) * 4096
      first = last = block }
    END { if (NR) print first * 4096, (last - first + 1) * 4096 }' >changed.list
  while read -r offset length; do
    dd if=after.raw of="new/at-$offset" bs=4096 skip=$((offset / 4096)) count=$((length / 4096)) status=none
    echo "write -s new/at-$offset $offset $length"
  done <changed.list | qemu-io -f raw "$live" >changes.log
  if grep -qi 'fail' changes.log; then fail "writing the changes failed: see $PWD/changes.log"; fi
  rm -f before.raw after.raw new/at-*
}
