#!/bin/bash
# A PostgreSQL of its own for a test: makes a cluster in DIR and serves it there until it is killed.
#
#   tests/lab/postgresql.sh DIR [PORT [NAME]]
#
# Superuser postgres (socket, no password), role hamal with the password "hamal-secret", which owns the
# database hamal. Socket: DIR/.s.PGSQL.5432; with PORT DIR/.s.PGSQL.PORT and 127.0.0.1:PORT. With NAME it speaks TLS there, as the
# host of that name by the authority DIR/authority.crt; DIR/other.crt is an authority that knows it not. As root
# it runs as the user postgres, who gets DIR: the server refuses root. DIR is served again when it holds a cluster.
set -euo pipefail

dir=${1:?usage: postgresql.sh DIR [PORT]}
port=${2:-}
name=${3:-}
bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
[ -x "$bin/initdb" ] || { echo "postgresql.sh: the package postgresql is not installed" >&2; exit 77; }

mkdir -p "$dir"
unprivileged=()
if [ "$(id -u)" -eq 0 ]; then
  chown postgres "$dir"
  unprivileged=(setpriv --reuid=postgres --regid=postgres --clear-groups --pdeathsig=keep)
fi
cd "$dir" # the postmaster must be able to be where it is
export LC_ALL=C.UTF-8

if [ ! -e "$dir/data/PG_VERSION" ]; then
  "${unprivileged[@]}" "$bin/initdb" -D "$dir/data" -U postgres --encoding=UTF8 --locale=C.UTF-8 \
    --no-sync --no-instructions --auth=trust >&2
  "${unprivileged[@]}" tee "$dir/data/pg_hba.conf" >/dev/null <<'HBA'
local all         postgres              trust
local replication postgres              trust
local all         all                   scram-sha-256
host  all         all      127.0.0.1/32 scram-sha-256
HBA
  "${unprivileged[@]}" "$bin/postgres" --single -D "$dir/data" -c fsync=off postgres >/dev/null <<'SQL'
CREATE ROLE hamal LOGIN PASSWORD 'hamal-secret'
CREATE DATABASE hamal OWNER hamal
SQL
fi

settings=(-c "unix_socket_directories=$dir" -c port=5432 -c listen_addresses=
  -c fsync=off -c shared_buffers=16MB -c max_connections=200 -c autovacuum=off)
[ -z "$port" ] || settings+=(-c listen_addresses=127.0.0.1 -c "port=$port")
if [ -n "$name" ]; then
  key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -batch)
  for authority in authority other; do
    "${unprivileged[@]}" openssl req -x509 "${key[@]}" -keyout "$dir/$authority.key" -out "$dir/$authority.crt" \
      -days 30 -subj "/CN=lab $authority" 2>&1
  done
  "${unprivileged[@]}" openssl req "${key[@]}" -keyout "$dir/server.key" -out "$dir/server.csr" -subj "/CN=$name" \
    -addext "subjectAltName=DNS:$name" 2>&1
  "${unprivileged[@]}" openssl x509 -req -in "$dir/server.csr" -CA "$dir/authority.crt" -CAkey "$dir/authority.key" \
    -CAcreateserial -copy_extensions copy -days 30 -out "$dir/server.crt" 2>&1
  settings+=(-c ssl=on -c "ssl_cert_file=$dir/server.crt" -c "ssl_key_file=$dir/server.key")
fi
exec "${unprivileged[@]}" "$bin/postgres" -D "$dir/data" "${settings[@]}"
