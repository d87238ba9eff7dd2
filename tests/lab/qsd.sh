#!/bin/bash
# A qemu-storage-daemon with running disks, for tests: qcow2 disks under `raw` top filters, QMP, NBD.
#
#   qsd.sh start DIR [DISK.qcow2 …]   starts one in DIR and prints what it started, one KEY=VALUE per line
#   qsd.sh stop DIR                   stops it as an operator would (SIGTERM: bitmaps are saved)
#   qsd.sh kill DIR                   kills it as a power cut would (SIGKILL: bitmaps become inconsistent)
#
# Without a DISK, DIR/disk0.qcow2 is made ($QSD_SIZE, default 256M). A DISK that does not exist is made
# too; one that ends in .raw or .img is a raw image. Disk number N has the nodes fileN (protocol), diskN
# (format), topN (the `raw` filter that snapshots are inserted under) and the writable export liveN:
#   nbd+unix:///liveN?socket=DIR/nbd.sock
# QSD_FILTER=no leaves the top filters away: liveN is then diskN itself.
set -euo pipefail

usage() {
  echo "usage: qsd.sh start DIR [DISK.qcow2 ...] | stop DIR | kill DIR" >&2
  exit 2
}

start() {
  local dir=$1 size=${QSD_SIZE:-256M} number=0 disk format top
  shift
  mkdir -p "$dir/scratch"
  dir=$(cd "$dir" && pwd)
  if [[ -s $dir/qsd.pid ]] && kill -0 "$(cat "$dir/qsd.pid")" 2>/dev/null; then
    echo "qsd.sh: one runs in $dir already" >&2
    exit 1
  fi
  rm -f "$dir/qmp.sock" "$dir/nbd.sock" "$dir/qsd.pid"
  (($# > 0)) || set -- "$dir/disk0.qcow2"
  local arguments=(--daemonize --pidfile "$dir/qsd.pid"
    --chardev "socket,id=qmp,path=$dir/qmp.sock,server=on,wait=off" --monitor chardev=qmp
    --nbd-server "addr.type=unix,addr.path=$dir/nbd.sock,max-connections=64")
  local report=("qmp=$dir/qmp.sock" "nbd=$dir/nbd.sock" "scratch=$dir/scratch")
  for disk in "$@"; do
    case $disk in
      *.raw | *.img) format=raw ;;
      *) format=qcow2 ;;
    esac
    [[ -e $disk ]] || qemu-img create -q -f "$format" "$disk" "$size"
    arguments+=(
      --blockdev "driver=file,node-name=file$number,filename=$disk,discard=unmap"
      --blockdev "driver=$format,node-name=disk$number,file=file$number,discard=unmap")
    top=disk$number
    if [[ ${QSD_FILTER:-yes} == yes ]]; then
      top=top$number
      arguments+=(--blockdev "driver=raw,node-name=$top,file=disk$number,discard=unmap")
    fi
    arguments+=(
      --export "type=nbd,id=live$number,node-name=$top,name=live$number,writable=on")
    report+=("disk$number=$disk" "live$number=nbd+unix:///live$number?socket=$dir/nbd.sock")
    number=$((number + 1))
  done
  # The caller may be a pipe or a test that waits for the end of its output: the daemon must not hold it.
  qemu-storage-daemon "${arguments[@]}" </dev/null >"$dir/qsd.log" 2>&1 3>&- || {
    cat "$dir/qsd.log" >&2
    exit 1
  }
  printf '%s\n' "pid=$(cat "$dir/qsd.pid")" "${report[@]}"
}

stop() {
  local dir=$1 signal=$2 pid
  [[ -s $dir/qsd.pid ]] || return 0
  pid=$(cat "$dir/qsd.pid")
  kill "-$signal" "$pid" 2>/dev/null || true
  for _ in {1..300}; do
    # A zombie (nobody reaps in some containers) has stopped as well.
    if ! grep -qs '^State:[[:space:]]*[A-WYa-y]' "/proc/$pid/status"; then
      rm -f "$dir/qsd.pid"
      return 0
    fi
    sleep 0.1
  done
  echo "qsd.sh: process $pid does not stop" >&2
  exit 1
}

(($# >= 2)) || usage
command=$1
shift
case $command in
  start) start "$@" ;;
  stop) stop "$1" TERM ;;
  kill) stop "$1" KILL ;;
  *) usage ;;
esac
