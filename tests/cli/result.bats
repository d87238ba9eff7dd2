#!/usr/bin/env bats
# The result of a run: the example of its page is of this shape, and pace and readers do what they say.

load helpers

setup() { make_world; }
teardown() { end_world; }

@test "the example of the result in hamal-sync(1) has exactly the fields of a real one" {
  random_image "$W/x.raw" 1M
  succeeds hamal-sync --source "file:$W/x.raw" --target "file:$W/t.raw" --json
  python3 - "$HAMAL_SOURCE/man/hamal-sync.1" "$W/out" <<'END'
import json, re, sys
page = open(sys.argv[1], encoding="utf-8").read()
example = re.search(r'^\.\\" result\n\.Bd [^\n]*\n(.*?)^\.Ed', page, re.S | re.M).group(1)
def shape(value):
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items() if key not in ("before", "after")}
    return [shape(inner) for inner in value[:1]] if isinstance(value, list) and value and isinstance(value[0], dict) else None
real, shown = shape(json.load(open(sys.argv[2]))), shape(json.loads(example))
def check(where, a, b):
    if isinstance(a, dict) and isinstance(b, dict):
        assert list(a) == list(b), f"{where}: real {list(a)}, in the page {list(b)}"
        for key in a:
            check(f"{where}.{key}", a[key], b[key])
    elif isinstance(a, list) and isinstance(b, list):
        check(where + "[]", a[0], b[0])
check("result", real, shown)
END
}

@test "--bwlimit holds the copy back, and the result says so" {
  random_image "$W/x.raw" 3M
  serve "$W/x.raw"
  SECONDS=0
  succeeds hamal-sync --source "$NBD" --target "file:$W/t.raw" --bwlimit 1M --json
  # At least: how long it takes beyond that, and what with, is the machine's.
  [ "$SECONDS" -ge 1 ]
  [ "$(field "$W/out" 'd["disks"][0]["waited"]["throttle_seconds"] > 1')" = True ]
  [ "$(field "$W/out" 'd["disks"][0]["bound_by"] == max((share, name) for name, share in d["disks"][0]["shares"].items())[1]')" = True ]
  cmp "$W/x.raw" "$W/t.raw"
}

@test "--bwlimit and --memory-limit must be sizes" {
  for option in --bwlimit --memory-limit; do
    fails 2 "not a size of at least" hamal-sync --source "file:$W/x.raw" --target "file:$W/t.raw" "$option" fast
    fails 2 "not a size of at least" hamal-sync --source "file:$W/x.raw" --target "file:$W/t.raw" "$option" 1
  done
}

@test "--memory-limit leaves room for a copy, however little" {
  random_image "$W/x.raw" 8M
  serve "$W/x.raw"
  succeeds hamal-sync --source "$NBD" --target "file:$W/t.raw" --memory-limit 1M --readers 16 --json
  [ "$(field "$W/out" 'd["disks"][0]["readers"]')" = 1 ]
  cmp "$W/x.raw" "$W/t.raw"
}

@test "latency raises the readers up to the ceiling, and --readers keeps their number" {
  truncate -s 32M "$W/t.raw"
  random_image "$W/x.raw" 32M
  # With two requests at a time it lasts two seconds: long enough to be looked at, however busy the machine.
  nbdkit_at "$W/x.sock" --readonly --threads=2 --filter=delay file "$W/x.raw" rdelay=30ms
  source="nbd+unix:///?socket=$W/x.sock"
  printf '%s\n' "[data_sync_v2]" "pre_disk_readers_count = 1" "max_pre_disk_readers_count = 4" >> "$HAMAL_CONFIG"
  succeeds hamal-sync --source "$source" --target "file:$W/t.raw" --json
  readers=$(field "$W/out" 'd["disks"][0]["readers"]')
  [ "$readers" -gt 1 ] && [ "$readers" -le 4 ]
  succeeds hamal-sync --source "$source" --target "file:$W/t.raw" --readers 1 --json
  [ "$(field "$W/out" 'd["disks"][0]["readers"]')" = 1 ]
}
