"""A vSphere of a thousand machines, and a disk with fifty thousand changed areas, at the simulator of tests/lab/vsphere.

Its time is not a vCenter's, so it is told apart: what its answers took, by its own clock, and what is left is hamal's. With
goals instead of peers.
"""
import contextlib
import json
import pathlib
import subprocess
import sys

from incremental_cases import CannotRun
from measure import measure, note
from servers import LAB

sys.path.insert(0, str(LAB / "vsphere"))
# pylint: disable=wrong-import-position
from sim import PASSWORD, USER, Simulator  # noqa: E402

VMS = 1000
AREAS = 50_000
INVENTORY_SECONDS = 2.0  # the server's time included
AREAS_SECONDS = 1.0      # without it
LIMIT_MIB = 100


@contextlib.contextmanager
def vsphere(directory, *arguments):
    """Yields it, with a hamal.conf that has it as the platform "lab"."""
    program = directory.parent / "vsphere-sim"
    built = subprocess.run([LAB / "vsphere/build.sh", program], capture_output=True, text=True, check=False)
    if built.returncode == 77:
        raise CannotRun(built.stderr.strip())
    if built.returncode != 0:
        raise RuntimeError(built.stderr)
    server = Simulator(program, directory / "vsphere", *arguments)
    try:
        config = directory / "hamal.conf"
        config.write_text(
            f"[DEFAULT]\nhamal_lib_dir = {directory}/state\nlog_dir = {directory}/logs\n"
            f"hamal_info_path = {directory}/info\n[database]\nconnection = sqlite://{directory}/hamal.db\n"
            f"[platform lab]\ntype = vmware\nendpoint = {server.endpoint}\nuser = {USER}\nsecret = {PASSWORD}\n"
            f"thumbprint = {server.thumbprint}\nenable_change_tracking = True\n", encoding="utf-8")
        config.chmod(0o600)
        yield server
    finally:
        server.stop()


def run(directory, server, tool, *arguments):
    """The command's figures, and the seconds that the server took for its answers."""
    server.tell("log", {})
    done = measure([tool, "--config", str(directory / "hamal.conf"), *arguments])
    return done, server.state()["soap_ms"] / 1000


def figures(runs, **more):
    """The median of runs by what was hamal's."""
    runs = sorted(runs, key=lambda one: one[0].seconds - one[1])
    done, server = runs[len(runs) // 2]
    return {"seconds": done.seconds, "server_seconds": server, "own_seconds": done.seconds - server,
            "cpu_seconds": done.cpu_seconds, "peak_mib": max(one.peak_kib for one, _ in runs) / 1024, **more}


def inventory(directory, rounds):
    with vsphere(directory, "--more", str(VMS)) as server:
        runs = [run(directory, server, "hamal-snapshot", "vms", "lab", "--json") for _ in range(rounds)]
        found = sum(len(json.loads(line)["vms"]) if "vms" in json.loads(line) else 1
                    for line in runs[0][0].stdout.splitlines())
        if found != VMS:
            raise RuntimeError(f"{found} machines of {VMS}")
        return figures(runs, vms=VMS)


def one_of_many(directory, rounds):
    """What a command pays to find its machine by name among a thousand."""
    with vsphere(directory, "--vm", "web01:1M:off", "--more", str(VMS)) as server:
        return figures([run(directory, server, "hamal-snapshot", "list", "lab:web01") for _ in range(rounds)], vms=VMS)


def changed_areas(directory, rounds):
    with vsphere(directory, "--vm", "web01:8G:off") as server:
        def snapshot(name):
            document = directory / name
            document.write_text(run(directory, server, "hamal-snapshot", "create", "lab:web01")[0].stdout, encoding="utf-8")
            return document, json.loads(document.read_text(encoding="utf-8"))
        first, base = snapshot("first.json")
        run(directory, server, "hamal-snapshot", "finish", str(first), "--committed")
        document, _ = snapshot("second.json")
        server.tell("settings", {"areas": AREAS})
        since = base["disks"][0]["change_id"]
        runs = [run(directory, server, "hamal-cbt-read", str(document), "--since", since) for _ in range(rounds)]
        extents = sum('"offset"' in line for line in runs[0][0].stdout.splitlines())
        if extents != AREAS:
            raise RuntimeError(f"{extents} extents of {AREAS}")
        return figures(runs, areas=AREAS)


CASES = {"vmware-inventory": inventory, "vmware-one-of-many": one_of_many, "vmware-areas": changed_areas}


def run_case(name, directory, rounds):
    place = directory / name
    place.mkdir()
    note(f"  {name}")
    return CASES[name](place, rounds)


def table(name, row):
    what = f"{row['areas']} changed areas of a disk" if "areas" in row else f"{row['vms']} machines"
    print(f"\n{name}: {what}")
    print(f"  {row['seconds']:.2f} s, {row['server_seconds']:.2f} s of it the simulator's; processor {row['cpu_seconds']:.2f} s, "
          f"peak memory {row['peak_mib']:.0f} MiB of at most {LIMIT_MIB}")


def missed(name, row):
    if name == "vmware-areas" and row["own_seconds"] > AREAS_SECONDS:
        yield f"{name}: {row['own_seconds']:.2f} s beside the server's of at most {AREAS_SECONDS:.2f}"
    if name != "vmware-areas" and row["seconds"] > INVENTORY_SECONDS:
        yield f"{name}: {row['seconds']:.2f} s of at most {INVENTORY_SECONDS:.2f}"
    if row["peak_mib"] > LIMIT_MIB:
        yield f"{name}: peak memory {row['peak_mib']:.0f} MiB of at most {LIMIT_MIB}"
