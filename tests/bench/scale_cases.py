"""Sizes at the edge, by extent streams written by hand (hamal-stream(5)): what they cost.

Their peers would need hours or do not exist, so these have goals of memory instead of ratios.
"""
import json
import os
import random
import shutil

from copy_cases import write_config
from measure import measure, note
from servers import nbdkit

MIB = 1 << 20
BLOCK = 4096
MEMORY_LIMIT_MIB = 512  # hamal.conf(5), memory_limit: the default
WINDOW_MIB = 128  # of a run whose extents are many and whose requests are few


def write_stream(path, disks, extents, base="", change_id="", platform="nbd"):
    """`disks`: (id, size, source URI). `extents`: (disk id, offset, length, kind), in order."""
    header = {"format": "hamal-extents", "version": 1, "platform": platform, "vm_id": "bench",
              "vm_name": "bench", "snapshot_id": f"s-{change_id}", "disks": [
                  {"id": name, "size": size, "mode": "incremental" if base else "full",
                   "reason": "bench", "base_change_id": base, "change_id": change_id,
                   "source": source} for name, size, source in disks]}
    totals = {name: {"extents": 0, "data_bytes": 0, "zero_bytes": 0} for name, _, _ in disks}
    with open(path, "w", encoding="ascii", buffering=1 << 20) as stream:
        stream.write(json.dumps(header, separators=(",", ":")) + "\n")
        for disk, offset, length, kind in extents:
            stream.write(f'{{"disk":"{disk}","offset":{offset},"length":{length},'
                         f'"kind":"{kind}"}}\n')
            of_disk = totals[disk]
            of_disk["extents"] += 1
            of_disk[kind + "_bytes"] += length
        stream.write(json.dumps({"trailer": totals}, separators=(",", ":")) + "\n")


def sync(directory, stream, target, options=()):
    done = measure(["hamal-sync", str(stream), "--target", target, "--config",
                    str(directory / "hamal.conf"), "--json", *options])
    if done.stderr:  # a key of the configuration that is ignored would make it another case
        raise RuntimeError(done.stderr)
    return done


def row_of(done, limit_mib, **more):
    disks = json.loads(done.stdout)["disks"]

    def total(key):
        return sum(disk[key] for disk in disks)
    return {"seconds": done.seconds, "cpu_seconds": done.cpu_seconds,
            "peak_mib": done.peak_kib / 1024, "limit_mib": limit_mib,
            "copy_seconds": max(disk["copy_seconds"] for disk in disks),
            "flush_seconds": max(disk["flush_seconds"] for disk in disks),
            "read_requests": total("read_requests"), "read_bytes": total("read_bytes"),
            "written_bytes": total("written_bytes"),
            "asked_extents": sum(disk["asked"]["extents"] for disk in disks), **more}


def many_disks(directory, options):
    """32 disks at once, 16 readers each. The targets write late, so that although the disks are opened
    one after the other all are copied at once, with all their buffers in use."""
    disks, readers, size = 32, 16, 64 * MIB
    write_config(directory)
    with open(directory / "hamal.conf", "a", encoding="utf-8") as config:
        config.write(f"[data_sync_v2]\nparallel_sync_disks_count = {disks}\n"
                     f"max_parallel_sync_disks_count = {disks}\n")
    names = [f"disk{number}" for number in range(disks)]
    targets = directory / "targets"
    targets.mkdir()
    for name in names:
        (targets / name).touch()
        os.truncate(targets / name, size)
    stream = directory / "many.jsonl"
    # nbdkit starts all its threads with a connection: a few, where there are 512 connections.
    with nbdkit(directory, "pattern", "-t", "4", "pattern", f"size={size}") as uri, \
            nbdkit(directory, "targets", "-t", "4", "--filter=delay", "file", f"dir={targets}",
                   "delay-write=2000ms") as target:
        write_stream(stream, [(name, size, uri) for name in names],
                     ((name, 0, size, "data") for name in names))
        done = sync(directory, stream, target.replace(":///", ":///{disk}"),
                    [f"--readers={readers}", *options])
    shutil.rmtree(targets)
    return row_of(done, MEMORY_LIMIT_MIB, disks=disks, readers=readers)


def ten_million_extents(directory, options):
    """A plan of ten million extents: read, checked, spooled, walked. They are zeros and the target
    is new, so that what is measured is the plan and not the copying."""
    count = 10_000_000
    size = count * 2 * BLOCK
    write_config(directory)
    stream = directory / "ten-million.jsonl"
    with nbdkit(directory, "null", "null", f"size={size}") as uri:
        note("  ten-million-extents: writing the stream")
        write_stream(stream, [("vda", size, uri)],
                     (("vda", number * 2 * BLOCK, BLOCK, "zero") for number in range(count)))
        done = sync(directory, stream, f"file:{directory}/replica.raw", options)
    stream.unlink()
    (directory / "replica.raw").unlink()
    return row_of(done, WINDOW_MIB)


def changed_blocks(count, size):
    return sorted(random.Random(11).sample(range(size // BLOCK), count))


def write_blocks(path, blocks, size):
    """A sparse file with random data in these blocks."""
    noise = random.Random(12).randbytes(MIB)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.ftruncate(descriptor, size)
    for number, block in enumerate(blocks):
        begin = number * 512 % (MIB - BLOCK)
        os.pwrite(descriptor, noise[begin:begin + BLOCK], block * BLOCK)
    os.fsync(descriptor)
    os.close(descriptor)


def million_changes(directory, options, kind, count=1_000_000):
    """A million changes of 4 KiB at random in 16 GiB, onto a replica that has a checkpoint."""
    size = 16 << 30
    write_config(directory)
    stream, target = directory / "changes.jsonl", f"file:{directory}/replica.raw"
    blocks = changed_blocks(count, size)
    statistics = directory / "nbdkit.stats"
    image = directory / "changed.raw"
    if kind == "file":
        note("  million-changes-file: writing the source")
        write_blocks(image, blocks, size)

    def run(uri):
        platform = "file" if kind == "file" else "nbd"
        write_stream(stream, [("vda", size, uri)], (), "", "a", platform)
        sync(directory, stream, target)
        write_stream(stream, [("vda", size, uri)],
                     (("vda", block * BLOCK, BLOCK, "data") for block in blocks), "a", "b",
                     platform)
        return sync(directory, stream, target, options)
    if kind == "file":
        done = run(f"file:{image}")
        image.unlink()
    else:
        # Never zero, and costs the server next to nothing.
        with nbdkit(directory, "pattern", "-t", "64", "--filter=stats", "pattern", f"size={size}",
                    f"statsfile={statistics}") as uri:
            done = run(uri)
    stream.unlink()
    (directory / "replica.raw").unlink()
    more = {"server": server_reads(statistics)} if kind == "nbd" else {}
    return row_of(done, MEMORY_LIMIT_MIB, changes=count, **more)


def server_reads(path):
    """The server's own count of what was read: "read: 1000000 ops, …"."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("read:"):
            return line
    return ""


CASES = {
    "many-disks": many_disks,
    "ten-million-extents": ten_million_extents,
    "million-changes-nbd": lambda directory, options: million_changes(directory, options, "nbd"),
    "million-changes-file": lambda directory, options: million_changes(directory, options, "file"),
}


def run_case(name, directory, options):
    place = directory / name
    place.mkdir()
    return CASES[name](place, options)


def table(name, row, options):
    print(f"\n{name}{': ' + ' '.join(options) if options else ''}")
    print(f"  {row['seconds']:.2f} s ({row['copy_seconds']:.2f} s copy, {row['flush_seconds']:.2f} s "
          f"flush), processor {row['cpu_seconds']:.2f} s, peak memory {row['peak_mib']:.0f} MiB "
          f"of at most {row['limit_mib']:.0f}")
    print(f"  {row['asked_extents']} extents, {row['read_requests']} reads of "
          f"{row['read_bytes'] / 1e6:.1f} MB, {row['written_bytes'] / 1e6:.1f} MB written")
    if row.get("server"):
        print(f"  the server says {row['server']}")


def missed(name, row):
    if row["peak_mib"] > row["limit_mib"]:
        yield f"{name}: peak memory {row['peak_mib']:.0f} MiB of at most {row['limit_mib']:.0f}"
