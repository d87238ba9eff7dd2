"""A repository: fulls and restores beside their peers, what changes cost, disks of one template, long
chains of versions and a very large disk.

A case whose peers are not installed says so.
"""
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import time

import repository_full
import repository_s3
from copy_cases import write_config
from incremental_cases import sync_vm
from make_disk import make_disk
from measure import measure, note
from scale_cases import write_blocks, write_stream
from servers import StorageDaemon, nbdkit

MIB = 1 << 20
BLOCK = 4096
MEMORY_LIMIT_MIB = 512

CHANGES_STORED = 1.3
CHANGES_OBJECTS = 99  # "in the tens"
TEMPLATE_STORED = 1.10
CHAIN_RATIO = 1.5
OPEN_SECONDS = 0.1


def tree_bytes(path):
    return sum(entry.stat().st_size for entry in pathlib.Path(path).rglob("*") if entry.is_file())


def tree_files(path):
    return {str(entry) for entry in pathlib.Path(path).rglob("*") if entry.is_file()}


def config(directory):
    return ["--config", str(directory / "hamal.conf")]


def init(directory, name="repository"):
    """An empty repository, and a state that knows nothing."""
    write_config(directory)
    shutil.rmtree(directory / name, ignore_errors=True)
    uri = f"dir:{directory / name}"
    measure(["hamal-repo", "init", uri, *config(directory)])
    return uri


def restore(directory, uri, target, vm="bench", *version):
    """Both tools of the pipe, one after the other: seconds, and the larger peak."""
    extents = directory / "restore.jsonl"
    target.unlink(missing_ok=True)
    listed = measure(["hamal-cbt-read", uri, "--vm", vm, "--disk", "vda", *version,
                      *config(directory)], stdout=extents)
    synced = measure(["hamal-sync", str(extents), "--target", f"file:{target}", "--json",
                      "--incremental=never", *config(directory)])
    return listed, synced


# Changes of a running disk -------------------------------------------------------------------------

def changes(directory, rounds):
    """10,486 random writes of 4 KiB between two versions of a running disk of 4 GiB."""
    size, count = 4 << 30, 10_486
    uri = init(directory)
    runs = []
    with StorageDaemon(directory / "source", size) as source:
        with open(directory / "hamal.conf", "a", encoding="utf-8") as text:
            text.write(f"[platform bench]\ntype = qemu\nqmp = {source.facts['qmp']}\n"
                       f"nbd_socket = {source.facts['nbd']}\n"
                       f"scratch_dir = {source.facts['scratch']}\nvm_id = bench\n")
        sync_repository(directory, uri, "auto")
        generator = random.Random(7)

        def write_random(how_many, seed):
            offsets = generator.sample(range(size // BLOCK), how_many)
            write_noise(source, [block * BLOCK for block in offsets], seed)
        write_random(count // 10, rounds)
        tenth_seconds, _ = sync_repository(directory, uri, "require")
        for number in range(rounds):
            write_random(count, number)
            dirty, granularity = source.dirty()
            before, files = tree_bytes(directory / "repository"), tree_files(directory / "repository")
            seconds, disk = sync_repository(directory, uri, "require")
            runs.append({"dirty": dirty, "granularity": granularity, "seconds": seconds,
                         "read": disk["read_bytes"],
                         "stored": tree_bytes(directory / "repository") - before,
                         "objects": len(tree_files(directory / "repository") - files)})
            note(f"  repository-changes: round {number + 1} of {rounds}")
    return {"runs": runs, "tenth_seconds": tenth_seconds,
            **{key: statistics.median(run[key] for run in runs) for key in runs[0]}}


def write_noise(source, offsets, seed):
    """Every block another content that cannot be compressed: a file that qemu-io writes from."""
    noise = source.directory / "noise.raw"
    noise.write_bytes(random.Random(seed).randbytes(len(offsets) * BLOCK))
    with open(noise, "rb") as blocks:
        commands = []
        for number, offset in enumerate(offsets):
            piece = source.directory / f"noise-{number % 64}.raw"
            piece.write_bytes(blocks.read(BLOCK))
            commands.append(f"write -q -s {piece} {offset} 4k\n")
            if number % 64 == 63 or number == len(offsets) - 1:
                subprocess.run(["qemu-io", "-f", "raw", source.live], input="".join(commands),
                               text=True, check=True, stdout=subprocess.DEVNULL)
                commands = []


def sync_repository(directory, uri, mode):
    begin = time.monotonic()
    snapshot = directory / "snapshot.json"
    try:
        tools, disk = sync_vm(directory, uri, mode)
    finally:
        published = measure(["hamal-repo", "commit", str(snapshot), "--target", uri,
                             *config(directory)])
    return sum(tool.seconds for tool in tools.values()) + published.seconds, disk


def show_changes(result):
    print(f"  dirty {result['dirty'] / 1e6:.1f} MB (granularity {result['granularity']:.0f}), read "
          f"{result['read'] / 1e6:.1f} MB, stored {result['stored'] / 1e6:.1f} MB "
          f"({result['stored'] / result['dirty']:.3f} of dirty) in {result['objects']:.0f} objects, "
          f"{result['seconds']:.2f} s with all five tools; a tenth of the writes "
          f"{result['tenth_seconds']:.2f} s")


def missed_changes(result):
    if result["stored"] > CHANGES_STORED * result["dirty"]:
        yield f"stored {result['stored'] / result['dirty']:.2f} of dirty, of {CHANGES_STORED}"
    if result["objects"] > CHANGES_OBJECTS:
        yield f"{result['objects']:.0f} objects, of the tens"
    if result["seconds"] > 10 * result["tenth_seconds"]:
        yield f"{result['seconds'] / result['tenth_seconds']:.1f} times the time of a tenth of the writes"


# Two disks of one template -------------------------------------------------------------------------

def templates(directory, _rounds):
    disk = directory / "template.raw"
    _, data = make_disk(disk, 2 << 30)
    uri = init(directory)
    sizes = []
    for number in range(2):
        if number == 1:
            # A twentieth of the data, in runs of 1 MiB as an installation writes them.
            spots = random.Random(5).sample(range((2 << 30) // MIB), data // 20 // MIB)
            with open(disk, "r+b", buffering=0) as image:
                for spot in spots:
                    image.seek(spot * MIB)
                    image.write(random.Random(spot).randbytes(MIB))
        measure(["hamal-sync", "--source", f"file:{disk}", "--vm", f"vm{number}", "--disk", "vda",
                 "--target", uri, *config(directory)])
        sizes.append(tree_bytes(directory / "repository"))
    return {"one": sizes[0], "two": sizes[1], "ratio": sizes[1] / sizes[0]}


def show_templates(result):
    print(f"  one disk {result['one'] / 1e6:.0f} MB, two {result['two'] / 1e6:.0f} MB: "
          f"{result['ratio']:.3f}")


def missed_templates(result):
    if result["ratio"] > TEMPLATE_STORED:
        yield f"two disks store {result['ratio']:.3f} of one, of {TEMPLATE_STORED}"


# Chains of versions --------------------------------------------------------------------------------

def add_versions(directory, uri, source, size, count, extents_of):
    """A full and then incrementals from one source, by streams; the largest peak and the last time."""
    stream, document = directory / "version.jsonl", directory / "snapshot.json"
    platform = source.partition(":")[0].partition("+")[0]
    peak = 0
    for number in range(count):
        write_stream(stream, [("vda", size, source)], extents_of(number),
                     f"c{number - 1}" if number else "", f"c{number}", platform)
        document.write_text(json.dumps({
            "format": "hamal-snapshot", "version": 1, "platform": platform, "platform_type": platform,
            "vm_id": "bench", "vm_name": "bench", "snapshot_id": f"s-c{number}",
            "created": "2026-01-01T00:00:00Z",
            "disks": [{"id": "vda", "label": "vda", "size": size, "change_id": f"c{number}",
                       "source": source}]}), encoding="utf-8")
        synced = measure(["hamal-sync", str(stream), "--target", uri, *config(directory)])
        published = measure(["hamal-repo", "commit", str(document), "--target", uri,
                             *config(directory)])
        peak = max(peak, synced.peak_kib, published.peak_kib)
        if number % 100 == 99:
            note(f"  version {number + 1} of {count}: {synced.seconds + published.seconds:.2f} s")
    return peak / 1024, synced.seconds + published.seconds


def chain(directory, rounds):
    """A thousand incrementals of a disk of 1 GiB, each of 64 blocks of 4 KiB."""
    size, count = 1 << 30, 1000
    disk = directory / "disk.raw"
    make_disk(disk, size)
    generator = random.Random(3)
    uri = init(directory)

    def extents_of(number):
        if number == 0:
            return (("vda", offset, MIB, "data") for offset in range(0, size, MIB))
        blocks = sorted(generator.sample(range(size // BLOCK), 64))
        write_blocks(disk, blocks, size)
        return (("vda", block * BLOCK, BLOCK, "data") for block in blocks)
    peak, last = add_versions(directory, uri, f"file:{disk}", size, count, extents_of)
    once = init_beside(directory, disk)
    times = {"chain": [], "full": [], "open": []}
    for _ in range(rounds):
        for name, where in (("chain", uri), ("full", once)):
            target = directory / f"restored-{name}.raw"
            os.sync()
            listed, synced = restore(directory, where, target)
            times[name].append(synced.seconds)
            if name == "chain":
                times["open"].append(listed.seconds)
            subprocess.run(["cmp", disk, target], check=True)
    return {"versions": count, "peak_mib": peak, "last_seconds": last,
            **{name: statistics.median(values) for name, values in times.items()}}


def init_beside(directory, disk):
    uri = f"dir:{directory / 'once'}"
    measure(["hamal-repo", "init", uri, *config(directory)])
    measure(["hamal-sync", "--source", f"file:{disk}", "--vm", "bench", "--disk", "vda", "--target",
             uri, *config(directory)])
    return uri


def show_chain(result):
    print(f"  {result['versions']} versions: the last took {result['last_seconds']:.2f} s to add, peak "
          f"{result['peak_mib']:.0f} MiB; restored in {result['chain']:.2f} s, the same as one full "
          f"in {result['full']:.2f} s ({result['chain'] / result['full']:.2f}); the extents listed in "
          f"{result['open']:.2f} s")


def missed_chain(result):
    if result["chain"] > CHAIN_RATIO * result["full"]:
        yield f"the chain restores in {result['chain'] / result['full']:.2f} of a full, of {CHAIN_RATIO}"


def check_restored(uri, spots):
    """What nbdkit's pattern has there: every 8 bytes their own offset. Between them zeros."""
    for spot in spots:
        for offset, expected in ((spot, spot), (spot + MIB // 2, 0)):
            said = subprocess.run(["qemu-io", "-r", "-f", "raw", "-c", f"read -v {offset} 512", uri],
                                  text=True, check=True, capture_output=True).stdout
            found = int("".join(said.split(":", 1)[1].split()[:8]), 16)
            if found != expected:
                raise RuntimeError(f"at {offset} {found} was restored, and not {expected}")


def restore_large(directory, uri, size, spots):
    """Into memory, which takes what is written and no more."""
    extents = directory / "restore.jsonl"
    with nbdkit(directory, "restored", "memory", f"{size}") as target:
        listed = measure(["hamal-cbt-read", uri, "--vm", "bench", "--disk", "vda",
                          *config(directory)], stdout=extents)
        synced = measure(["hamal-sync", str(extents), "--target", target, "--json",
                          "--incremental=never", *config(directory)])
        check_restored(target, spots)
    return listed, synced


def large(directory, _rounds, count=1000):
    """64 TiB by NBD, a thousand versions, a GiB of changes in all; and the restore of the newest."""
    size = 64 << 40
    uri = init(directory)
    generator = random.Random(9)
    spots = []
    with nbdkit(directory, "pattern", "pattern", f"size={size}") as source:
        def extents_of(_number):
            spots.append(sorted(generator.sample(range(size // MIB), 16)))
            return (("vda", spot * MIB, MIB // 16, "data") for spot in spots[-1])
        peak, last = add_versions(directory, uri, source, size, count, extents_of)
        listed, restored = restore_large(directory, uri, size, [of[0] * MIB for of in spots[::100]])
        first = directory / "first.bin"
        opened = measure(["sh", "-c", '"$@" | head -c 1048576 >"$0"', str(first), "hamal-cbt-read",
                          uri, "--vm", "bench", "--disk", "vda", "--raw", *config(directory)])
    shown = measure(["hamal-repo", "show", uri, "bench", "--json", *config(directory)])
    return {"versions": count, "peak_mib": max(peak, listed.peak_kib / 1024, opened.peak_kib / 1024),
            "restore_peak_mib": restored.peak_kib / 1024, "restore_seconds": restored.seconds,
            "last_seconds": last, "listed_seconds": listed.seconds,
            "open_seconds": opened.seconds, "show_seconds": shown.seconds}


def show_large(result):
    print(f"  {result['versions']} versions: the last took {result['last_seconds']:.2f} s to add; all "
          f"extents listed in {result['listed_seconds']:.2f} s, the first MiB read after "
          f"{result['open_seconds']:.2f} s; peak {result['peak_mib']:.0f} MiB; restored in "
          f"{result['restore_seconds']:.2f} s, peak {result['restore_peak_mib']:.0f} MiB")


def missed_large(result):
    for what in ("peak_mib", "restore_peak_mib"):
        if result[what] > MEMORY_LIMIT_MIB:
            yield f"{what}: {result[what]:.0f} MiB of at most {MEMORY_LIMIT_MIB}"
    if result["open_seconds"] > OPEN_SECONDS:
        yield f"a version is open after {result['open_seconds']:.2f} s, of {OPEN_SECONDS}"


# name: (measure, show, what is missed)
CASES = {
    "repository-full": (repository_full.measure_full, repository_full.show, repository_full.missed),
    "repository-s3": (repository_s3.beside_rclone, repository_s3.show, lambda _: ()),
    "repository-changes": (changes, show_changes, missed_changes),
    "repository-templates": (templates, show_templates, missed_templates),
    "repository-chain": (chain, show_chain, missed_chain),
    "repository-64t": (large, show_large, missed_large),
}


def run_case(name, directory, rounds):
    place = directory / name
    place.mkdir()
    try:
        return CASES[name][0](place, rounds)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def table(name, result):
    print(f"\n{name}")
    CASES[name][1](result)


def missed(name, result):
    return [f"{name}: {what}" for what in CASES[name][2](result)]
