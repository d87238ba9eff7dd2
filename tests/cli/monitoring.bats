#!/usr/bin/env bats
# scripts/monitoring: the alerts and the dashboard, against promtool and the metrics that there are.

monitoring=$HAMAL_SOURCE/scripts/monitoring

expressions() { jq -r '.. | .expr? // empty' "$monitoring/grafana-hamal.json"; }

@test "the alerts are what promtool understands, and fire when they should" {
  promtool check rules "$monitoring/hamal.rules.yaml"
  promtool test rules "$monitoring/hamal.rules.test.yaml"
}

@test "the dashboard's expressions are PromQL" {
  [ "$(expressions | wc -l)" -ge 9 ]
  {
    echo 'groups: [{name: dashboard, rules: ['
    expressions | jq -cR '{record: "panel", expr: gsub("\\$[a-z]+"; ".*"), labels: {panel: (input_line_number | tostring)}}' | sed 's/$/,/' | tr -d '\n'
    echo ']}]'
  } >"$BATS_TEST_TMPDIR/dashboard.yaml"
  promtool check rules "$BATS_TEST_TMPDIR/dashboard.yaml"
}

@test "every metric that is looked at is one that hamal-period writes" {
  local name written
  written=$(mandoc -T utf8 "$HAMAL_SOURCE/man/hamal-period.1" | col -b)
  { expressions; jq -r '.. | .definition? // empty' "$monitoring/grafana-hamal.json"; cat "$monitoring/hamal.rules.yaml"; } |
    grep -oE 'hamal_[a-z_]+' | sort -u >"$BATS_TEST_TMPDIR/names"
  [ "$(wc -l <"$BATS_TEST_TMPDIR/names")" -ge 6 ]
  while read -r name; do
    grep -q "^ *$name" <<<"$written" || { echo "$name is in no page"; return 1; }
    grep -rqF "\"$name\"" "$HAMAL_SOURCE/tools/hamal-period" || { echo "$name is written nowhere"; return 1; }
  done <"$BATS_TEST_TMPDIR/names"
}
