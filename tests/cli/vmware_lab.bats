#!/usr/bin/env bats
# The vSphere that the tests of the platform vmware run against.
load helpers
load vmware_helpers

# Break it: leave the check of the order out of schema.go, or the copy out of createSnapshot.
@test "the simulator does what the tests build on" {
  vsphere_program
  python3 -B "$HAMAL_SOURCE/tests/lab/vsphere/sim_test.py" "$VSPHERE_SIM"
}
