# shellcheck shell=bash
# A console for a file of tests (tests/lab/mass_server.py), and [mass] sections for it. Load after helpers.

# In setup_file: one server for a file of tests, which ends with its standard input.
start_mass() {
  python3 -c 'import jsonschema, yaml' 2> /dev/null || return 0
  command -v openssl > /dev/null || return 0
  export MASS=$BATS_FILE_TMPDIR/mass
  mkfifo "$MASS.hold"
  "$HAMAL_SOURCE/tests/lab/mass_server.py" serve "$MASS" < "$MASS.hold" > "$MASS.txt" 2> "$MASS.err" 3>&- &
  exec {MASS_HOLD}> "$MASS.hold"
  export MASS_HOLD MASS_SERVER=$!
  until_true 60 grep -qx ready "$MASS.txt" || { cat "$MASS.err" >&2; return 1; }
  ENDPOINT=$(sed -n 's/^endpoint=//p' "$MASS.txt")
  export ENDPOINT
}
stop_mass() {
  [ -n "${MASS:-}" ] || return 0
  exec {MASS_HOLD}>&-
  wait "$MASS_SERVER"
}

make_mass_world() {
  [ -n "${MASS:-}" ] || skip "python3-jsonschema, python3-yaml or openssl is not installed"
  make_world
  tell PUT /__reset '{}' > /dev/null
  echo lab-auth-key > "$W/auth"
  chmod 0600 "$W/auth"
  VIOLATIONS=0
}
# Whatever a test did, nobody may have drifted from the contract unless $VIOLATIONS says so.
end_mass_world() {
  if [ -n "${MASS:-}" ]; then
    [ "$(asked 'len(d["violations"])')" = "$VIOLATIONS" ] || { asked 'd["violations"]' >&2; false; }
    [ ! -s "$MASS.err" ] || { cat "$MASS.err" >&2; false; }
    end_world
  fi
}

# What the operator of the console does, or looks at.
tell() { "$HAMAL_SOURCE/tests/lab/mass_server.py" tell "$ENDPOINT" "$@"; }
faults() { tell PUT /__faults "$1" > /dev/null; }
asked() { "$HAMAL_SOURCE/tests/lab/mass_server.py" ask "$ENDPOINT" "$1"; }
holds() { [ "$(asked "$1")" = True ]; }

# console [LINE…]: the [mass] section, with the right pin; a line replaces that of its key.
console() { other_console "$ENDPOINT" "public_key_path = $MASS/public_key.pem" "$@"; }
# other_console ENDPOINT [LINE…]: in place of what was there.
other_console() {
  cp -n "$HAMAL_CONFIG" "$W/bare"
  {
    cat "$W/bare"
    printf '%s\n' "[mass]" "mass_endpoint = $1" "auth_key = file:$W/auth" "hyper_exporter_id = proxy-1" \
      "default_request_timeout = 5s" "${@:2}" | awk '{ if (!($1 in at)) order[++n] = $1; at[$1] = $0 }
      END { for (i = 1; i <= n; i++) print at[order[i]] }'
  } > "$HAMAL_CONFIG"
}
