#!/bin/bash
# Builds the simulator from Debian's packages, without a network, when it is missing or older than its sources:
#   build.sh PROGRAM
# Prints nothing. Exit status 77: golang-go or golang-github-vmware-govmomi-dev is not installed.
set -euo pipefail
program=${1:?usage: build.sh PROGRAM}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if ! command -v go > /dev/null || [ ! -d /usr/share/gocode/src/github.com/vmware/govmomi/simulator ]; then
  echo "golang-go or golang-github-vmware-govmomi-dev is not installed" >&2
  exit 77
fi
mkdir -p "$(dirname "$program")"
exec 9> "$program.lock"
flock 9 # several tests may want it at once
sources=$(cat "$here"/*.go | sha256sum)
if [ ! -x "$program" ] || [ "$(cat "$program.sources" 2> /dev/null)" != "$sources" ]; then
  # The cache lies beside the program: nothing is written to the home directory.
  (cd "$here" && GO111MODULE=off GOFLAGS='' GOPROXY=off GOPATH="$program.go:/usr/share/gocode" GOCACHE="$program.cache" \
    nice -n 5 go build -o "$program.new" .)
  mv "$program.new" "$program"
  echo "$sources" > "$program.sources"
fi
