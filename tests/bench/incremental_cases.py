"""Incremental syncs of a running, sparse disk: what is read, how long it takes, what memory it costs."""
import contextlib
import json
import os
import pathlib
import random
import shutil
import statistics
import tempfile

from copy_cases import write_config
from measure import CommandFailed, measure, note
from servers import StorageDaemon

GIB = 1 << 30
BLOCK = 4096
# name: (virtual size, blocks of 4 KiB written between two runs). One percent of 16 GiB, a tenth of
# that, and the same changes on a disk a thousand times as large.
CASES = {
    "incremental-16g": (16 * GIB, 16 * GIB // BLOCK // 100),
    "incremental-16g-tenth": (16 * GIB, 16 * GIB // BLOCK // 1000),
    "incremental-16t": (16 << 40, 16 * GIB // BLOCK // 100),
}


# However large the disk.
PEAK_MIB = 256


class CannotRun(Exception):
    """The machine lacks something that the case needs."""


def can_hold(directory, size, needed):
    """Whether a sparse file of that size is possible there, and so many bytes in it."""
    probe = pathlib.Path(directory) / "probe.raw"
    try:
        probe.touch()
        os.truncate(probe, size)
        return shutil.disk_usage(directory).free > needed
    except OSError:
        return False
    finally:
        probe.unlink(missing_ok=True)


@contextlib.contextmanager
def replica_directory(directory, size, needed):
    """ext4 refuses files of 16 TiB, tmpfs and XFS take them. (An NBD target would not do: what it
    holds is unknown, so that the first full must zero all of it, and that takes a server long.)"""
    if can_hold(directory, size, needed):
        yield directory
    elif os.access("/dev/shm", os.W_OK) and can_hold("/dev/shm", size, needed):
        with tempfile.TemporaryDirectory(prefix="hamal-bench-", dir="/dev/shm") as other:
            yield pathlib.Path(other)
    else:
        raise CannotRun(f"neither {directory} nor /dev/shm can hold a sparse file of {size} bytes "
                        f"and {needed} bytes in it")


def sync_vm(directory, target, mode):
    """One run of the three tools, one after the other so that each is measured alone."""
    config = ["--config", str(directory / "hamal.conf")]
    snapshot = directory / "snapshot.json"
    extents = directory / "extents.jsonl"
    tools = {"hamal-snapshot create": measure(
        ["hamal-snapshot", "create", "bench:bench", *config], stdout=snapshot)}
    try:
        tools["hamal-cbt-read"] = measure(
            ["hamal-cbt-read", "-", "--target", target, *config], stdin=snapshot, stdout=extents)
        tools["hamal-sync"] = measure(
            ["hamal-sync", "-", "--target", target, f"--incremental={mode}", "--json", *config],
            stdin=extents)
        outcome = "--committed"
    except CommandFailed:
        measure(["hamal-snapshot", "finish", str(snapshot), "--failed", *config])
        raise
    tools["hamal-snapshot finish"] = measure(
        ["hamal-snapshot", "finish", str(snapshot), outcome, *config])
    return tools, json.loads(tools["hamal-sync"].stdout)["disks"][0]


def run_case(name, directory, rounds):
    size, blocks = CASES[name]
    directory = pathlib.Path(directory) / name
    directory.mkdir()
    with replica_directory(directory, size, 2 * rounds * blocks * BLOCK) as place, \
            StorageDaemon(directory / "source", size) as source:
        write_config(directory)
        with open(directory / "hamal.conf", "a", encoding="utf-8") as config:
            config.write(f"[platform bench]\ntype = qemu\nqmp = {source.facts['qmp']}\n"
                         f"nbd_socket = {source.facts['nbd']}\n"
                         f"scratch_dir = {source.facts['scratch']}\nvm_id = bench\n")
        return summary(size, run_rounds(name, directory, source, f"file:{place}/replica.raw",
                                        rounds, size, blocks))


def run_rounds(name, directory, source, target, rounds, size, blocks):
    generator = random.Random(7)
    _, disk = sync_vm(directory, target, "auto")
    if disk["mode"] != "full":
        raise RuntimeError(f"the first run is {disk['mode']}")
    runs = []
    for number in range(rounds):
        offsets = generator.sample(range(size // BLOCK), blocks)
        source.write_blocks((block * BLOCK for block in offsets), number % 255 + 1)
        dirty, granularity = source.dirty()
        tools, disk = sync_vm(directory, target, "require")
        runs.append({"dirty": dirty, "granularity": granularity, "tools": tools, "disk": disk})
        note(f"  {name}: round {number + 1} of {rounds}")
    # The disk is not written to any more: replica and disk are the same now, or hamal missed something.
    measure(["qemu-img", "compare", "-f", "raw", "-F", "raw", source.live,
             target.removeprefix("file:")])
    return runs


def summary(size, runs):
    def median(values):
        return statistics.median(list(values))
    names = list(runs[0]["tools"])
    return {
        "disk_bytes": size,
        "rounds": len(runs),
        "dirty_bytes": median(r["dirty"] for r in runs),
        "granularity": runs[0]["granularity"],
        "read_bytes": median(r["disk"]["read_bytes"] for r in runs),
        "read_per_dirty": max(r["disk"]["read_bytes"] / r["dirty"] for r in runs),
        "seconds": median(sum(t.seconds for t in r["tools"].values()) for r in runs),
        "tools": {tool: {"seconds": median(r["tools"][tool].seconds for r in runs),
                         "peak_mib": max(r["tools"][tool].peak_kib for r in runs) / 1024}
                  for tool in names},
        "peak_mib": max(t.peak_kib for r in runs for t in r["tools"].values()) / 1024,
    }


def missed(name, row):
    if row["peak_mib"] > PEAK_MIB:
        yield f"{name}: peak memory {row['peak_mib']:.0f} MiB of at most {PEAK_MIB}"
