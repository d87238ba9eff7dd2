#!/bin/bash
# Everything about the sources that needs no running program: format, lint, shell, pages, include order.
set -uo pipefail

usage() {
  cat <<'END'
usage: scripts/check.sh [--all] [--base REF] [--no-tidy] [--build DIR]

Runs clang-format, clang-tidy, shellcheck, mandoc -T lint and the include order check,
all of them to the end, and fails if any found something.

  --base REF   clang-tidy looks at the files changed since REF (default: where the
               branch left origin/main, else the last commit) and in the work tree
  --all        clang-tidy looks at every file (many minutes)
  --no-tidy    leave clang-tidy out
  --build DIR  a configured build folder (default: build/asan, made when missing)
END
}

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
all=no
tidy=yes
base=
build=build/asan
while [ $# -gt 0 ]; do
  case $1 in
    --all) all=yes ;;
    --no-tidy) tidy=no ;;
    --base) base=${2:?--base needs a revision}; shift ;;
    --build) build=${2:?--build needs a directory}; shift ;;
    -h | --help) usage; exit 0 ;;
    *) echo "scripts/check.sh: unknown option $1" >&2; usage >&2; exit 2 ;;
  esac
  shift
done

failed=()
# check NAME COMMAND…: runs it, says how it went, remembers a failure.
check() {
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then
    printf 'ok      %s\n' "$name"
  else
    printf 'FAILED  %s\n%s\n' "$name" "$output"
    failed+=("$name")
  fi
}

# Tracked and new files, never what is built or ignored.
sources() { git ls-files -co --exclude-standard -- "$@" | sort -u | while read -r f; do [ ! -f "$f" ] || echo "$f"; done; }

shell_files() {
  sources '*.sh' '*.bats' '*.bash'
  # Scripts without a suffix are known by their first line.
  sources scripts .ci tests lib man | while read -r f; do
    case ${f##*/} in *.*) continue ;; esac
    if head -c 64 "$f" | head -n 1 | grep -qE '^#!.*(bash|sh|bats)$'; then echo "$f"; fi
  done
}

changed_since_base() {
  if [ -z "$base" ]; then
    base=$(git merge-base HEAD origin/main 2>/dev/null) || base=
    if [ -z "$base" ] || [ "$base" = "$(git rev-parse HEAD)" ]; then base=HEAD~1; fi
  fi
  git rev-parse -q --verify "$base^{commit}" >/dev/null || { sources '*.cpp'; return; }
  { git diff --name-only --diff-filter=d "$base" -- '*.cpp'
    git ls-files -o --exclude-standard -- '*.cpp'; } | sort -u
}

run_tidy() {
  local files
  [ -f "$build/compile_commands.json" ] || cmake --preset asan -B "$build" >/dev/null || return 1
  if [ $all = yes ]; then files=$(sources '*.cpp'); else files=$(changed_since_base); fi
  # Only what this build folder compiles: a file of another preset (fuzz) has no command line.
  files=$(while read -r f; do
    if [ -n "$f" ] && grep -qF "\"$PWD/$f\"" "$build/compile_commands.json"; then echo "$f"; fi
  done <<<"$files")
  [ -n "$files" ] || return 0
  # g++'s warning names are not all clang's.
  xargs -P "$(nproc)" -n 1 clang-tidy -p "$build" --quiet --warnings-as-errors='*' \
    --extra-arg=-Wno-unknown-warning-option <<<"$files" |
    grep -vE '^[0-9]+ warnings?( and [0-9]+ errors?)? (generated|treated)|^Suppressed|^Use -header-filter'
  return "${PIPESTATUS[0]}"
}

# Every option of --help is checked against its page by tests/cli; here the pages alone.
run_mandoc() {
  local pages
  pages=$(sources 'man/*.[1-8]')
  [ -n "$pages" ] || { echo "no pages in man/"; return 1; }
  xargs mandoc -T lint -W warning <<<"$pages"
}

run_shellcheck() { shell_files | sort -u | xargs shellcheck -x; }
# The files alone: clang-format -i FILE says more than its list of places.
run_format() {
  local output
  output=$(sources '*.cpp' '*.hpp' | xargs clang-format --dry-run -Werror 2>&1) && return 0
  grep -oE '^[^ :]+:[0-9]+:[0-9]+: error' <<<"$output" | cut -d : -f 1 | sort | uniq -c
  return 1
}
run_python() { sources '*.py' | xargs python3 -c 'import ast, sys
for name in sys.argv[1:]:
    ast.parse(open(name, encoding="utf-8").read(), name)'; }

check "clang-format" run_format
check "shellcheck" run_shellcheck
check "python syntax" run_python
check "mandoc -T lint" run_mandoc
check "include order" tests/unit/check_includes.py
[ $tidy = no ] || check "clang-tidy" run_tidy

if [ ${#failed[@]} -gt 0 ]; then
  printf 'scripts/check.sh: failed: %s\n' "$(IFS=,; echo "${failed[*]}")" >&2
  exit 1
fi
