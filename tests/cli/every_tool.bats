#!/usr/bin/env bats
# What every tool of HAMAL_TOOLS must do alike: help, version, wrong options, and its page.

load helpers

setup() { make_world; }
teardown() { end_world; }

# help_of TOOL [COMMAND…]: its help text and those of all commands below, each with a heading.
help_of() {
  local text command
  text=$("$@" --help)
  printf '$ %s --help\n%s\n' "$*" "$text"
  for command in $(commands_of "$@"); do
    help_of "$@" "$command"
  done
}

commands_of() { "$@" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'; }
options_of_help() { grep -oE -- '(^| )--[a-z][a-z-]*' | tr -d ' ' | sort -u; }
# All that a page mentions, and what it describes as its own.
options_in_page() {
  mandoc -T ascii -O width=200 "$1" | col -bx | grep -oE -- '(^|[^a-z-])--[a-z][a-z-]*' |
    grep -oE -- '--[a-z][a-z-]*' | sort -u
}
options_described() { sed -nE 's/^\.It .*Fl Fl ([a-z-]+).*/--\1/p' "$1" | sort -u; }

@test "--help prints to stdout alone and exits 0" {
  for tool in $HAMAL_TOOLS; do
    succeeds "$tool" --help
    has "$out" "Usage: $tool"
  done
}

@test "--version prints name and version" {
  for tool in $HAMAL_TOOLS; do
    succeeds "$tool" --version
    [[ $out =~ ^$tool\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
    [ -z "${HAMAL_VERSION:-}" ] || [ "$out" = "$tool $HAMAL_VERSION" ]
  done
}

@test "a wrong option exits 2 and names the nearest one" {
  for tool in $HAMAL_TOOLS; do
    fails 2 "unknown option --confg (did you mean --config?)" "$tool" --confg x
    [ -z "$out" ]
  done
}

@test "an option that is like no other points to --help" {
  for tool in $HAMAL_TOOLS; do
    fails 2 "unknown option --qqqqqqqqqq (see $tool --help)" "$tool" --qqqqqqqqqq
  done
}

@test "no arguments at all is wrong usage" {
  for tool in $HAMAL_TOOLS; do
    fails 2 "" "$tool"
    [ -z "$out" ]
  done
}

@test "help works without a configuration and writes no log" {
  export HAMAL_CONFIG=$W/none.conf
  for tool in $HAMAL_TOOLS; do
    succeeds "$tool" --help
  done
  [ -z "$(ls "$W/log")" ]
}

@test "help on a full disk is an error, not silence" {
  for tool in $HAMAL_TOOLS; do
    status=0
    "$tool" --help > /dev/full 2> "$W/err" || status=$?
    [ "$status" = 1 ]
    has "$(cat "$W/err")" "standard output: cannot write: No space left on device"
  done
}

@test "the help texts are the golden ones" {
  for tool in $HAMAL_TOOLS; do
    golden=$HAMAL_SOURCE/tests/golden/$tool.help
    if [ -n "${HAMAL_RENEW_GOLDEN:-}" ]; then
      help_of "$tool" > "$golden"
    fi
    help_of "$tool" | diff -u "$golden" -
  done
}

@test "every option of --help is in the tool's page" {
  need mandoc
  for tool in $HAMAL_TOOLS; do
    help_of "$tool" | options_of_help > "$W/help"
    options_in_page "$HAMAL_SOURCE/man/$tool.1" > "$W/page"
    [ -s "$W/help" ]
    run comm -23 "$W/help" "$W/page"
    [ -z "$output" ]
  done
}

@test "every option that a page describes is in --help" {
  for tool in $HAMAL_TOOLS; do
    help_of "$tool" | options_of_help > "$W/help"
    options_described "$HAMAL_SOURCE/man/$tool.1" > "$W/page"
    [ -s "$W/page" ]
    run comm -13 "$W/help" "$W/page"
    [ -z "$output" ]
  done
}

@test "every command of --help is in the tool's page" {
  for tool in $HAMAL_TOOLS; do
    for command in $(commands_of "$tool"); do
      grep -qE "^\.(It )?Cm .*\b$command\b" "$HAMAL_SOURCE/man/$tool.1"
    done
  done
}

@test "the pages are clean" {
  need mandoc
  for page in "$HAMAL_SOURCE"/man/*.[1-8]; do
    mandoc -T lint -W warning "$page"
  done
  for tool in $HAMAL_TOOLS; do
    [ -s "$HAMAL_SOURCE/man/$tool.1" ]
  done
}

@test "the exit statuses of hamal(7) are all there" {
  need mandoc
  page=$(mandoc -T ascii "$HAMAL_SOURCE/man/hamal.7" | col -bx | sed -n '/^EXIT STATUS/,/^LIMITS/p')
  for number in 0 1 2 3 4 5 6 75 130 143; do
    grep -qE "^ +(.*, )?$number( |,|$)" <<< "$page"
  done
}
