#!/usr/bin/env bats
# scripts/setup with stand-ins for apt and systemd: what the packages enabled is disabled, what was enabled before stays, no
# service starts meanwhile, and what a killed setup left is removed.
# Break it: take the mark out of policy-rc.d, or disable the services by name.

bats_require_minimum_version 1.5.0
load helpers

setup() {
  make_world
  export HAMAL_ROOT=$W/root
  POLICY=$W/root/usr/sbin/policy-rc.d
  mkdir -p "$W/fake" "$W/root/usr/sbin"
  printf '#!/bin/sh\nexit 1\n' > "$W/fake/dpkg-query"
  printf '#!/bin/sh\necho 0\n' > "$W/fake/id"
  # shellcheck disable=SC2016 # for the script
  printf '#!/bin/sh\nif [ "$1" = disable ]; then echo "$*" >> "%s/disabled"; else cat "%s/enabled"; fi\n' "$W" "$W" > "$W/fake/systemctl"
  cat > "$W/fake/apt-get" << END
#!/bin/sh
case " \$* " in *" install "*)
  "$POLICY"
  echo \$? > "$W/started"
  printf '%s\n' "a.socket enabled enabled" "z.service enabled enabled" >> "$W/enabled" ;;
esac
END
  chmod +x "$W"/fake/*
  echo "ssh.service enabled enabled" > "$W/enabled"
  PATH=$W/fake:$PATH
}
teardown() { [ -z "${W:-}" ] || end_world; }

@test "what the packages enabled is disabled; no service is started, and the policy is gone" {
  run -0 "$HAMAL_SOURCE/scripts/setup" --any-system --tests
  [ "$(cat "$W/started")" = 101 ]
  [ "$(cat "$W/disabled")" = "disable a.socket z.service" ]
  [ ! -e "$POLICY" ]
}

@test "what a killed setup left is removed; a policy of the site's stays" {
  cp "$W/fake/apt-get" "$W/apt-get"
  # shellcheck disable=SC2016 # for the script
  printf '#!/bin/sh\ncase " $* " in *" install "*) kill -9 $PPID ;; esac\n' > "$W/fake/apt-get"
  run -137 "$HAMAL_SOURCE/scripts/setup" --any-system
  [ -x "$POLICY" ]
  cp "$W/apt-get" "$W/fake/apt-get"
  run -0 "$HAMAL_SOURCE/scripts/setup" --any-system
  [ "$(cat "$W/started")" = 101 ]
  [ ! -e "$POLICY" ]
  printf '#!/bin/sh\nexit 7\n' > "$POLICY"
  chmod +x "$POLICY"
  run -0 "$HAMAL_SOURCE/scripts/setup" --any-system
  [ "$(cat "$W/started")" = 7 ]
  grep -qx "exit 7" "$POLICY"
}
