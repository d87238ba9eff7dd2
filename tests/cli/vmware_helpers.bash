# shellcheck shell=bash
# A vCenter for a file of tests (tests/lab/vsphere). Load after helpers.

# vsphere_program: builds it when needed; $VSPHERE_SIM. Skips without Go.
vsphere_program() {
  VSPHERE_SIM=$(dirname "$(cd "$HAMAL_BIN" && pwd)")/lab/vsphere-sim
  export VSPHERE_SIM
  local said
  said=$("$HAMAL_SOURCE/tests/lab/vsphere/build.sh" "$VSPHERE_SIM" 2>&1 3>&-) && return
  [ $? != 77 ] || skip "$said"
  printf '%s\n' "$said" >&2
  return 1
}
