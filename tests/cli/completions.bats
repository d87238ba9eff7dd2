#!/usr/bin/env bats
# What bash and zsh complete is exactly what --help has: every option and command of every tool, none else.
# Break it: drop a line of the table in scripts/cmake/completions.sh, or let its awk skip names of one line alone.

bats_require_minimum_version 1.5.0
load helpers

# Each help text once: tools with sanitizers take their time to start.
setup_file() {
  local tool
  mkdir "$BATS_FILE_TMPDIR/help"
  for tool in $HAMAL_TOOLS; do
    keep_help "$tool"
  done
  # shellcheck disable=SC2086 # words
  "$HAMAL_SOURCE/scripts/cmake/completions.sh" "$HAMAL_BIN" "$BATS_FILE_TMPDIR/completions" $HAMAL_TOOLS
}
keep_help() {
  local command
  "$@" --help > "$BATS_FILE_TMPDIR/help/$*"
  for command in $(commands_of "$@"); do
    keep_help "$@" "$command"
  done
}

setup() {
  make_world
  COMPLETIONS=$BATS_FILE_TMPDIR/completions
}
teardown() { end_world; }

commands_of() { sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z]*\) .*/\1/p' "$BATS_FILE_TMPDIR/help/$*"; }
options_of() { sed -nE 's/^ {2,6}(-[a-z], )?(--[a-z-]+).*/\2/p' "$BATS_FILE_TMPDIR/help/$*"; }

# for_each_command FUNCTION: called with every tool and every command of it.
for_each_command() {
  local tool
  for tool in $HAMAL_TOOLS; do
    below "$1" "$tool"
  done
}
below() {
  local function=$1 command
  shift
  "$function" "$@"
  for command in $(commands_of "$@"); do
    below "$function" "$@" "$command"
  done
}

# A command takes the options of its tool and of the commands above it, too.
expected_options() {
  local count
  for ((count = 1; count <= $#; ++count)); do
    options_of "${@:1:count}"
  done | sort -u
}

# bash_completes WORD…: the last one is being typed.
bash_completes() {
  COMP_WORDS=("$@")
  COMP_CWORD=$(($# - 1))
  COMPREPLY=()
  _hamal
  printf '%s\n' "${COMPREPLY[@]}" | sort -u
}

bash_has_all() {
  diff -u <(expected_options "$@") <(bash_completes "$@" --)
  diff -u <(commands_of "$@" | sort) <(cd "$W/log" && bash_completes "$@" '' | grep -v '^$')
}

@test "bash completes every option and command, and nothing else" {
  # shellcheck source=/dev/null
  . "$COMPLETIONS/hamal.bash"
  for_each_command bash_has_all
  [ "$(bash_completes hamal-sync --log-level in)" = info ]
  [ "$(bash_completes hamal-sync --config "$W/ham" | head -n 1)" = "$W/hamal.conf" ]
  for tool in $HAMAL_TOOLS; do
    has "$(complete -p "$tool")" "-F _hamal"
  done
}

zsh_has_all() {
  # shellcheck disable=SC2016 # for zsh
  zsh -fc '. "$1"; _hamal_options "$2"; print -l -- ${reply%%:*}' zsh "$COMPLETIONS/_hamal" "$*" | sort > "$W/zsh"
  diff -u <(options_of "$@" | sort) <(grep -v '^$' "$W/zsh")
  # shellcheck disable=SC2016
  zsh -fc '. "$1"; _hamal_commands "$2"; print -l -- ${reply%%:*}' zsh "$COMPLETIONS/_hamal" "$*" | sort > "$W/zsh"
  diff -u <(commands_of "$@" | sort) <(grep -v '^$' "$W/zsh" || true)
}

@test "zsh completes every option and command, each with its purpose" {
  need zsh
  zsh -n "$COMPLETIONS/_hamal"
  for_each_command zsh_has_all
  run ! grep -E "'--?[a-z-]+:'" "$COMPLETIONS/_hamal"
}
