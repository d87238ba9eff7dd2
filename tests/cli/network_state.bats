#!/usr/bin/env bats
# SQLite on a file system that other hosts have, too, is refused. The kernel is asked by statfs(2), whose answer the test
# changes.
# shellcheck disable=SC2154 # out, err and status are set by the helpers

load helpers

setup() {
  make_world
  need cc
  printf '%s\n' '#include <dlfcn.h>' '#include <stdlib.h>' '#include <sys/vfs.h>' \
    'int statfs(const char* path, struct statfs* s) {' \
    '  int (*real)(const char*, struct statfs*) = (int (*)(const char*, struct statfs*))dlsym(RTLD_NEXT, "statfs");' \
    '  const int r = real(path, s);' \
    '  if (getenv("STATFS_MAGIC")) s->f_type = strtol(getenv("STATFS_MAGIC"), 0, 16);' \
    '  return r; }' 'int statfs64(const char* path, struct statfs64* s) { return statfs(path, (struct statfs*)s); }' > "$W/statfs.c"
  cc -D_GNU_SOURCE -shared -fPIC -o "$W/statfs.so" "$W/statfs.c" -ldl
}
teardown() { end_world; }

# on MAGIC COMMAND…: as if all lay on that.
on() {
  STATFS_MAGIC=$1 LD_PRELOAD=$W/statfs.so ASAN_OPTIONS=verify_asan_link_order=0:${ASAN_OPTIONS:-} "${@:2}"
}

# Break it: leave require_local() out of open_state.cpp.
@test "a state on NFS is refused with what to do, and nothing is made there; on a local disk it is not" {
  on 6969 fails 2 "$W/lib: the state database lies on a network file system (NFS)*connection = postgresql://" hamal-sync checkpoint list
  [ ! -e "$W/lib/hamal.db" ]
  # Break it: leave require_local() out of look_at_state().
  on 6969 fails 2 "$W/lib: the state database lies on a network file system (NFS)" hamal-config check --quiet --state
  on ff534d42 fails 2 "(CIFS)" hamal-period status
  on ef53 succeeds hamal-sync checkpoint list
  [ -e "$W/lib/hamal.db" ]
  # FUSE is looked at by its name, which is not known here: the mount is none.
  on 65735546 succeeds hamal-sync checkpoint list
}
