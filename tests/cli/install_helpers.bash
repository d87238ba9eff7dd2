# shellcheck shell=bash
# What the tests of installing share. A folder of the version that this build installs, and roots to install it into.

# shellcheck disable=SC2034 # for the tests
BUILD=$(dirname "$HAMAL_BIN")
# shellcheck disable=SC2034
VERSION=$(sed -n 's/^project(hamal VERSION \([0-9.]*\).*/\1/p' "$HAMAL_SOURCE/CMakeLists.txt")

# The whole version, as cmake installs it, in $1; a test without a whole build is no test of it.
install_tree() {
  [ -f "$BUILD/CMakeCache.txt" ] || skip "$BUILD is no build folder"
  mkdir -p "$1"
  cmake --install "$BUILD" --prefix "$1" > "$1.log" 2>&1 || { cat "$1.log" >&2; return 1; }
}

# The sanitizers' libraries, where this build has them.
sanitizers() { ldd "$HAMAL_BIN/hamal-sync" | grep -oE 'lib(asan|ubsan|tsan)\.so\.[0-9]+' | sed -E 's/\.so\.//'; }

# make_rootfs TAR [PACKAGE…]: a root file system with what the package depends on.
make_rootfs() {
  local packages output=$1
  shift
  mapfile -t packages < <(cat "$HAMAL_SOURCE/scripts/docker/packages"; sanitizers)
  "$HAMAL_SOURCE/tests/lab/rootfs.py" "$output" "${packages[@]}" "$@" passwd util-linux openssl
}

# stub_tree FOLDER VERSION: a version with all that the scripts use, and tools of a few lines: what the scripts do with
# them is tested, and copied and hashed a hundred times. $STUB_FAULT names a tool that fails.
stub_tree() {
  local tree=$1 tool
  mkdir -p "$tree"/{bin,etc,tools,man/man1,systemd,completions,docker}
  echo "$2" > "$tree/version"
  echo "$2" > "$tree/changelog"
  for tool in $HAMAL_TOOLS; do
    sed "s/@VERSION@/$2/; s/@TOOL@/$tool/" > "$tree/bin/$tool" << 'END'
#!/bin/bash
# A stand-in: knows its version, where the state is, and whether it is meant to fail.
export HAMAL_CONFIG=${HAMAL_CONFIG:-/etc/hamal/hamal.conf}
root=${HAMAL_CONFIG%/etc/hamal/hamal.conf}
[ "$1" != --version ] || { echo "@TOOL@ @VERSION@"; exit 0; }
# As the real ones do it: without its secret none works.
secret=$(sed -n 's/.*= credential://p' "$HAMAL_CONFIG" | head -n 1)
[ -z "$secret" ] || [ "$1" = get ] || cat "$CREDENTIALS_DIRECTORY/$secret" > "/dev/null" || exit 2
case "@TOOL@ $*" in
  "hamal-config get DEFAULT hamal_lib_dir") sed -n 's/^hamal_lib_dir = //p' "$HAMAL_CONFIG" | grep . || echo /var/lib/hamal/ ;;
  "hamal-config get DEFAULT log_dir") echo /var/log/hamal ;;
  "hamal-config get DEFAULT hamal_info_path") echo /var/lib/hamal/hamal_info ;;
  "hamal-config check --json") echo '{"keys":[{"section":"platform lab"},'
    sed -n 's/^target = \(.*\)/{"section":"job x","key":"target","value":"\1"}/p' "$HAMAL_CONFIG"; echo ']}' ;;
  "hamal-config check --quiet --state") grep -qa "^kept\|^SQLite" "$root/var/lib/hamal/hamal.db" ;;
  "hamal-config check --quiet"*) grep -q "^kept\|^\[job" "$HAMAL_CONFIG" ;;
  "hamal-sync checkpoint list") grep -qa "^kept\|^SQLite" "$root/var/lib/hamal/hamal.db" ;;
  "hamal-period health") [ "$(cat "$root/var/lib/hamal/health" 2> /dev/null || echo 0)" = 0 ] ;;
  "hamal-snapshot "*) exit "$(cat "$root/var/lib/hamal/platform" 2> /dev/null || echo 0)" ;;
  "hamal-period --loop")
    trap 'exit 143' TERM
    while sleep 0.5; do "$0"; done ;;
  "hamal-period ")
    printf '{\n  "hamal": "@VERSION@",\n  "started": "x",\n  "last_pass": {\n    "started": "%s",\n    "failed": 0\n  }\n}\n' \
      "$(date -u +%FT%TZ)" > "$root/var/lib/hamal/hamal_info" ;;
  *) exit 2 ;;
esac
END
    chmod +x "$tree/bin/$tool"
    echo ".Dd" > "$tree/man/man1/$tool.1"
  done
  if [ -n "${STUB_FAULT:-}" ]; then printf '#!/bin/sh\n%s\n' "$STUB_FAULT" > "$tree/bin/hamal-period"; fi
  cp "$HAMAL_SOURCE"/{update_sync_proxy.sh,uninstall_hamal.sh} "$tree"
  cp "$HAMAL_SOURCE"/scripts/install/* "$tree/tools"
  cp "$HAMAL_SOURCE"/scripts/etc/hamal.conf "$HAMAL_SOURCE"/scripts/docker/compose.env "$tree/etc"
  cp "$HAMAL_SOURCE"/scripts/systemd/* "$tree/systemd"
  cp "$HAMAL_SOURCE"/scripts/docker/{Dockerfile,packages} "$tree/docker"
  sed "s/@PROJECT_VERSION@/$2/" "$HAMAL_SOURCE/scripts/docker/docker-compose-hamal.yaml" > "$tree/docker-compose-hamal.yaml"
  touch "$tree/completions/hamal.bash" "$tree/completions/_hamal"
  cp "$W/public.pem" "$tree/etc/hamal-release.pem"
  list_files "$tree"
}

# list_files TREE: its manifest.
list_files() {
  (cd "$1" && rm -f manifest && find . -type f -printf '%P\n' | sort | xargs sha256sum > "$W/manifest" &&
    mv "$W/manifest" manifest)
}

make_key() {
  openssl ecparam -genkey -name prime256v1 -noout -out "$W/$1.pem" 2> /dev/null
  openssl pkey -in "$W/$1.pem" -pubout -out "$W/${2:-$1-public}.pem"
}

# release TREE VERSION [KEY]: a signed archive of it; its path in $RELEASE.
release() {
  local name=hamal-$2-linux-x86_64
  mkdir -p "$W/releases"
  rm -rf "$W/releases/$name"
  cp -a "$1" "$W/releases/$name"
  tar -czf "$W/releases/$name.tar.gz" -C "$W/releases" "$name"
  rm -rf "$W/releases/$name"
  RELEASE=$W/releases/$name.tar.gz
  "$HAMAL_SOURCE/scripts/make_release" --key "${3:-$W/private.pem}" --sign "$RELEASE" > /dev/null
}

# A systemd of a few lines, by the name of systemctl: the timer is active, or what $1/form says; what starts the service, or
# the loop, makes a pass.
fake_systemctl() {
  mkdir -p "$W/fake" "$1/run/systemd/system"
  sed "s|@ROOT@|$1|; s|@LOG@|$W/systemctl.log|" > "$W/fake/systemctl" << 'END'
#!/bin/bash
echo "$*" >> "@LOG@"
root=@ROOT@
case "$*" in
  "cat hamal-period.service") cat "$root/opt/hamal/systemd/hamal-period.service" "$root/drop_in" 2> /dev/null ;;
  is-enabled*) exit 1 ;;
  "is-active --quiet hamal-period.timer") [ ! -e "$root/inactive" ] && [ ! -e "$root/form" ] ;;
  "is-active --quiet hamal-period-loop.service") [ -e "$root/form" ] ;;
  is-active*) exit 3 ;;
  "is-failed --quiet hamal-period.service") [ -e "$root/failed" ] ;;
  is-failed*) exit 0 ;; # of another unit, which is not in use
  reset-failed*) rm -f "$root/failed" ;;
  "start --no-block hamal-period.service" | "start hamal-period.service" | "restart hamal-period-loop.service")
    rm -f "$root/failed"
    CREDENTIALS_DIRECTORY=$root/unit HAMAL_CONFIG=$root/etc/hamal/hamal.conf "$root/opt/hamal/bin/hamal-period" > /dev/null 2>&1 9>&- || touch "$root/failed" ;;
esac
END
  # And no containers, whatever runs on this host.
  printf '#!/bin/sh\nexit 0\n' > "$W/fake/docker"
  chmod +x "$W"/fake/*
  PATH=$W/fake:$PATH
}

# Containers of a few lines: which version they are of is in $R/containers, and what starts them makes a pass of it.
fake_containers() {
  cat > "$W/fake/docker" << 'END'
#!/bin/bash
case "$*" in
  "ps -q "*) [ ! -e "$HAMAL_ROOT/containers" ] || echo 0123abcd ;;
  inspect*) echo healthy ;;
esac
END
  cat > "$W/fake/docker-compose" << 'END'
#!/bin/bash
words=" $* "
file=${words#* -f }
tree=$(dirname "$(readlink -f "${file%% *}")")
export HAMAL_CONFIG=$HAMAL_ROOT/etc/hamal/hamal.conf
case "$words" in
  *" up -d "*)
    head -n 1 "$tree/version" > "$HAMAL_ROOT/containers.new" && mv "$HAMAL_ROOT/containers.new" "$HAMAL_ROOT/containers"
    "$tree/bin/hamal-period" > /dev/null 2>&1 ;;
  *" run --rm "*)
    command=(${words#* period })
    exec "$tree/bin/${command[0]}" "${command[@]:1}" ;;
esac
exit 0
END
  chmod +x "$W/fake/docker" "$W/fake/docker-compose"
}

# A root with version 1.0.0 installed, configured, and with state and logs; with a fake systemd, unless told without.
installed_root() {
  R=$W/root
  export HAMAL_ROOT=$R
  mkdir -p "$R/etc" "$R/var/lib" "$R/var/log"
  cp /usr/share/base-passwd/passwd.master "$R/etc/passwd"
  cp /usr/share/base-passwd/group.master "$R/etc/group"
  stub_tree "$W/tree-1.0.0" 1.0.0
  [ "${1:-}" = without_systemd ] || fake_systemctl "$R"
  "$W/tree-1.0.0/tools/install_hamal.sh" > "$W/install.log" 2>&1 || { cat "$W/install.log" >&2; return 1; }
  echo "kept = configuration" >> "$R/etc/hamal/hamal.conf"
  echo "kept state" > "$R/var/lib/hamal/hamal.db"
  echo "kept log" > "$R/var/log/hamal/hamal-period.log"
  HAMAL_CONFIG=$R/etc/hamal/hamal.conf "$R/opt/hamal/bin/hamal-period"
}

# What an update must never touch.
all_is_kept() {
  grep -qx "kept = configuration" "$R/etc/hamal/hamal.conf"
  grep -qx "kept state" "$R/var/lib/hamal/hamal.db"
  grep -qx "kept log" "$R/var/log/hamal/hamal-period.log"
}

# works VERSION…: one of these is in use, all of it: tools, pages, units, and its files are what they were made.
works() {
  local found
  found=$(cat "$R/opt/hamal/version")
  [[ " $* " == *" $found "* ]] || { echo "version $found is in use" >&2; return 1; }
  [ "$("$R/opt/hamal/bin/hamal-sync" --version)" = "hamal-sync $found" ]
  (cd "$R/opt/hamal" && sha256sum --check --quiet --strict manifest)
  [ -L "$R/usr/bin/hamal-sync" ]
  # Copies: what is read at boot is there before /opt need be.
  [ ! -L "$R/usr/lib/systemd/system/hamal-period.timer" ]
  sed 1d "$R/usr/lib/systemd/system/hamal-period.timer" | cmp - "$R/opt/hamal/systemd/hamal-period.timer"
}
