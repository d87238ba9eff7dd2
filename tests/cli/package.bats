#!/usr/bin/env bats
# The .deb of this build, installed by dpkg into a root of its own: what lies where, whose it is, a run by the user
# hamal, an upgrade, a removal. Needs root, for the chroot.
# Break it: leave useradd out of install_hamal.sh, or the conffiles out of the package, or rm -rf more in postrm.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

bats_require_minimum_version 1.5.0
load helpers
load install_helpers

# Both once for the file: they take most of the time.
setup_file() {
  [ "$(id -u)" = 0 ] || return 0
  command -v dpkg-shlibdeps > /dev/null && command -v openssl > /dev/null || return 0
  pack "$BATS_FILE_TMPDIR"
  make_rootfs "$BATS_FILE_TMPDIR/rootfs.tar"
}

# cpack asks dpkg-shlibdeps about every binary, which takes it half a minute for those with sanitizers: here it is asked
# about the one that is linked to all.
pack() {
  local needs
  mkdir -p "$1/debian"
  printf 'Source: hamal\nPackage: hamal\n' > "$1/debian/control"
  needs=$(cd "$1" && dpkg-shlibdeps -O "$HAMAL_BIN/hamal-sync" 2> "$1/shlibdeps.log" | sed 's/^shlibs:Depends=//')
  needs="$(sed -n 's/^set(CPACK_DEBIAN_PACKAGE_DEPENDS "\(.*\)")$/\1/p' "$BUILD/CPackConfig.cmake"), $needs"
  (cd "$1" && cpack --config "$BUILD/CPackConfig.cmake" -B "$1" -G DEB -D CPACK_DEBIAN_COMPRESSION_TYPE=zstd \
    -D CPACK_DEBIAN_PACKAGE_SHLIBDEPS=OFF -D CPACK_DEBIAN_PACKAGE_DEPENDS="$needs") \
    > "$1/cpack.log" 2>&1 || { cat "$1/cpack.log" >&2; return 1; }
}

setup() {
  [ "$(id -u)" = 0 ] || skip "a chroot needs root"
  need dpkg-deb dpkg-shlibdeps cmake openssl
  make_world
  DEB=$(ls "$BATS_FILE_TMPDIR"/hamal_*.deb)
  R=$W/root
  mkdir "$R"
  tar -xf "$BATS_FILE_TMPDIR/rootfs.tar" -C "$R"
}
teardown() { [ -z "${W:-}" ] || end_world; }

# inside COMMAND…: in the root, with /proc and the few devices that programs expect, gone with the command.
inside() {
  # shellcheck disable=SC2016 # for the inner shell
  unshare --mount --fork sh -c 'mount -t proc proc "$0/proc" && mount -t tmpfs tmpfs "$0/dev" &&
    for one in null zero random urandom; do touch "$0/dev/$one" && mount --bind "/dev/$one" "$0/dev/$one"; done &&
    ln -s /proc/self/fd "$0/dev/fd" &&
    exec chroot "$0" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"' "$R" "$@"
}
as_hamal() { inside setpriv --reuid=hamal --regid=hamal --init-groups "$@"; }
mode() { stat -c '%a %U:%G' "$R/$1" | sed "s/ .*//"; }
owner() { inside stat -c '%U:%G' "/$1"; }

put_in() { inside dpkg --install "/${1##*/}" > "$W/dpkg.log" 2>&1 || { cat "$W/dpkg.log" >&2; return 1; }; }

@test "the package says what it needs, and lintian finds no error" {
  fields=$(dpkg-deb --field "$DEB")
  has "$fields" "Version: $VERSION"
  # No address of somebody who has not built it.
  has "$fields" "Maintainer: An unofficial build of Hamal <no-maintainer@hamal.invalid>"
  for library in libcurl4 libnbd0 libsoci-core4.0 libspdlog1.10 libzstd1 libc6; do
    has "$fields" "$library"
  done
  grep -qx 'set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS "ON")' "$BUILD/CPackConfig.cmake"
  # The container's list of packages has all that the package depends on, but for what is there anyway.
  for library in $(sed -n 's/^Depends: //p' <<< "$fields" | tr ',' '\n' | sed 's/ *(.*//; s/|.*//' | grep -o 'lib[^ ]*'); do
    case $library in libc6 | libgcc-s1 | libasan* | libubsan* | libtsan*) continue ;; esac
    library=${library%-fmt9} # which libspdlog provides
    grep -qx "$library" "$HAMAL_SOURCE/scripts/docker/packages" || { echo "not in the image: $library" >&2; false; }
  done
  dpkg-deb --ctrl-tarfile "$DEB" | tar -xO ./conffiles | grep -qx /etc/hamal/hamal.conf
  need lintian
  # Debian's archive takes no zstd, which is quick here; what cpack makes by itself is xz.
  lintian --fail-on error --allow-root --suppress-tags malformed-deb-archive "$DEB" > "$W/lintian" 2>&1 || { cat "$W/lintian" >&2; false; }
}

@test "installed: the layout, its owners, a run by hamal; upgraded; removed; purged" {
  cp "$DEB" "$R/hamal.deb"
  put_in hamal.deb
  # The layout.
  [ "$(readlink "$R/opt/hamal")" = "hamal-versions/$VERSION" ]
  for name in bin/hamal-sync etc/hamal.conf tools/install_hamal.sh man/man7/hamal.7 version changelog \
    docker-compose-hamal.yaml update_sync_proxy.sh uninstall_hamal.sh systemd/hamal-period.timer docker/Dockerfile \
    completions/hamal.bash manifest; do
    [ -e "$R/opt/hamal-versions/$VERSION/$name" ] || { echo "$name is missing" >&2; false; }
  done
  [ "$(cat "$R/opt/hamal-versions/$VERSION/version")" = "$VERSION" ]
  cmp "$R/etc/hamal/hamal.conf" "$HAMAL_SOURCE/scripts/etc/hamal.conf"
  inside sh -c 'cd /opt/hamal && sha256sum --check --quiet --strict manifest'
  # Whose it is.
  [ "$(owner etc/hamal/hamal.conf) $(mode etc/hamal/hamal.conf)" = "root:hamal 640" ]
  [ "$(owner var/lib/hamal) $(mode var/lib/hamal)" = "hamal:hamal 750" ]
  [ "$(owner var/log/hamal) $(mode var/log/hamal)" = "hamal:hamal 750" ]
  inside getent passwd hamal | grep -q ':6426:6426:.*:/var/lib/hamal:/usr/sbin/nologin$'
  # Found where one looks.
  for tool in $HAMAL_TOOLS; do
    [ "$(inside "$tool" --version)" = "$tool $VERSION" ]
    [ -s "$R/opt/hamal-versions/$VERSION/man/man1/$tool.1" ]
    [ "$(readlink "$R/usr/share/man/man1/$tool.1")" = "/opt/hamal/man/man1/$tool.1" ]
    [ -L "$R/usr/share/bash-completion/completions/$tool" ]
  done
  for name in lib/systemd/system/hamal-period.timer lib/tmpfiles.d/hamal.conf; do
    [ -f "$R/usr/$name" ] && [ ! -L "$R/usr/$name" ]
  done
  [ "$(owner srv/hamal) $(owner run/hamal)" = "hamal:hamal hamal:hamal" ]
  has "$(cat "$W/dpkg.log")" "this version has no release key"
  # What this host lacks is told, and installing did not fail for it.
  has "$(cat "$W/dpkg.log")" "check_host.sh: "
  # A run.
  mkdir -p "$R/srv/images"
  random_image "$R/srv/images/web01.raw" 1M
  printf '%s\n' "[platform images]" "type = file" "path = /srv/images" "offline = True" "[job nightly]" \
    "platform = images" "vm = *" "target = file:/srv/hamal/{vm}-{disk}.raw" "interval = 1h" >> "$R/etc/hamal/hamal.conf"
  as_hamal hamal-config check --quiet
  as_hamal hamal-period
  cmp "$R/srv/images/web01.raw" "$R"/srv/hamal/web01*.raw
  [ "$(as_hamal hamal-period health)" = healthy ]
  [ "$(owner var/lib/hamal/hamal.db)" = hamal:hamal ]
  # An update by the script, beside the package: its files stay the package's.
  make_key private public
  stub_tree "$W/tree-2.0.0" 2.0.0
  release "$W/tree-2.0.0" 2.0.0
  mkdir "$R/release"
  cp "$W/public.pem" "$RELEASE"* "$R/release"
  fails 2 "knows no release key" inside /opt/hamal/update_sync_proxy.sh -y "/release/${RELEASE##*/}"
  capture inside /opt/hamal/update_sync_proxy.sh -y --key /release/public.pem "/release/${RELEASE##*/}"
  [ "$status" = 0 ] || { show "an update"; false; }
  has "$out" "dpkg goes on to show the version that the package brought"
  [ "$(readlink "$R/opt/hamal")" = hamal-versions/2.0.0 ]
  [ "$(inside hamal-sync --version)" = "hamal-sync 2.0.0" ]
  [ -x "$R/opt/hamal-versions/$VERSION/bin/hamal-sync" ]
  # A newer one: /opt/hamal leads somewhere at every moment, the edited configuration stays.
  newer_deb "$W/newer" 9.9.9
  # Not while an update runs: told before anything is unpacked, and by uninstalling as well.
  # Break it: leave preinst out of the package, or take_update_lock out of remove_package.
  lock=$R/opt/hamal-versions/update.lock
  lock_file "$lock"
  run ! inside dpkg --install /hamal-newer.deb
  has "$output" "an update is running"
  [ "$(readlink "$R/opt/hamal")" = hamal-versions/2.0.0 ]
  [ ! -e "$R/opt/hamal-versions/9.9.9" ]
  [ -x "$R/opt/hamal-versions/$VERSION/bin/hamal-sync" ]
  fails 4 "another update is running" inside "/opt/hamal-versions/$VERSION/uninstall_hamal.sh" -y
  # shellcheck disable=SC2086 # words
  kill $LOCKER
  until_true 60 flock --nonblock "$lock" true
  # The new version's script, where the old one's failed: the upgrade did.
  run ! inside /var/lib/dpkg/info/hamal.postrm failed-upgrade 9.9.9
  # Nobody else may open the lock, whoever makes it.
  rm "$lock"
  put_in hamal-newer.deb
  [ "$(mode opt/hamal-versions/update.lock)" = 600 ]
  [ "$(readlink "$R/opt/hamal")" = hamal-versions/9.9.9 ]
  [ ! -e "$R/opt/hamal-versions/$VERSION" ]
  grep -q '^\[job nightly\]' "$R/etc/hamal/hamal.conf"
  [ "$(as_hamal hamal-period health)" = healthy ]
  # A removal asks, and refuses while a sync runs, by dpkg itself, too.
  fails 1 "not confirmed" inside /opt/hamal/uninstall_hamal.sh < /dev/null
  lock_file "$R/var/lib/hamal/locks/target-x.lock"
  fails 4 "a sync is running (target-x" inside /opt/hamal/uninstall_hamal.sh -y
  run ! inside dpkg --remove hamal
  [ "$(inside hamal-sync --version)" = "hamal-sync $VERSION" ]
  # Removed: nothing of it is left but what is the operator's.
  succeeds inside /opt/hamal/uninstall_hamal.sh --dry-run
  has "$out" "would run: dpkg --remove hamal, which does:"
  capture inside /opt/hamal/uninstall_hamal.sh -y --force
  [ "$status" = 0 ] || { show "removed"; false; }
  # shellcheck disable=SC2016 # dpkg's
  [ "$(inside dpkg-query -W -f '${db:Status-Status}' hamal)" = config-files ]
  [ ! -e "$R/opt/hamal" ] && [ ! -L "$R/opt/hamal" ]
  [ ! -e "$R/opt/hamal-versions" ]
  [ -z "$(find "$R/usr" "$R/lib" "$R/etc/systemd" -name '*hamal*' ! -path '*/doc/*' 2> /dev/null)" ]
  [ -s "$R/var/lib/hamal/hamal.db" ]
  grep -q '^\[job nightly\]' "$R/etc/hamal/hamal.conf"
  # Of an archive that is installed then, dpkg knows nothing.
  stub_tree "$R/archive" 3.0.0
  inside /archive/tools/install_hamal.sh > "$W/install.log" 2>&1
  [ "$(inside hamal-sync --version)" = "hamal-sync 3.0.0" ]
  capture inside /opt/hamal/uninstall_hamal.sh -y --force
  [ "$status" = 0 ] || { show "of an archive"; false; }
  [ ! -e "$R/opt/hamal-versions" ]
  # A replica and a key in hamal's own folders stay, and nothing else does.
  touch "$R/var/lib/hamal/web01.raw" "$R/etc/hamal/repository.key"
  inside dpkg --purge hamal > "$W/dpkg.log" 2>&1
  has "$(cat "$W/dpkg.log")" "stays, it is not known to be only hamal's: /var/lib/hamal/web01.raw"
  [ "$(find "$R/etc/hamal" "$R/var/lib/hamal" -printf '%f ')" = "hamal repository.key hamal web01.raw " ]
  [ ! -e "$R/var/log/hamal" ]
  [ -s "$(ls "$R"/srv/hamal/web01*.raw)" ]
}

# Break it: leave a file out of HamalInstall.cmake, credentials.sh, say.
@test "the archive that cpack makes: installed, a pass by hamal, removed" {
  cpack --config "$BUILD/CPackConfig.cmake" -B "$W/archive" -G TGZ > "$W/cpack.log" 2>&1 || { cat "$W/cpack.log" >&2; false; }
  mkdir -p "$R/unpacked" "$R/srv/images"
  tar -xzf "$W/archive/hamal-$VERSION-linux-$(uname -m).tar.gz" -C "$R/unpacked"
  capture inside "/unpacked/hamal-$VERSION-linux-$(uname -m)/tools/install_hamal.sh"
  [ "$status" = 0 ] || { show "installed"; false; }
  rm -rf "$R/unpacked"
  [ "$(readlink "$R/opt/hamal")" = "hamal-versions/$VERSION" ]
  for tool in $HAMAL_TOOLS; do
    [ "$(inside "$tool" --version)" = "$tool $VERSION" ]
  done
  random_image "$R/srv/images/web01.raw" 1M
  printf '%s\n' "[platform images]" "type = file" "path = /srv/images" "offline = True" "[job nightly]" \
    "platform = images" "vm = *" "target = file:/srv/hamal/{vm}-{disk}.raw" "interval = 1h" >> "$R/etc/hamal/hamal.conf"
  as_hamal hamal-period
  cmp "$R/srv/images/web01.raw" "$R"/srv/hamal/web01*.raw
  capture inside uninstall_hamal.sh -y
  [ "$status" = 0 ] || { show "removed"; false; }
  [ ! -e "$R/opt/hamal-versions" ] && [ ! -L "$R/opt/hamal" ]
  [ -z "$(find "$R/usr" -name '*hamal*')" ]
  cmp "$R/srv/images/web01.raw" "$R"/srv/hamal/web01*.raw
}

# newer_deb FOLDER VERSION: the same package under another version; into the root.
newer_deb() {
  dpkg-deb --raw-extract "$DEB" "$1"
  mv "$1/opt/hamal-versions/$VERSION" "$1/opt/hamal-versions/$2"
  echo "$2" > "$1/opt/hamal-versions/$2/version"
  (cd "$1/opt/hamal-versions/$2" && cut -c 67- manifest | xargs sha256sum > "$W/manifest" && mv "$W/manifest" manifest)
  sed -i "s/^Version: .*/Version: $2/" "$1/DEBIAN/control"
  rm -f "$1/DEBIAN/md5sums"
  dpkg-deb -Znone --build --root-owner-group "$1" "$R/hamal-newer.deb" > /dev/null
}
