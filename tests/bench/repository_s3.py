"""A full to and a restore from a bucket of a real radosgw (tests/lab/ceph.sh), beside rclone with as many
transfers, which puts and gets the packs of the same repository as plain files."""
import contextlib
import os
import pathlib
import shutil
import statistics
import subprocess

from copy_cases import write_config
from incremental_cases import CannotRun
from make_disk import make_disk
from measure import measure, note
from repository_peers import Hamal

LAB = pathlib.Path(__file__).resolve().parents[1] / "lab"
DISK = 1 << 30
TRANSFERS = 4  # what hamal puts at once


@contextlib.contextmanager
def radosgw(directory):
    """What ceph.sh says of the one it starts; it keeps its objects in memory."""
    argv = [LAB / "ceph.sh", "run", directory / "ceph"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as server:
        try:
            facts = {}
            for line in server.stdout:
                if line.strip() == "ready":
                    break
                key, value = line.strip().split("=", 1)
                facts[key] = value
            else:
                raise RuntimeError("the lab's Ceph does not start")
            yield facts
        finally:
            server.stdin.close()


def configure(directory, facts):
    write_config(directory)
    with open(directory / "hamal.conf", "a", encoding="utf-8") as config:
        config.write(f"[s3 bench]\nendpoint = {facts['http_endpoint']}\nbucket = bench\n"
                     f"access_key = {facts['access_key']}\nsecret_key = {facts['secret_key']}\n")
    os.chmod(directory / "hamal.conf", 0o600)
    os.environ.pop("AWS_CA_BUNDLE", None)  # rclone refuses it, and the endpoint has no TLS
    os.environ.update({
        "RCLONE_CONFIG": os.devnull, "RCLONE_CONFIG_LAB_TYPE": "s3",
        "RCLONE_CONFIG_LAB_PROVIDER": "Ceph",
        "RCLONE_CONFIG_LAB_ENDPOINT": facts["http_endpoint"],
        "RCLONE_CONFIG_LAB_ACCESS_KEY_ID": facts["access_key"],
        "RCLONE_CONFIG_LAB_SECRET_ACCESS_KEY": facts["secret_key"]})
    subprocess.run(["rclone", "mkdir", "lab:bench"], check=True)


def rclone(source, target):
    return measure(["rclone", "copy", f"--transfers={TRANSFERS}", source, target])


def beside_rclone(directory, rounds):
    missing = [tool for tool in ("rclone", "ceph-mon", "ceph-osd", "radosgw")
               if not shutil.which(tool)]
    if missing:
        raise CannotRun(f"not installed: {', '.join(missing)}")
    disk, packs, back = (directory / name for name in ("source.raw", "packs", "back"))
    _, data_bytes = make_disk(disk, DISK)
    runs = {name: [] for name in ("full", "put", "restore", "get")}
    with radosgw(directory) as facts:
        configure(directory, facts)
        for number in range(-1, rounds):
            hamal = Hamal(directory, f"s3://bench/{number + 1}")
            hamal.prepare()
            done = {"full": hamal.full(disk)}
            if number < 0:
                rclone(f"lab:bench/{number + 1}/packs", str(packs))
            done["put"] = rclone(str(packs), f"lab:bench/plain-{number + 1}")
            target = directory / f"restored-{number + 1}.raw"
            done["restore"] = hamal.restore(disk, target)
            done["get"] = rclone(f"lab:bench/plain-{number + 1}", str(back))
            if number < 0:
                subprocess.run(["cmp", disk, target], check=True)
            else:
                for name, run in done.items():
                    runs[name].append(run)
            target.unlink()
            shutil.rmtree(back)
            for prefix in (number + 1, f"plain-{number + 1}"):
                subprocess.run(["rclone", "purge", f"lab:bench/{prefix}"], check=True)
            note(f"  round {number + 1} of {rounds}")
    disk.unlink()
    shutil.rmtree(packs)
    return summary(runs, data_bytes)


def summary(runs, data_bytes):
    return {"data_bytes": data_bytes,
            **{name: {key: statistics.median(getattr(run, key) for run in all_runs)
                      for key in ("seconds", "cpu_seconds")} for name, all_runs in runs.items()}}


def show(result):
    print(f"  {result['data_bytes'] / 1e6:.0f} MB, {TRANSFERS} transfers; the processor time is the "
          "client's")
    for ours, theirs in (("full", "put"), ("restore", "get")):
        ratio = result[ours]["seconds"] / result[theirs]["seconds"]
        for name, who in ((ours, "hamal"), (theirs, "rclone")):
            row = result[name]
            print(f"  {who:7}{name:8}{row['seconds']:8.2f} s{row['cpu_seconds']:8.2f} cpu s")
        print(f"  the {ours} takes {ratio:.2f} times as long as plain {theirs}s of the same bytes")
