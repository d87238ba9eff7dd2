"""Full copies from and to NBD servers that answer late: many requests in flight must hide it.

nbdkit's delay filter holds every answer back (reads and block status of a source, writes and zeros
of a target). nbdkit has 64 threads per connection, so that it never is what limits the requests in
flight. `nbdcopy --synchronous` is one request at a time on one connection, what a plain loop of
reads and writes does; it asks for the block status before each read, too. Where it would take
minutes it copies a smaller disk of the same making, and its seconds are scaled by the bytes of data.
Flushes are not delayed, and all but the synchronous one end with one.
"""
import contextlib
import os
import statistics
import subprocess

from copy_cases import Competitor, hamal, nbdcopy, qemu_img, write_config
from make_disk import make_disk
import report
from measure import measure, note
from servers import free_port, nbdkit

DELAYS_MS = (0, 10, 20, 50)
SIZE = 512 << 20
# The synchronous competitor's disk, by delay.
SYNCHRONOUS_SIZE = {0: SIZE, 10: 64 << 20, 20: 64 << 20, 50: 32 << 20}
SYNCHRONOUS = "nbdcopy --synchronous"
# How often hamal must be quicker than the synchronous one, and where.
GOAL_SYNCHRONOUS = 5
GOAL_SYNCHRONOUS_MS = 20
# name: transport
CASES = {"latency": "tcp", "latency-unix": "unix"}
DIRECTIONS = ("nbd-file", "file-nbd")


def competitors(have_hamal):
    if have_hamal:
        yield Competitor("hamal", True, hamal)
    yield Competitor("nbdcopy --flush", True, nbdcopy("--flush"))
    # By direction, see command_of; with the cache mode that ends with a flush.
    yield Competitor("qemu-img -m16 -W", True, None)
    yield Competitor(SYNCHRONOUS, False, nbdcopy("--synchronous"))


def command_of(rival, direction):
    if rival.command:
        return rival.command
    return qemu_img("writeback", "file" if direction == "nbd-file" else "nbd")


@contextlib.contextmanager
def late_server(image, delay, transport, directory, name, *options):
    delays = [f"{what}={delay}ms" for what in ("rdelay", "delay-extents", "wdelay")]
    port = free_port() if transport == "tcp" else None
    filters = ["--filter=delay"] if delay else []
    with nbdkit(directory, name, "-t", "64", *options, *filters, "file", image,
                *(delays if delay else []), port=port) as uri:
        yield uri


def run_once(rival, direction, disk, delay, transport, directory):
    target = directory / "target.raw"
    target.unlink(missing_ok=True)
    write_config(directory)
    os.sync()
    with contextlib.ExitStack() as stack:
        if direction == "nbd-file":
            source = stack.enter_context(
                late_server(disk, delay, transport, directory, "source", "-r"))
            endpoint = str(target)
        if direction == "file-nbd" or rival.name.startswith("qemu-img"):
            with open(target, "wb") as empty:
                empty.truncate(os.path.getsize(disk))
        if direction == "file-nbd":
            source = str(disk)
            endpoint = stack.enter_context(
                late_server(target, delay, transport, directory, "target"))
        done = measure(command_of(rival, direction)(source, endpoint, directory))
    return done


def run_case(name, directory, rounds, have_hamal):
    """{direction: {delay: {competitor: {seconds, scaled_from, ratio …}}}}"""
    transport = CASES[name]
    disks = {}
    for size in sorted({SIZE, *SYNCHRONOUS_SIZE.values()}):
        path = directory / f"late-{size >> 20}.raw"
        _, data = make_disk(path, size)
        disks[size] = (path, data)
    result = {direction: {} for direction in DIRECTIONS}
    for direction in DIRECTIONS:
        for delay in DELAYS_MS:
            result[direction][delay] = measure_delay(direction, delay, transport, disks, directory,
                                                     rounds, have_hamal)
            note(f"  {name}: {direction} at {delay} ms")
    for path, _ in disks.values():
        path.unlink()
    (directory / "target.raw").unlink(missing_ok=True)
    return result


def measure_delay(direction, delay, transport, disks, directory, rounds, have_hamal):
    rivals = list(competitors(have_hamal))
    runs = {rival.name: [] for rival in rivals}
    disk_of = {rival.name: disks[SYNCHRONOUS_SIZE[delay] if rival.name == SYNCHRONOUS else SIZE]
               for rival in rivals}
    for number in range(rounds):
        shift = number % len(rivals)
        for rival in rivals[shift:] + rivals[:shift]:
            disk, _ = disk_of[rival.name]
            runs[rival.name].append(
                run_once(rival, direction, disk, delay, transport, directory))
            if number == 0:
                subprocess.run(["cmp", disk, directory / "target.raw"], check=True)
    _, whole = disks[SIZE]
    rows = {}
    for rival in rivals:
        scale = whole / disk_of[rival.name][1]
        seconds = statistics.median(run.seconds for run in runs[rival.name]) * scale
        rows[rival.name] = {"seconds": seconds, "mb_per_s": whole / seconds / 1e6,
                            "data_bytes": disk_of[rival.name][1], "scale": scale,
                            "all_seconds": [round(run.seconds, 3) for run in runs[rival.name]]}
    if have_hamal:
        rows["hamal"]["time"] = report.where_time_goes(runs["hamal"])
        for row in rows.values():
            row["ratio"] = row["seconds"] / rows["hamal"]["seconds"]
    return rows


def table(name, result):
    print(f"\n{name}: full copies of {SIZE >> 20} MiB (about half of it data) over "
          f"{CASES[name]}; seconds, and the ratio to hamal (above 1: hamal is quicker)")
    for direction, delays in result.items():
        names = list(next(iter(delays.values())))
        print(f"  {direction:10}" + "".join(f"{rival:>24}" for rival in names))
        for delay, rows in delays.items():
            cells = []
            for row in rows.values():
                ratio = f" ({row['ratio']:.2f})" if "ratio" in row else ""
                scaled = "*" if row["scale"] != 1 else " "
                cells.append(f"{row['seconds']:.2f}{scaled}{ratio}".rjust(24))
            time = rows.get("hamal", {}).get("time")
            print(f"  {delay:>7} ms" + "".join(cells) + (
                f"   hamal: copy {time['copy_seconds']:.2f}, flush {time['flush_seconds']:.2f}, "
                f"the rest {time['other_seconds']:.2f}" if time else ""))
    print("  * measured with a smaller disk, and scaled by the bytes of data")


def missed(result):
    """What falls short: the quickest peer everywhere, and the synchronous one by five at 20 ms."""
    for direction, delays in result.items():
        for delay, rows in delays.items():
            if "hamal" not in rows:
                continue
            rival, row = min(((n, r) for n, r in rows.items() if n != "hamal"),
                             key=lambda item: item[1]["ratio"])
            if row["ratio"] < 1:
                yield f"{direction} at {delay} ms: {rival} is quicker ({row['ratio']:.2f})"
            behind = rows[SYNCHRONOUS]["ratio"]
            if delay == GOAL_SYNCHRONOUS_MS and behind < GOAL_SYNCHRONOUS:
                yield f"{direction} at {delay} ms: only {behind:.2f} times as quick as {SYNCHRONOUS}"
