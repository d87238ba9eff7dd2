# shellcheck shell=bash
# The tools that a script runs see the secrets that their unit is given: `credential:NAME` of hamal.conf is what systemd
# hands a service by LoadCredential=, to it alone. So the lines of the unit in effect, drop-ins included, are followed as
# systemd.exec(5) says, into a folder like systemd's own. Included after common.sh and form.sh.

# shellcheck disable=SC2154 # common.sh sets them

# The unit that makes the passes here, or would.
pass_unit() {
  if unit_active hamal-period-loop.service || systemctl is-enabled --quiet hamal-period-loop.service 2> /dev/null; then
    echo hamal-period-loop.service
  else
    echo hamal-period.service
  fi
}

# credential_lines UNIT: "KEY VALUE" of each, in the order in which they count.
credential_lines() {
  systemctl cat "$1" 2> /dev/null | sed -e ':a' -e '/\\$/ { N; s/\\\n/ /; ta' -e '}' |
    sed -nE 's/^[[:space:]]*((Load|Set)Credential(Encrypted)?)[[:space:]]*=[[:space:]]*/\1 /p'
}

# find_credential PATH [.encrypted]: as systemd looks for it; a name without a slash lies in one of the stores, of which an
# encrypted one has its own, looked into first.
find_credential() {
  local folder suffix suffixes=('')
  case $1 in
    /*) echo "$root$1" ;;
    *)
      [ -z "${2:-}" ] || suffixes=("$2" '')
      for suffix in "${suffixes[@]}"; do
        for folder in /etc /run /usr/local/lib /usr/lib; do
          folder=$root$folder/credstore$suffix
          [ ! -e "$folder/$1" ] || { echo "$folder/$1"; return; }
        done
      done
      echo "$1" ;;
  esac
}

# One that cannot be read is told: the unit would not start for it either, and the tool that needs it says so.
take_credential() { # KEY VALUE
  local id=${2%%:*} from=${2#*:} place
  if [[ ! $id =~ ^[A-Za-z0-9._-]+$ || $id == . || $id == .. ]]; then
    warn "$1=$2 of $(pass_unit) names no credential"
    return 0
  fi
  place=$credentials/$id
  case $1 in
    LoadCredential)
      from=$(find_credential "$from")
      [ -f "$from" ] || { warn "the credential $id of $(pass_unit) is no file: $from"; return 0; }
      rm -f "$place"
      cat "$from" > "$place" || warn "the credential $id of $(pass_unit) cannot be read: $from" ;;
    LoadCredentialEncrypted)
      from=$(find_credential "$from" .encrypted)
      systemd-creds decrypt --name="$id" "$from" "$place" 2> /dev/null ||
        warn "the credential $id of $(pass_unit) cannot be decrypted: $from" ;;
    # A default: what was loaded by that name is more.
    SetCredential) [ -e "$place" ] || printf '%b' "$from" > "$place" ;;
    *) warn "$1=$id of $(pass_unit) is not known to $script" ;;
  esac
}

# take_credentials: once, under the lock of updates. Gone with the script; what a killed one left is replaced.
take_credentials() {
  local lines key value
  drop_credentials
  systemd_runs || return 0
  lines=$(credential_lines "$(pass_unit)") || lines=
  [ -n "$lines" ] || return 0
  trap drop_credentials EXIT
  # In a folder that is root's alone until it is complete: nobody can put a link into it.
  mkdir -m 0700 "$credentials"
  while read -r key value; do
    if [ -n "$value" ]; then (umask 0277 && take_credential "$key" "$value"); else rm -f "$credentials"/*; fi
  done <<< "$lines"
  if [ -z "$root" ] && [ "$(id -u)" -eq 0 ]; then chown -R "$user:$user" "$credentials"; fi
}
drop_credentials() { rm -rf "$credentials"; }
