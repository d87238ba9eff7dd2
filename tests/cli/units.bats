#!/usr/bin/env bats
# The units for systemd: systemd itself finds nothing wrong in them, little is exposed, secrets can be handed over, and
# in a root they can be enabled. How they run is in systemd.bats.
# Break it: take CapabilityBoundingSet= out of a service, or misspell a key.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers

UNITS=$HAMAL_SOURCE/scripts/systemd

setup() { make_world; }
teardown() { end_world; }

# A root as install_hamal.sh leaves it, with the unit files of systemd that ours name.
make_root() {
  R=$W/root
  mkdir -p "$R/usr/lib/systemd/system" "$R/opt/hamal/bin" "$R/bin" "$R/etc"
  cp "$UNITS"/*.service "$UNITS"/*.timer "$R/usr/lib/systemd/system"
  for name in network-online.target timers.target multi-user.target sysinit.target basic.target shutdown.target \
    time-sync.target time-set.target network.target tmp.mount -.mount system.slice; do
    printf '[Unit]\nDescription=stand-in\n' > "$R/usr/lib/systemd/system/$name"
  done
  printf '[Mount]\nWhat=tmpfs\nWhere=/tmp\n' >> "$R/usr/lib/systemd/system/tmp.mount"
  rm "$R/usr/lib/systemd/system/-.mount"
  printf '#!/bin/sh\n' > "$R/bin/sh"
  cp "$R/bin/sh" "$R/opt/hamal/bin/hamal-period"
  cp "$R/bin/sh" "$R/opt/hamal/bin/hamal-heartbeat"
  chmod +x "$R"/opt/hamal/bin/* "$R/bin/sh"
}

@test "systemd finds nothing wrong in them" {
  need systemd-analyze
  make_root
  for unit in "$UNITS"/*.service "$UNITS"/*.timer; do
    capture systemd-analyze verify --man=no --recursive-errors=no --root="$R" "${unit##*/}"
    if [ "$status" != 0 ] || grep -q "hamal-.*:[0-9]*:" "$W/err"; then show "${unit##*/}"; false; fi
  done
}

@test "little is exposed: 3.0 at most" {
  need systemd-analyze
  systemd-analyze security --help | grep -q -- --offline || skip "this systemd-analyze cannot judge a file"
  for unit in "$UNITS"/*.service; do
    systemd-analyze security --offline=true --threshold=30 --no-pager "$unit" > "$W/security" ||
      { tail -n 1 "$W/security" >&2; false; }
  done
}

@test "every service runs as hamal, and stops as cleanly as a run needs" {
  for unit in "$UNITS"/*.service; do
    grep -qx 'User=hamal' "$unit"
    grep -qx 'NoNewPrivileges=yes' "$unit"
    grep -qx 'StateDirectory=hamal' "$unit"
    grep -qx 'LogsDirectory=hamal' "$unit"
    # Where these are file systems of their own, they are mounted first.
    grep -qx 'RequiresMountsFor=/opt/hamal /var/lib/hamal /var/log/hamal' "$unit"
  done
  # The heartbeat reports this host's addresses, which getifaddrs gets by netlink.
  grep -q '^RestrictAddressFamilies=.*AF_NETLINK' "$UNITS/hamal-heartbeat.service"
  for unit in "$UNITS"/hamal-period*.service; do
    grep -qx 'TimeoutStopSec=2min' "$unit"
    grep -qx 'KillMode=mixed' "$unit"
  done
}

@test "in a root they are enabled and disabled, and stay" {
  need systemctl
  make_root
  systemctl --root="$R" enable hamal-period.timer hamal-heartbeat.timer 2> "$W/err"
  [ "$(systemctl --root="$R" is-enabled hamal-period.timer)" = enabled ]
  [ -L "$R/etc/systemd/system/timers.target.wants/hamal-heartbeat.timer" ]
  systemctl --root="$R" disable hamal-period.timer 2> "$W/err"
  [ ! -e "$R/etc/systemd/system/timers.target.wants/hamal-period.timer" ]
  [ -f "$R/usr/lib/systemd/system/hamal-period.timer" ]
}

# What LoadCredential= hands over is what `credential:NAME` reads (systemd sets CREDENTIALS_DIRECTORY).
@test "a credential is read, and the configuration that names one is complete without any secret in it" {
  printf '%s\n' "[s3 store]" "endpoint = https://127.0.0.1" "bucket = b" "access_key = a" \
    "secret_key = credential:store-secret" >> "$HAMAL_CONFIG"
  fails 2 "no systemd credentials" hamal-config check --secrets
  mkdir "$W/credentials"
  CREDENTIALS_DIRECTORY=$W/credentials fails 2 "store-secret" hamal-config check --secrets
  printf 's3cret' > "$W/credentials/store-secret"
  CREDENTIALS_DIRECTORY=$W/credentials succeeds hamal-config check --secrets
  has "$out" "secret_key = credential:store-secret"
  [[ $out != *s3cret* ]]
}
