#!/bin/bash
# Writes the completions of bash and zsh from what each tool says of itself: its --help is made of its table of options.
#
# usage: completions.sh BINARY-FOLDER OUTPUT-FOLDER TOOL…
set -euo pipefail

bin=${1:?folder of the binaries} output=${2:?folder of the results}
shift 2
tools=("$@")
mkdir -p "$output"

# The help text of a tool or command → lines "option NAME TYPE PURPOSE" and "command NAME - PURPOSE".
parse_help() {
  awk '
    function flush() { if (name != "") print kind "\t" name "\t" type "\t" purpose; name = "" }
    /^Commands:/ { flush(); section = "command"; next }
    /^Options/ { flush(); section = "option"; next }
    /^[^ ]/ || /^$/ { flush(); if ($0 != "") section = ""; next }
    section == "command" && /^  [a-z]/ {
      flush(); kind = "command"; name = $1; type = "-"; purpose = $0; sub(/^  [^ ]+ +/, "", purpose); next
    }
    section == "option" && /^ +-/ {
      flush(); kind = "option"; type = "-"
      head = substr($0, 1, 26); purpose = substr($0, 27)
      # A long name takes the whole line, and its purpose the next one.
      if (length($0) > 25 && substr($0, 26, 1) != " ") { head = $0; purpose = "" }
      count = split(head, words, /[ ,]+/); name = ""
      for (i = 1; i <= count; ++i) {
        if (words[i] ~ /^--/) name = words[i]
        else if (words[i] ~ /^-/) shorter = words[i]
        else if (words[i] != "" && type == "-") type = words[i]
      }
      sub(/:.*/, "", type)
      next
    }
    name != "" && substr($0, 1, 26) ~ /^ *$/ { sub(/^ +/, ""); purpose = purpose (purpose == "" ? "" : " ") $0 }
    END { flush() }'
}

# walk TOOL [COMMAND…]: "PATH<tab>kind<tab>name<tab>type<tab>purpose" of it and of all commands below.
walk() {
  local text line command
  text=$("$bin/$1" "${@:2}" --help)
  parse_help <<<"$text" | while IFS= read -r line; do printf '%s\t%s\n' "$*" "$line"; done
  # A command takes the options of its tool as well (they fall through).
  while IFS=$'\t' read -r _ command _; do walk "$@" "$command"; done < <(parse_help <<<"$text" | grep '^command' || true)
}

table=$output/table
for tool in "${tools[@]}"; do walk "$tool"; done >"$table"

# words PATH KIND: the names, in order.
words() { awk -F '\t' -v path="$1" -v kind="$2" '$1 == path && $2 == kind { printf "%s ", $3 }' "$table" | sed 's/ $//'; }
paths() { cut -f 1 "$table" | uniq | awk '!seen[$0]++'; }

{
  echo "# Completion of the tools of hamal for bash: generated from their tables of options, not to be edited."
  echo "_hamal_table() { # PATH: its options in \$options, its commands in \$commands"
  echo "  case \$1 in"
  while IFS= read -r path; do
    printf "    '%s') options='%s' commands='%s' ;;\n" "$path" "$(words "$path" option)" "$(words "$path" command)"
  done < <(paths)
  echo "    *) options= commands= ;;"
  echo "  esac"
  echo "}"
  echo "_hamal_type() { # OPTION: what it takes"
  echo "  case \$1 in"
  awk -F '\t' '$2 == "option" && $4 != "-" && !seen[$3 " " $4]++ { names[$4] = names[$4] (names[$4] == "" ? "" : "|") $3 }
    END { for (type in names) printf "    %s) echo %s ;;\n", names[type], type }' "$table" | sort
  echo "  esac"
  echo "}"
  cat <<'END'
_hamal() {
  local tool=${COMP_WORDS[0]##*/} word current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} options commands
  local path=$tool all
  _hamal_table "$path"
  all=$options
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ " $commands " == *" $word "* ]] || continue
    path+=" $word"
    _hamal_table "$path"
    all+=" $options"
  done
  local type
  type=$(_hamal_type "$previous")
  case $previous in
    --log-level) type='debug info warning error off' ;;
    --progress) type='auto text json quiet' ;;
    --incremental) type='auto require never' ;;
    --quiesce) type='no try require' ;;
  esac
  case $type in
    '') ;;
    *' '*) mapfile -t COMPREPLY < <(compgen -W "$type" -- "$current"); return ;;
    FILE | PATH) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    *) COMPREPLY=(); return ;;
  esac
  case $current in
    -*) mapfile -t COMPREPLY < <(compgen -W "$all" -- "$current" | sort -u) ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current"; compgen -f -- "$current") ;;
  esac
}
END
  echo "complete -o filenames -F _hamal ${tools[*]}"
} >"$output/hamal.bash"

{
  echo "#compdef ${tools[*]}"
  echo "# Completion of the tools of hamal for zsh: generated from their tables of options, not to be edited."
  echo "_hamal_options() { # PATH: NAME:PURPOSE of each option"
  echo "  case \$1 in"
  while IFS= read -r path; do
    printf "    '%s') reply=(" "$path"
    awk -F '\t' -v path="$path" '$1 == path && $2 == "option" {
      purpose = $5; gsub(/\047/, "\047\\\047\047", purpose); printf " \047%s:%s\047", $3, purpose }' "$table"
    echo " ) ;;"
  done < <(paths)
  echo "    *) reply=() ;;"
  echo "  esac"
  echo "}"
  echo "_hamal_commands() { # PATH: NAME:PURPOSE of each command"
  echo "  case \$1 in"
  while IFS= read -r path; do
    [ -z "$(words "$path" command)" ] || {
      printf "    '%s') reply=(" "$path"
      awk -F '\t' -v path="$path" '$1 == path && $2 == "command" {
        purpose = $5; gsub(/\047/, "\047\\\047\047", purpose); printf " \047%s:%s\047", $3, purpose }' "$table"
      echo " ) ;;"
    }
  done < <(paths)
  echo "    *) reply=() ;;"
  echo "  esac"
  echo "}"
  cat <<'END'
_hamal() {
  local path_=${words[1]:t} word
  local -a reply all commands
  _hamal_options $path_; all=($reply)
  _hamal_commands $path_; commands=($reply)
  for word in ${words[2,CURRENT-1]}; do
    (( ${commands[(I)$word:*]} )) || continue
    path_+=" $word"
    _hamal_options $path_; all+=($reply)
    _hamal_commands $path_; commands=($reply)
  done
  if [[ ${words[CURRENT]} == -* ]]; then
    _describe -o option all
  else
    (( $#commands )) && _describe command commands
    _files
  fi
}
[[ ${funcstack[1]:-} != _hamal ]] || _hamal "$@"
END
} >"$output/_hamal"
rm "$table"
