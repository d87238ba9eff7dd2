#!/usr/bin/env bats
# The units under a real systemd (systemd_helpers.bash), hardened as they are, with the real tools: a pass by the timer's
# service, the loop, a credential; an update, and uninstalling. Needs root.
# Break it: leave take_credentials out of update_sync_proxy.sh, or link the units instead of copying them.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

bats_require_minimum_version 1.5.0
load helpers
load install_helpers
load systemd_helpers

setup_file() {
  [ "$(id -u)" = 0 ] || return 0
  command -v systemctl > /dev/null && command -v openssl > /dev/null || return 0
  make_rootfs "$BATS_FILE_TMPDIR/rootfs.tar" systemd
  install_tree "$BATS_FILE_TMPDIR/tree"
}

setup() {
  [ "$(id -u)" = 0 ] || skip "a host of its own needs root"
  need systemctl openssl unshare nsenter
  make_world
  make_key private public
  mkdir "$W/root"
  tar -xf "$BATS_FILE_TMPDIR/rootfs.tar" -C "$W/root"
  booted=0
  boot "$W/root" || booted=$?
  [ $booted != 1 ] || skip "no systemd can be started here: $(tail -n 1 "$W/boot.log")"
  [ $booted = 0 ] || { cat "$W/boot.log" >&2; on_host systemctl --no-pager list-jobs >&2; false; }
  mkdir -p "$R/srv/images"
  cp -a "$BATS_FILE_TMPDIR/tree" "$R/unpacked"
  on_host /unpacked/tools/install_hamal.sh > "$W/install.log" 2>&1 || { cat "$W/install.log" >&2; false; }
  rm -rf "$R/unpacked"
  # Sanitizers look at other processes, which the units do not let them.
  printf '[Service]\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n' | drop_in sanitizers
}
teardown() {
  [ -n "${W:-}" ] || return 0
  shut_down
  end_world
}

drop_in() { # NAME, of both services that make passes
  local unit
  cat > "$W/drop_in"
  for unit in hamal-period hamal-period-loop; do
    mkdir -p "$R/etc/systemd/system/$unit.service.d"
    cp "$W/drop_in" "$R/etc/systemd/system/$unit.service.d/$1.conf"
  done
  on_host systemctl daemon-reload
}
told() { on_host systemctl status --no-pager --full "$1" >&2; on_host journalctl --no-pager -n 20 -u "$1" >&2; return 1; }
same() { cmp "$R/srv/images/web01.raw" "$R"/srv/hamal/web01*.raw; }

@test "a pass by its unit, the loop, a credential, an update that needs it, an end" {
  random_image "$R/srv/images/web01.raw" 1M
  on_host install -d -o hamal -g hamal /srv/hamal
  printf '%s\n' "[platform images]" "type = file" "path = /srv/images" "offline = True" "[job nightly]" \
    "platform = images" "vm = *" "target = file:/srv/hamal/{vm}-{disk}.raw" "interval = 1s" "[period]" "interval = 1s" \
    "[s3 store]" "endpoint = https://127.0.0.1" "bucket = b" "access_key = a" "secret_key = credential:store-secret" \
    >> "$R/etc/hamal/hamal.conf"
  printf 's3cret' > "$R/etc/hamal/store.secret"
  chmod 0600 "$R/etc/hamal/store.secret"
  drop_in credential << 'END'
[Service]
LoadCredential=store-secret:/etc/hamal/store.secret
ExecStartPre=/opt/hamal/bin/hamal-config check --quiet --secrets
END
  # With /opt not mounted yet, as at boot, the units are known.
  on_host sh -c 'mkdir /nothing && mount --bind /nothing /opt && systemctl daemon-reload && ! test -e /opt/hamal'
  has "$(on_host systemctl show -p LoadState hamal-period.timer hamal-period-loop.service)" "LoadState=loaded*LoadState=loaded"
  on_host sh -c 'umount /opt && systemctl daemon-reload'
  # A minute after the boot has long been: the timer starts a pass at once.
  on_host systemctl enable --now hamal-period.timer hamal-heartbeat.timer 2> "$W/err" || told hamal-period.timer
  until_true 60 same || told hamal-period.service
  [ "$(on_host systemctl is-active hamal-period.timer hamal-heartbeat.timer | sort -u)" = active ]
  [ "$(on_host stat -c %U /var/lib/hamal/hamal.db)" = hamal ]
  # The loop instead of the timer, which it ends: passes without being told.
  on_host systemctl start hamal-period-loop.service || told hamal-period-loop.service
  [ "$(on_host systemctl is-active hamal-period.timer)" = inactive ]
  random_image "$R/srv/images/web01.raw" 1M
  until_true 60 same || told hamal-period-loop.service
  # An update: what is asked of the new version needs the secret, as its passes do.
  stub_tree "$W/tree-9.9.9" 9.9.9
  release "$W/tree-9.9.9" 9.9.9
  mkdir "$R/release"
  cp "$W/public.pem" "$RELEASE"* "$R/release"
  capture on_host /opt/hamal/update_sync_proxy.sh -y --key /release/public.pem "/release/${RELEASE##*/}"
  [ "$status" = 0 ] || { show "an update"; told hamal-period-loop.service; }
  has "$out" "what runs (loop) is restarted"
  has "$(cat "$R/var/lib/hamal/hamal_info")" '"hamal": "9.9.9"'
  on_host systemctl is-active hamal-period-loop.service
  run ! on_host test -e /run/hamal-credentials
  capture on_host /opt/hamal/uninstall_hamal.sh -y
  [ "$status" = 0 ] || { show "uninstalled"; false; }
  [ -z "$(on_host systemctl list-unit-files --no-legend 'hamal*')" ]
  run ! on_host systemctl is-active hamal-period-loop.service
  [ -z "$(find "$R/etc/systemd/system" -name '*hamal*.timer')" ]
}
