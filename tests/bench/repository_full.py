"""A full of a disk into a repository in a directory, and its restore, beside restic and borg and beside
what the machine can do with the same bytes at most (repository_bound.py)."""
import os
import statistics
import subprocess

from copy_cases import write_config
from make_disk import make_disk
from measure import note
from repository_bound import measure_bound
from repository_peers import Hamal, installed

PEER_RATIO = 5
BOUND_RATIO = 1.25  # to the slowest step of the bound


def measure_full(directory, rounds):
    disk, restored = directory / "source.raw", directory / "restored.raw"
    _, data_bytes = make_disk(disk, 4 << 30)
    write_config(directory)
    rivals, absent = installed(directory)
    if absent:
        note(f"  repository-full: not installed, left out: {', '.join(absent)}")
    runs = {rival.name: {"full": [], "restore": []} for rival in rivals}
    bounds = []
    for number in range(rounds + 1):  # the first checks the bytes, warms the caches, does not count
        for rival in rivals[number % len(rivals):] + rivals[:number % len(rivals)]:
            rival.prepare()
            os.sync()  # what ran before is not paid for by this one
            full = rival.full(disk)
            os.sync()
            restore = rival.restore(disk, restored)
            if number == 0:
                subprocess.run(["cmp", disk, restored], check=True)
            else:
                runs[rival.name]["full"].append(full)
                runs[rival.name]["restore"].append(restore)
                if isinstance(rival, Hamal):
                    os.sync()
                    bounds.append(measure_bound(disk, directory))
            restored.unlink()
        note(f"  repository-full: round {number} of {rounds}")
    return {"data_bytes": data_bytes,
            **{what: {name: median_of(of[what]) for name, of in runs.items()}
               for what in ("full", "restore")},
            "bound": {step: {key: statistics.median(bound[step][key] for bound in bounds)
                             for key in ("seconds", "cpu_seconds")} for step in bounds[0]}}


def median_of(runs):
    return {"seconds": statistics.median(run.seconds for run in runs),
            "cpu_seconds": statistics.median(run.cpu_seconds for run in runs),
            "peak_mib": max(run.peak_kib for run in runs) / 1024}


def bound_ratio(result):
    return (result["full"]["hamal"]["seconds"]
            / max(step["seconds"] for step in result["bound"].values()))


def show(result):
    for what in ("full", "restore", "bound"):
        hamal = result[what].get("hamal")
        print(f"  {what:10}{'seconds':>9}{'MB/s':>7}{'cpu s':>8}" +
              (f"{'ratio':>7}{'of cpu':>8}" if hamal else "  (each step alone)"))
        for name, row in result[what].items():
            ratios = (f"{row['seconds'] / hamal['seconds']:7.2f}"
                      f"{row['cpu_seconds'] / hamal['cpu_seconds']:8.2f}" if hamal else "")
            print(f"  {name:10}{row['seconds']:9.2f}{result['data_bytes'] / row['seconds'] / 1e6:7.0f}"
                  f"{row['cpu_seconds']:8.2f}{ratios}")
    cpu_seconds = sum(step["cpu_seconds"] for step in result["bound"].values())
    print(f"  the full takes {bound_ratio(result):.2f} times the bound's slowest step; all steps take "
          f"{cpu_seconds:.2f} s of processor, on {os.cpu_count()} {cpu_seconds / os.cpu_count():.2f} s")


def missed(result):
    for what in ("full", "restore"):
        for name in result[what].keys() - {"hamal"}:
            ratio = result[what][name]["seconds"] / result[what]["hamal"]["seconds"]
            # Of a restore the goal names restic alone.
            if ratio < PEER_RATIO and (what, name) != ("restore", "borg"):
                yield f"{what}: {ratio:.2f} times as quick as {name}, of {PEER_RATIO}"
    if bound_ratio(result) > BOUND_RATIO:
        yield f"full: {bound_ratio(result):.2f} times the slowest step, of at most {BOUND_RATIO}"
