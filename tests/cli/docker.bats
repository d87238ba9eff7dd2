#!/usr/bin/env bats
# The containers, by a real Docker engine that the test starts: the image from a root file system of this host's packages
# (no registry), a job that syncs a running disk, health that turns when the target breaks or passes stop, and when that is
# mended, a restart that goes on from the state, and an end that leaves nothing.
# Break it: `read_only: true` away (the container can write to /), or stop_grace_period: 0s (snapshots stay held); the
# state away before the restart (it is a full); no --max-age (passes that stop are not seen).
# shellcheck disable=SC2154,SC2030,SC2031 # out, err and status are set by the helpers; each test has its own environment

bats_require_minimum_version 1.5.0
load helpers
load install_helpers

# The engine and the base image, once for the file. Without a bridge for containers that name no network, and no rules of
# iptables: nothing of the host is changed for good.
setup_file() {
  [ "$(id -u)" = 0 ] || return 0
  command -v dockerd > /dev/null && command -v docker-compose > /dev/null || return 0
  # The engine of Debian has no BuildKit of its own.
  export DOCKER_BUILDKIT=0 COMPOSE_DOCKER_CLI_BUILD=0 DOCKER_HOST=unix://$BATS_FILE_TMPDIR/docker.sock
  export CLIENT=/usr/bin/docker
  [ -x "$CLIENT" ] || CLIENT=docker
  dockerd --data-root "$BATS_FILE_TMPDIR/data" --exec-root "$BATS_FILE_TMPDIR/exec" --host "$DOCKER_HOST" \
    --pidfile "$BATS_FILE_TMPDIR/docker.pid" --bridge none --iptables=false --ip6tables=false --ip-forward=false \
    > "$BATS_FILE_TMPDIR/dockerd.log" 2>&1 3>&- &
  echo $! > "$BATS_FILE_TMPDIR/engine"
  # A host that lets nobody make namespaces, say.
  until_true 60 "$CLIENT" info || { tail -n 1 "$BATS_FILE_TMPDIR/dockerd.log" > "$BATS_FILE_TMPDIR/no_engine"; return 0; }
  make_rootfs "$BATS_FILE_TMPDIR/rootfs.tar"
  "$CLIENT" import "$BATS_FILE_TMPDIR/rootfs.tar" debian:bookworm-slim > "$BATS_FILE_TMPDIR/import.log" 2>&1 ||
    { cat "$BATS_FILE_TMPDIR/import.log" >&2; return 1; }
  rm "$BATS_FILE_TMPDIR/rootfs.tar"
}

teardown_file() {
  local engine
  [ -e "$BATS_FILE_TMPDIR/engine" ] || return 0
  engine=$(cat "$BATS_FILE_TMPDIR/engine")
  kill "$engine" 2> /dev/null || true
  until_true 60 has_ended "$engine" || kill -9 "$engine"
  umount "$BATS_FILE_TMPDIR"/exec/netns/* 2> /dev/null || true
}
has_ended() { ! grep -qs '^State:[[:space:]]*[A-WYa-y]' "/proc/$1/status"; }

setup() {
  [ "$(id -u)" = 0 ] || skip "a Docker engine needs root"
  need dockerd docker-compose qemu-storage-daemon openssl
  [ ! -e "$BATS_FILE_TMPDIR/no_engine" ] || skip "no Docker engine starts here: $(cat "$BATS_FILE_TMPDIR/no_engine")"
  make_world
}

teardown() {
  [ -n "${W:-}" ] || return 0
  [ -z "${UP:-}" ] || compose down --timeout 5 > /dev/null 2>&1 || true
  end_world
}

compose() { docker-compose -f "${R:-$W}/opt/hamal/docker-compose-hamal.yaml" "$@" 3>&-; }
in_container() { compose exec -T period "$@"; }
health_is() { compose ps | grep -q "Up ($1)"; }
wait_for_health() {
  until_true 90 health_is "$1" || { compose ps >&2; compose logs --tail 20 >&2; cat "$W"/log/hamal-period.log >&2; return 1; }
}
generation_in_container() {
  in_container hamal-sync checkpoint list --json | grep -o '"generation":[0-9]*' | head -n 1 | cut -d : -f 2
}
above() { [ "$(generation_in_container)" -gt "$1" ]; }
# How many runs copied everything.
fulls() { cat "$W"/log/vm-web_Agent-*.log | grep -c "onto .*: full (.*: done"; }
loop_process() { "$CLIENT" top "$(compose ps -q period)" -eo pid,args | awk '/hamal-period --loop$/ && !/docker-init/ { print $1 }'; }

@test "up, a sync, healthy; a broken target: unhealthy; mended: healthy; restarted: incremental; down" {
  # The version, in a folder of the name that the project gets.
  install_tree "$W/versions/$VERSION"
  mkdir -p "$W/opt"
  ln -s "../versions/$VERSION" "$W/opt/hamal"
  # A running disk, and a configuration for the container's paths.
  start_qsd 1
  chmod -R a+rwX "$W/qsd"
  mkdir -p "$W/etc" "$W/data/replicas" "$W/state"
  printf '%s\n' "[period]" "interval = 1s" "[platform lab]" "type = qemu" "qmp = /run/hamal/qmp.sock" "vm = web" \
    "nbd_socket = /run/hamal/nbd.sock" "scratch_dir = $QSD/scratch" "scratch_min_free = 1M" "[job files]" \
    "platform = lab" "vm = *" "target = file:/srv/hamal/replicas/{vm}-{disk}.raw" "interval = 1s" > "$W/etc/hamal.conf"
  chmod 0640 "$W/etc/hamal.conf"
  chown -R 6426:6426 "$W/etc" "$W/data" "$W/state" "$W/log"
  export HAMAL_ETC=$W/etc HAMAL_LIB=$W/state HAMAL_LOG=$W/log HAMAL_RUN=$QSD HAMAL_DATA=$W/data \
    HAMAL_HEALTH_INTERVAL=1s HAMAL_HEALTH_START=0s HAMAL_HEALTH_OPTIONS="--max-failures 0 --max-age 10s" HAMAL_HOSTNAME=proxy-a
  guest 0 "write -P 1 0 1M"
  UP=yes
  compose up -d > "$W/up.log" 2>&1 || { cat "$W/up.log" >&2; false; }
  wait_for_health healthy
  until_true 60 test -s "$W/data/replicas/web-top0.raw"
  has "$(compose ps)" "hamal_period_1"
  # Least rights: not root, nothing writable but what is given, no capability.
  [ "$(in_container id -u)" = 6426 ]
  run ! in_container touch /usr/bin/x
  has "$(in_container cat /proc/self/status)" "CapEff:	0000000000000000"
  has "$(in_container cat /proc/self/status)" "NoNewPrivs:	1"
  [ "$(in_container uname -n)" = proxy-a ]
  grep -qx 'version: "2.4"' "$W/opt/hamal/docker-compose-hamal.yaml"
  [ "$("$CLIENT" inspect -f '{{.HostConfig.Init}} {{.Config.StopTimeout}} {{.HostConfig.Privileged}}' "$(compose ps -q period)")" = "true 120 false" ]
  # Broken: told by the health check; mended: taken back.
  mv "$W/data/replicas" "$W/data/away"
  wait_for_health unhealthy
  mv "$W/data/away" "$W/data/replicas"
  wait_for_health healthy
  # The same of passes that stop, and go on.
  loop=$(loop_process)
  kill -STOP "$loop"
  wait_for_health unhealthy
  kill -CONT "$loop"
  wait_for_health healthy
  # A restart goes on from the state: the first run was the only full. Runs are rarer then, so that down meets none: one that
  # is stopped in the middle of a copy keeps its snapshot, for the next to go on from.
  sed -i '/^.job files/,$s/^interval = .*/interval = 15s/' "$W/etc/hamal.conf"
  compose restart > "$W/restart.log" 2>&1
  guest 0 "write -P 2 2M 64k"
  wait_for_health healthy
  [ "$(fulls)" = 1 ]
  before=$(generation_in_container)
  until_true 90 above "$before"
  has "$(in_container hamal-period status --json)" '"mode":"incremental"'
  [ "$(fulls)" = 1 ]
  # Down: stopped cleanly, nothing frozen, nothing locked, the replica is the disk.
  compose down > "$W/down.log" 2>&1
  [ -z "$(ours_in_qemu)" ] || { ours_in_qemu >&2; false; }
  [ -z "$("$CLIENT" ps -aq)" ]
  UP=
  [ -z "$(find "$W/state/period" -type f)" ]
  qemu-img compare -q -f raw -F raw "nbd+unix:///live0?socket=$QSD/nbd.sock" "$W/data/replicas/web-top0.raw"
}

@test "an update in containers: the new version runs and is healthy; one that is not is taken back" {
  make_key private public
  installed_root without_systemd
  # The state is where the site has it, which tells the scripts in compose.env; passes need a secret that a second file
  # mounts, and so does all that an update asks: no tool of the host has it.
  mv "$R/var/lib/hamal" "$W/state"
  mkdir "$W/secrets"
  echo hush > "$W/secrets/store"
  echo "secret_key = credential:store" >> "$R/etc/hamal/hamal.conf"
  chown -R 6426:6426 "$W/state" "$R/var/log/hamal" "$R/etc/hamal" "$W/secrets"
  printf '%s\n' "HAMAL_ETC=$R/etc/hamal" "HAMAL_LIB=$W/state" "HAMAL_LOG=$R/var/log/hamal" "HAMAL_RUN=$W/run" \
    "HAMAL_DATA=$W/data" HAMAL_HEALTH_INTERVAL=1s HAMAL_HEALTH_START=0s >> "$R/etc/hamal/compose.env"
  printf '%s\n' 'version: "2.4"' "services:" "  period:" "    environment:" "      CREDENTIALS_DIRECTORY: /secrets" "    volumes:" \
    "      - $W/secrets:/secrets:ro" > "$R/etc/hamal/docker-compose-site.yaml"
  compose() {
    docker-compose --env-file "$R/etc/hamal/compose.env" -p hamal -f "$R/opt/hamal/docker-compose-hamal.yaml" \
      -f "$R/etc/hamal/docker-compose-site.yaml" "$@" 3>&-
  }
  PATH=$(dirname "$CLIENT"):$PATH
  UP=yes
  compose up -d > "$W/up.log" 2>&1 || { cat "$W/up.log" >&2; false; }
  wait_for_health healthy
  stub_tree "$W/tree-1.1.0" 1.1.0
  release "$W/tree-1.1.0" 1.1.0
  # A dry run tries it in the image that is there, and builds none. The test before left one of its version.
  images=$("$CLIENT" images --format '{{.Repository}}:{{.Tag}} {{.ID}}' | sort)
  has "$images" "hamal:1.0.0 "
  capture "$R/opt/hamal/update_sync_proxy.sh" --dry-run "$RELEASE"
  [ "$status" = 0 ] || { show "a dry run"; false; }
  mv "$W/state/hamal.db" "$W/hamal.db"
  capture "$R/opt/hamal/update_sync_proxy.sh" --dry-run "$RELEASE"
  [ "$status" = 1 ]
  has "$err" "version 1.1.0 cannot use the state"
  mv "$W/hamal.db" "$W/state/hamal.db"
  [ "$("$CLIENT" images --format '{{.Repository}}:{{.Tag}} {{.ID}}' | sort)" = "$images" ]
  capture "$R/opt/hamal/update_sync_proxy.sh" -y "$RELEASE"
  [ "$status" = 0 ] || { show "an update"; false; }
  works 1.1.0
  has "$("$CLIENT" ps --format '{{.Image}}')" "hamal:1.1.0"
  has "$(in_container env)" "CREDENTIALS_DIRECTORY=/secrets"
  wait_for_health healthy
  # A version whose passes do not work.
  # shellcheck disable=SC2016 # for the script
  STUB_FAULT='[ "$1" != --version ] || { echo "hamal-period 1.2.0"; exit 0; }; exit 1' stub_tree "$W/tree-1.2.0" 1.2.0
  release "$W/tree-1.2.0" 1.2.0
  capture "$R/opt/hamal/update_sync_proxy.sh" -y "$RELEASE"
  [ "$status" = 1 ] || { show "taken back"; false; }
  works 1.1.0
  grep -qx "kept state" "$W/state/hamal.db"
  [ ! -e "$R/var/lib/hamal" ]
  wait_for_health healthy
  has "$("$CLIENT" ps --format '{{.Image}}')" "hamal:1.1.0"
  # A sync that runs is found in the site's folder.
  lock_file "$W/state/locks/target-x.lock"
  fails 4 "a sync is running (target-x" "$R/opt/hamal/uninstall_hamal.sh" -y
  # shellcheck disable=SC2086 # words
  kill $LOCKER
  until_true 60 flock --nonblock "$W/state/locks/target-x.lock" true
  succeeds "$R/opt/hamal/uninstall_hamal.sh" --dry-run
  has "$out" "would run: quietly docker image rm hamal:1.1.0"
  # Stopped containers are hamal's, too; an image of the name that was not built for it is not.
  compose stop > "$W/stop.log" 2>&1
  "$CLIENT" tag debian:bookworm-slim hamal:other
  echo 75 > "$W/state/platform"
  capture "$R/opt/hamal/uninstall_hamal.sh" -y
  [ "$status" = 1 ] || { show "uninstalled"; false; }
  has "$out" "lab could not be asked for snapshots of hamal, which may be left there"
  [ -z "$("$CLIENT" ps -aq)" ]
  [ "$("$CLIENT" images hamal --format '{{.Tag}}')" = other ]
  [ -z "$("$CLIENT" network ls -q --filter label=com.docker.compose.project=hamal)" ]
  UP=
}
