"""Full copies: hamal and its peers in turn, on the same data."""
import contextlib
import os
import pathlib
import subprocess

from measure import measure, note
from servers import nbd_server

# name: (kind of source, kind of target)
CASES = {
    "nbd-file": ("qemu-nbd", "file"),
    "nbdkit-file": ("nbdkit", "file"),
    "nbd-nbd": ("qemu-nbd", "qemu-nbd"),
    "nbdkit-nbdkit": ("nbdkit", "nbdkit"),
    "file-file": ("file", "file"),
}


class Competitor:
    """`durable` ones have the data on stable storage when they end, as hamal always has."""

    def __init__(self, name, durable, command):
        self.name = name
        self.durable = durable
        self.command = command  # (source, target, directory) -> argv


def hamal(source, target, directory):
    def uri(endpoint):
        return endpoint if endpoint.startswith("nbd") else f"file:{endpoint}"
    return ["hamal-sync", "--source", uri(source), "--target", uri(target), "--config",
            str(directory / "hamal.conf"), "--incremental=never", "--json"]


def nbdcopy(*flush):
    return lambda source, target, _: ["nbdcopy", *flush, source, target]


def qemu_img(cache, target_kind):
    # -n and a target made beforehand: without it qemu-img cannot write to NBD, and makes files anew.
    # Its default cache mode (unsafe) ignores flushes; writeback ends with one. A new file is known
    # to be zero, as it is to the others; what an NBD server holds nobody knows.
    known = ["--target-is-zero"] if target_kind == "file" else []
    return lambda source, target, _: ["qemu-img", "convert", "-n", "-m", "16", "-W", "-f", "raw",
                                      "-O", "raw", "-t", cache, *known, source, target]


def competitors(source_kind, target_kind, have_hamal):
    if have_hamal:
        yield Competitor("hamal", True, hamal)
    yield Competitor("nbdcopy --flush", True, nbdcopy("--flush"))
    yield Competitor("nbdcopy", False, nbdcopy())
    yield Competitor("qemu-img -t writeback", True, qemu_img("writeback", target_kind))
    yield Competitor("qemu-img", False, qemu_img("unsafe", target_kind))
    if source_kind == target_kind == "file":
        yield Competitor("cp + sync", True, lambda s, t, _: [
            "sh", "-c", 'cp --sparse=always "$1" "$2" && sync "$2"', "cp", s, t])
        yield Competitor("cp", False, lambda s, t, _: ["cp", "--sparse=always", s, t])


def write_config(directory):
    """A state of its own for every run: nothing is known of the target."""
    subprocess.run(["rm", "-rf", directory / "state"], check=True)
    (directory / "hamal.conf").write_text(
        f"[DEFAULT]\nhamal_lib_dir = {directory}/state\nlog_dir = {directory}/logs\n",
        encoding="utf-8")


def run_once(competitor, source, target_kind, disk, directory):
    target = directory / "target.raw"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(target)
    write_config(directory)
    # What the run before left to be written back must not be paid for by this one.
    os.sync()
    with contextlib.ExitStack() as stack:
        if target_kind == "file":
            endpoint = str(target)
            # nbdcopy, cp and hamal create the file; qemu-img -n wants one.
            if competitor.name.startswith("qemu-img"):
                with open(target, "wb") as empty:
                    empty.truncate(os.path.getsize(disk))
        else:
            with open(target, "wb") as empty:
                empty.truncate(os.path.getsize(disk))
            endpoint = stack.enter_context(
                nbd_server(target_kind, target, directory / "target.sock", True))
        return measure(competitor.command(source, endpoint, directory))


def run_case(name, disk, directory, rounds, have_hamal):
    """{competitor: {durable, runs: [Measurement]}}; checks each competitor's bytes once."""
    source_kind, target_kind = CASES[name]
    results = {}
    with contextlib.ExitStack() as stack:
        source = str(disk)
        if source_kind != "file":
            source = stack.enter_context(
                nbd_server(source_kind, disk, directory / "source.sock", False))
        rivals = list(competitors(source_kind, target_kind, have_hamal))
        # One extra round at the start: it warms caches and first-touched memory, checks the bytes,
        # and does not count. Then the order rotates, so that nobody always runs after the same one.
        for rival in rivals:
            run_once(rival, source, target_kind, disk, directory)
            subprocess.run(["cmp", disk, directory / "target.raw"], check=True)
            results[rival.name] = {"durable": rival.durable, "runs": []}
        for number in range(rounds):
            shift = number % len(rivals)
            for rival in rivals[shift:] + rivals[:shift]:
                results[rival.name]["runs"].append(
                    run_once(rival, source, target_kind, disk, directory))
            note(f"  {name}: round {number + 1} of {rounds}")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(pathlib.Path(directory) / "target.raw")
    return results
