# shellcheck shell=bash
# A real systemd as the first process of a host of its own: namespaces and a root file system of this host's packages. Needs
# root, and a kernel that lets a control group be handed over.

# The folder of control groups, where the one of the test is made.
cgroups() { findmnt -n -o TARGET -t cgroup2 | head -n 1; }

# boot ROOT: systemd in it; its process in $INIT. 1, with the reason in $W/boot.log, where this host lets none be started;
# 2 where it runs and does not come up.
boot() {
  local unit top
  R=$1
  top=$(cgroups)
  CGROUP=$top/hamal-test.$$
  [ -n "$top" ] || { echo "there are no control groups" > "$W/boot.log"; return 1; }
  mkdir "$CGROUP" 2> "$W/boot.log" || return 1
  # What would change the kernel that it shares with this host, or waits for devices that it has not got.
  mkdir -p "$R/etc/systemd/system"
  for unit in systemd-sysctl.service systemd-modules-load.service systemd-remount-fs.service systemd-binfmt.service \
    dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount \
    proc-sys-fs-binfmt_misc.automount systemd-timesyncd.service systemd-udevd.service systemd-udev-trigger.service \
    console-getty.service systemd-firstboot.service; do
    ln -sf /dev/null "$R/etc/systemd/system/$unit"
  done
  : > "$R/etc/machine-id"
  cat > "$W/boot" << 'END'
set -e
echo $$ > "$2/cgroup.procs"
exec unshare --cgroup sh -ec '
mount --make-rprivate /
mount --bind "$1" "$1"
for place in run tmp dev; do mount -t tmpfs -o mode=0755 tmpfs "$1/$place"; done
chmod 1777 "$1/tmp"
mount -t proc proc "$1/proc"
mount --bind "$1/proc/sys" "$1/proc/sys"
mount -o remount,bind,ro "$1/proc/sys"
mount -t sysfs -o ro sysfs "$1/sys"
for device in null zero full random urandom tty; do touch "$1/dev/$device"; mount --bind "/dev/$device" "$1/dev/$device"; done
ln -s /proc/self/fd "$1/dev/fd"
mkdir "$1/dev/shm" "$1/dev/pts"
mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup"
# Credentials are mounted by a process with mounts of its own.
mount --make-rshared "$1"
exec chroot "$1" env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --log-target=console \
  --log-level=notice --unit=multi-user.target' boot "$1"
END
  unshare --pid --mount --uts --ipc --net --fork --kill-child sh "$W/boot" "$R" "$CGROUP" > "$W/boot.log" 2>&1 3>&- &
  stop_later $!
  UNSHARE=$!
  until_true 30 pgrep -P "$UNSHARE" || return 1
  INIT=$(pgrep -P "$UNSHARE")
  until_true 60 is_up_or_gone || return 2
  kill -0 "$UNSHARE" 2> /dev/null
}
is_up_or_gone() { ! kill -0 "$UNSHARE" 2> /dev/null || is_up; }
is_up() { [[ "$(on_host systemctl is-system-running 2> /dev/null)" =~ ^(running|degraded)$ ]]; }

# on_host COMMAND…: as its root.
on_host() {
  nsenter --target "$INIT" --mount --pid --uts --ipc --net --cgroup --root --wd \
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"
}

shut_down() {
  [ -z "${INIT:-}" ] || kill -9 "$INIT" 2> /dev/null || true
  [ -z "${UNSHARE:-}" ] || wait "$UNSHARE" 2> /dev/null || true
  [ ! -d "${CGROUP:-/none}" ] || until_true 30 remove_cgroup
}
remove_cgroup() { find "$CGROUP" -depth -type d -exec rmdir {} +; }
