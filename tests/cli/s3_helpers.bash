# shellcheck shell=bash
# A radosgw for a file of tests, buckets in it, and [s3 NAME] sections for them. Load after helpers.

# In setup_file. It ends with its standard input, which this process holds: with this process.
start_radosgw() {
  command -v radosgw > /dev/null || return 0
  export RADOSGW=$BATS_FILE_TMPDIR/ceph
  mkfifo "$RADOSGW.hold"
  "$HAMAL_SOURCE/tests/lab/ceph.sh" run "$RADOSGW" < "$RADOSGW.hold" > "$RADOSGW.txt" 2> "$RADOSGW.err" 3>&- &
  RADOSGW_KEEPER=$!
  exec {RADOSGW_HOLD}> "$RADOSGW.hold"
  export RADOSGW_HOLD
  until_true 240 grep -qx ready "$RADOSGW.txt" && return
  cat "$RADOSGW.err" >&2
  return 1
}

stop_radosgw() {
  [ -n "${RADOSGW:-}" ] || return 0
  have_radosgw_back
  exec {RADOSGW_HOLD}>&-
  wait "$RADOSGW_KEEPER"
}

# radosgw_says KEY: what it reported when it started.
radosgw_says() { sed -n "s/^$1=//p" "$RADOSGW.txt"; }

# make_bucket NAME [HEADER…]: skips the test where there is no radosgw.
make_bucket() {
  local name=$1 header headers=()
  shift
  for header in "$@"; do
    headers+=(-H "$header")
  done
  need radosgw curl
  curl -sS --fail --aws-sigv4 aws:amz:us-east-1:s3 --user "$(radosgw_says access_key):$(radosgw_says secret_key)" \
    -H "x-amz-content-sha256: $(sha256sum < /dev/null | cut -d ' ' -f 1)" \
    "${headers[@]}" -X PUT "$(radosgw_says http_endpoint)/$name"
}

# s3_section NAME BUCKET [tls|plain] [SECRET]: a section that gives up soon.
s3_section() {
  local address=http_endpoint
  [ "${3:-plain}" = plain ] || address=https_endpoint
  {
    printf '%s\n' "[s3 $1]" "endpoint = $(radosgw_says $address)" "bucket = $2" \
      "access_key = $(radosgw_says access_key)" "secret_key = ${4:-$(radosgw_says secret_key)}" \
      "request_timeout = 1s" "retry_max = 1s"
    [ "${3:-plain}" = plain ] || echo "ca_file = $(radosgw_says ca_file)"
  } >> "$HAMAL_CONFIG"
}

# Away and back, as when it is restarted. Nothing that stays may hold the keeper's standard input.
take_radosgw_down() { "$HAMAL_SOURCE/tests/lab/ceph.sh" rgw-down "$RADOSGW"; }
bring_radosgw_up() { "$HAMAL_SOURCE/tests/lab/ceph.sh" rgw-up "$RADOSGW" {RADOSGW_HOLD}>&-; }

radosgw_pid() { sed -n 's/ rgw$//p' "$RADOSGW/pids"; }

# It accepts connections still, and answers none.
stop_for_now() { kill -STOP "$(radosgw_pid)"; }
wake_radosgw() { kill -CONT "$(radosgw_pid)"; }

# Whatever a test has done to it.
have_radosgw_back() {
  [ -s "${RADOSGW:-}/pids" ] || return 0
  if [ -z "$(radosgw_pid)" ]; then
    bring_radosgw_up
  else
    wake_radosgw
  fi
}
