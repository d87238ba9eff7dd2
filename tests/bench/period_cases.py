"""A pass of hamal-period over a thousand machines of three disks each, of which none is due: what it costs to find that out.

The state is written by `hamal-period state import`, so that no disk has to be copied for it. With goals instead of peers.
"""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from incremental_cases import CannotRun
from measure import measure, note
from servers import LAB

VMS = 1000
DISKS = 3
LIMIT_SECONDS = 1.0
LIMIT_MIB = 100
FLAG = "".join(f"{block * 4096} {block:064x}\n" for block in range(32))  # about what a disk flag is


def names():
    return [f"vm{number:04}" for number in range(VMS)]


def make_images(directory):
    for vm in names():
        (directory / vm).mkdir(parents=True)
        for disk in range(DISKS):
            with open(directory / vm / f"disk{disk}.raw", "wb") as image:
                image.truncate(1 << 20)


def state(directory):
    """As it is some minutes after all were synced for the first time."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    checkpoints = [
        {"platform": "lab", "vm_id": vm, "disk_id": f"disk{disk}.raw",
         "target": f"file:{directory}/{vm}-{disk}.raw", "vm_name": vm, "change_id": "c",
         "snapshot_id": "s", "generation": 1, "size": 1 << 20, "committed": now,
         "target_uri": f"file:{directory}/{vm}-{disk}.raw", "disk_flag": FLAG, "released": "",
         "proxy": "bench"} for vm in names() for disk in range(DISKS)]
    runs = [
        {"job": "all", "platform": "lab", "vm_id": vm, "vm_name": vm, "state": "done",
         "run_id": f"{number:016x}", "started": now, "ended": now, "last_success": now,
         "mode": "full", "bytes": 1 << 20, "duration_ms": 1000, "failures": 0, "last_error": "",
         "next_run": now} for number, vm in enumerate(names())]
    return {"format": "hamal-state", "version": 1,
            "installation_id": "0f4c2f9e-7a0b-4c0e-9b64-0d8f9e6f1a2b", "disk_flag_key": "a" * 64,
            "tables": {"checkpoints": checkpoints, "in_progress": [], "snapshots": [], "runs": runs,
                       "tasks": [], "task_reports": []}}


@contextlib.contextmanager
def postgresql():
    """Yields its [database] connection."""
    if not os.path.isdir("/usr/lib/postgresql") or not shutil.which("pg_isready"):
        raise CannotRun("PostgreSQL is not installed")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="hamal-pg."))
    directory.chmod(0o755)  # the server's user must get there
    with open(directory / "log", "wb") as log, \
            subprocess.Popen([LAB / "postgresql.sh", directory], stdout=log, stderr=log,
                             stdin=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + 60
            while subprocess.run(["pg_isready", "-q", "-h", directory], check=False).returncode:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("PostgreSQL does not start: " + (directory / "log").read_text())
                time.sleep(0.1)
            yield f"postgresql://hamal:hamal-secret@/hamal?host={directory}"
        finally:
            server.send_signal(2)
    shutil.rmtree(directory)


def idle_pass(directory, connection, rounds=3):
    config = directory / "hamal.conf"
    config.write_text(
        f"[DEFAULT]\nhamal_lib_dir = {directory}/state\nlog_dir = {directory}/logs\n"
        f"hamal_info_path = {directory}/info\n[database]\nconnection = {connection}\n"
        f"[platform lab]\ntype = file\npath = {directory}/images\noffline = yes\n"
        f"[job all]\nplatform = lab\nvm = *\ntarget = file:{directory}/{{vm}}-{{index}}.raw\n"
        "interval = 1h\n", encoding="utf-8")
    config.chmod(0o600)
    note(f"  making {VMS} machines of {DISKS} disks")
    make_images(directory / "images")
    (directory / "state.json").write_text(json.dumps(state(directory)), encoding="utf-8")
    tool = ["hamal-period", "--config", str(config)]
    imported = measure([*tool, "state", "import", str(directory / "state.json")])
    passes = sorted((measure(tool) for _ in range(rounds)), key=lambda done: done.seconds)
    log = (directory / "logs/hamal-period.log").read_text(encoding="utf-8")
    if log.count("pass: 0 due") != rounds:
        raise RuntimeError("something was due:\n" + log[-2000:])
    median = passes[rounds // 2]
    return {"seconds": median.seconds, "slowest_seconds": passes[-1].seconds,
            "cpu_seconds": median.cpu_seconds, "peak_mib": max(p.peak_kib for p in passes) / 1024,
            "import_seconds": imported.seconds}


def with_sqlite(directory):
    return idle_pass(directory, f"sqlite://{directory}/state/hamal.db")


def with_postgresql(directory):
    with postgresql() as connection:
        return idle_pass(directory, connection)


CASES = {"period-idle-sqlite": with_sqlite, "period-idle-postgresql": with_postgresql}


def run_case(name, directory):
    place = directory / name
    place.mkdir()
    return CASES[name](place)


def table(name, row):
    print(f"\n{name}: a pass over {VMS} machines of {DISKS} disks that finds nothing due")
    print(f"  {row['seconds']:.2f} s of at most {LIMIT_SECONDS:.2f} (slowest {row['slowest_seconds']:.2f} s), "
          f"processor {row['cpu_seconds']:.2f} s, peak memory {row['peak_mib']:.0f} MiB of at most {LIMIT_MIB}; "
          f"importing the state took {row['import_seconds']:.2f} s")


def missed(name, row):
    if row["seconds"] > LIMIT_SECONDS:
        yield f"{name}: {row['seconds']:.2f} s of at most {LIMIT_SECONDS:.2f}"
    if row["peak_mib"] > LIMIT_MIB:
        yield f"{name}: peak memory {row['peak_mib']:.0f} MiB of at most {LIMIT_MIB}"
