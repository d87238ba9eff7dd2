#!/usr/bin/env bats
# What bash and zsh complete is exactly what --help has: every option and command of every tool, none else.
# Break it: drop a line of the table in scripts/cmake/completions.sh, or let its awk skip names of one line alone.

bats_require_minimum_version 1.5.0
load helpers

setup() {
  make_world
  # shellcheck disable=SC2086 # words
  "$HAMAL_SOURCE/scripts/cmake/completions.sh" "$HAMAL_BIN" "$W/completions" $HAMAL_TOOLS
}
teardown() { end_world; }

commands_of() { "$@" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z]*\) .*/\1/p'; }
options_of() { "$@" --help | sed -nE 's/^ {2,6}(-[a-z], )?(--[a-z-]+).*/\2/p' | grep -v '^$'; }

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
  . "$W/completions/hamal.bash"
  for_each_command bash_has_all
  [ "$(bash_completes hamal-sync --log-level in)" = info ]
  [ "$(bash_completes hamal-sync --config "$W/ham" | head -n 1)" = "$W/hamal.conf" ]
  for tool in $HAMAL_TOOLS; do
    has "$(complete -p "$tool")" "-F _hamal"
  done
}

zsh_has_all() {
  # shellcheck disable=SC2016 # for zsh
  zsh -fc '. "$1"; _hamal_options "$2"; print -l -- ${reply%%:*}' zsh "$W/completions/_hamal" "$*" | sort > "$W/zsh"
  diff -u <(options_of "$@" | sort) <(grep -v '^$' "$W/zsh")
  # shellcheck disable=SC2016
  zsh -fc '. "$1"; _hamal_commands "$2"; print -l -- ${reply%%:*}' zsh "$W/completions/_hamal" "$*" | sort > "$W/zsh"
  diff -u <(commands_of "$@" | sort) <(grep -v '^$' "$W/zsh" || true)
}

@test "zsh completes every option and command, each with its purpose" {
  need zsh
  zsh -n "$W/completions/_hamal"
  for_each_command zsh_has_all
  run ! grep -E "'--?[a-z-]+:'" "$W/completions/_hamal"
}
