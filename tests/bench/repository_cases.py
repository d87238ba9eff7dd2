"""A repository in a directory: full backups and restores beside restic and borg, what changes cost,
disks of one template, long chains of versions and a very large disk.

restic and borg end with their data durable, as hamal does. A case whose peers are not installed says
so and measures hamal alone.
"""
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import time

from copy_cases import write_config
from incremental_cases import sync_vm
from make_disk import make_disk
from measure import measure, note
from scale_cases import write_blocks, write_stream
from servers import StorageDaemon, nbdkit

MIB = 1 << 20
BLOCK = 4096
MEMORY_LIMIT_MIB = 512

PEER_RATIO = 5
BOUND_RATIO = 1.25
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


def sha256_rate():
    """Bytes per second of one core."""
    output = subprocess.run(["openssl", "speed", "-seconds", "1", "-bytes", "65536", "-evp",
                             "sha256"], check=True, capture_output=True, text=True).stdout
    return float(output.split()[-1].rstrip("k")) * 1000


# Full backup and restore ---------------------------------------------------------------------------

class Hamal:
    name = "hamal"

    def __init__(self, disk, directory):
        self.disk, self.directory = disk, directory

    def prepare(self):
        self.uri = init(self.directory)

    def backup(self):
        return measure(["hamal-sync", "--source", f"file:{self.disk}", "--vm", "bench", "--disk",
                        "vda", "--target", self.uri, "--json", *config(self.directory)]).seconds

    def restore(self, target):
        return sum(done.seconds for done in restore(self.directory, self.uri, target))


class Restic:
    name = "restic"

    def __init__(self, disk, directory):
        self.disk, self.repository = disk, directory / "restic"
        self.out = directory / "restic-out"
        os.environ.update(RESTIC_PASSWORD="bench", RESTIC_CACHE_DIR=str(directory / "restic-cache"))

    def prepare(self):
        shutil.rmtree(self.repository, ignore_errors=True)
        measure(["restic", "-q", "init", "-r", str(self.repository)])

    def backup(self):
        return measure(["restic", "-q", "-r", str(self.repository), "backup",
                        str(self.disk)]).seconds

    def restore(self, target):
        shutil.rmtree(self.out, ignore_errors=True)
        seconds = measure(["restic", "-q", "-r", str(self.repository), "restore", "latest",
                           "--target", str(self.out)]).seconds
        (self.out / self.disk.relative_to("/")).rename(target)
        return seconds


class Borg:
    name = "borg"

    def __init__(self, disk, directory):
        self.disk, self.repository = disk, directory / "borg"
        self.out = directory / "borg-out"
        os.environ.update(BORG_BASE_DIR=str(directory / "borg-base"),
                          BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes")

    def prepare(self):
        shutil.rmtree(self.repository, ignore_errors=True)
        measure(["borg", "init", "-e", "none", str(self.repository)])

    def backup(self):
        return measure(["borg", "create", f"{self.repository}::bench", str(self.disk)]).seconds

    def restore(self, target):
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()
        seconds = measure(["sh", "-c", 'cd "$1" && borg extract --sparse "$2"', "borg", str(self.out),
                           f"{self.repository}::bench"]).seconds
        (self.out / self.disk.relative_to("/")).rename(target)
        return seconds


class Copy:
    """What the machine does at best with the same bytes: read them, write them, make them durable."""
    name = "nbdcopy --flush"

    def __init__(self, disk, directory):
        self.disk, self.copy = disk, directory / "copy.raw"

    def prepare(self):
        self.copy.unlink(missing_ok=True)

    def backup(self):
        return measure(["nbdcopy", "--flush", str(self.disk), str(self.copy)]).seconds

    def restore(self, target):
        target.unlink(missing_ok=True)
        return measure(["nbdcopy", "--flush", str(self.copy), str(target)]).seconds


def full(directory, rounds):
    disk = directory / "source.raw"
    _, data = make_disk(disk, 4 << 30)
    rivals = [kind(disk, directory) for kind in (Hamal, Restic, Borg, Copy)
              if kind in (Hamal, Copy) or shutil.which(kind.name)]
    absent = [kind.name for kind in (Restic, Borg) if not shutil.which(kind.name)]
    if absent:
        note(f"  repository-full: not installed, left out: {', '.join(absent)}")
    target = directory / "restored.raw"
    seconds = {rival.name: {"backup": [], "restore": []} for rival in rivals}
    for number in range(rounds + 1):  # the first checks the bytes, warms the caches, does not count
        for rival in rivals[number % len(rivals):] + rivals[:number % len(rivals)]:
            rival.prepare()
            os.sync()
            backup = rival.backup()
            target.unlink(missing_ok=True)
            os.sync()
            back = rival.restore(target)
            if number == 0:
                subprocess.run(["cmp", disk, target], check=True)
            else:
                seconds[rival.name]["backup"].append(backup)
                seconds[rival.name]["restore"].append(back)
        note(f"  repository-full: round {number} of {rounds}")
    rows = {name: {what: statistics.median(values) for what, values in of.items()}
            for name, of in seconds.items()}
    return {"data_bytes": data, "rows": rows,
            "hash_seconds": data / sha256_rate() / os.cpu_count()}


def full_bound(result):
    """The slowest of reading, hashing and writing, each with all processors to itself."""
    return max(result["rows"][Copy.name]["backup"], result["hash_seconds"])


def show_full(result):
    hamal = result["rows"]["hamal"]
    print(f"  {'':18}{'backup s':>10}{'ratio':>7}{'restore s':>11}{'ratio':>7}")
    for name, row in result["rows"].items():
        print(f"  {name:18}{row['backup']:10.2f}{row['backup'] / hamal['backup']:7.2f}"
              f"{row['restore']:11.2f}{row['restore'] / hamal['restore']:7.2f}")
    print(f"  {result['data_bytes'] / 1e6:.0f} MB; SHA-256 on all processors takes "
          f"{result['hash_seconds']:.2f} s; hamal takes {hamal['backup'] / full_bound(result):.2f} "
          "times the slowest of reading, hashing and writing")


def missed_full(result):
    hamal = result["rows"]["hamal"]
    for peer in (Restic.name, Borg.name):
        if peer in result["rows"]:
            for what in ("backup", "restore"):
                ratio = result["rows"][peer][what] / hamal[what]
                if ratio < PEER_RATIO and (what, peer) != ("restore", Borg.name):
                    yield f"{what}: {ratio:.2f} times as quick as {peer}, of {PEER_RATIO}"
    if hamal["backup"] > BOUND_RATIO * full_bound(result):
        yield (f"backup: {hamal['backup'] / full_bound(result):.2f} times the machine's bound, of "
               f"at most {BOUND_RATIO}")


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
        for number in range(rounds):
            offsets = generator.sample(range(size // BLOCK), count)
            write_noise(source, [block * BLOCK for block in offsets], number)
            dirty, granularity = source.dirty()
            before, files = tree_bytes(directory / "repository"), tree_files(directory / "repository")
            seconds, disk = sync_repository(directory, uri, "require")
            runs.append({"dirty": dirty, "granularity": granularity, "seconds": seconds,
                         "read": disk["read_bytes"],
                         "stored": tree_bytes(directory / "repository") - before,
                         "objects": len(tree_files(directory / "repository") - files)})
            note(f"  repository-changes: round {number + 1} of {rounds}")
    return {"runs": runs, **{key: statistics.median(run[key] for run in runs) for key in runs[0]}}


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
          f"{result['seconds']:.2f} s with all five tools")


def missed_changes(result):
    if result["stored"] > CHANGES_STORED * result["dirty"]:
        yield f"stored {result['stored'] / result['dirty']:.2f} of dirty, of {CHANGES_STORED}"
    if result["objects"] > CHANGES_OBJECTS:
        yield f"{result['objects']:.0f} objects, of the tens"


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


def large(directory, _rounds):
    """64 TiB by NBD, a thousand versions, a GiB of changes in all."""
    size, count = 64 << 40, 1000
    uri = init(directory)
    generator = random.Random(9)
    with nbdkit(directory, "pattern", "pattern", f"size={size}") as source:
        def extents_of(_number):
            return (("vda", spot * MIB, MIB // 16, "data")
                    for spot in sorted(generator.sample(range(size // MIB), 16)))
        peak, last = add_versions(directory, uri, source, size, count, extents_of)
        listed = measure(["hamal-cbt-read", uri, "--vm", "bench", "--disk", "vda",
                          *config(directory)], stdout=directory / "extents.jsonl")
        first = directory / "first.bin"
        opened = measure(["sh", "-c", '"$@" | head -c 1048576 >"$0"', str(first), "hamal-cbt-read",
                          uri, "--vm", "bench", "--disk", "vda", "--raw", *config(directory)])
    shown = measure(["hamal-repo", "show", uri, "bench", "--json", *config(directory)])
    return {"versions": count, "peak_mib": max(peak, listed.peak_kib / 1024, opened.peak_kib / 1024),
            "last_seconds": last, "listed_seconds": listed.seconds,
            "open_seconds": opened.seconds, "show_seconds": shown.seconds}


def show_large(result):
    print(f"  {result['versions']} versions: the last took {result['last_seconds']:.2f} s to add; all "
          f"extents listed in {result['listed_seconds']:.2f} s, the first MiB read after "
          f"{result['open_seconds']:.2f} s; peak {result['peak_mib']:.0f} MiB")


def missed_large(result):
    if result["peak_mib"] > MEMORY_LIMIT_MIB:
        yield f"peak memory {result['peak_mib']:.0f} MiB of at most {MEMORY_LIMIT_MIB}"
    if result["open_seconds"] > OPEN_SECONDS:
        yield f"a version is open after {result['open_seconds']:.2f} s, of {OPEN_SECONDS}"


# name: (measure, show, what is missed)
CASES = {
    "repository-full": (full, show_full, missed_full),
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
