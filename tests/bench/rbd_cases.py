"""Images in a Ceph (tests/lab/ceph.sh, bluestore on a sparse file): from pool to pool and to a file, fulls and increments,
beside rbd's own export and import and qemu-img; and what it takes to plan an increment of a huge sparse image."""
import contextlib
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess

from copy_cases import write_config
from incremental_cases import CannotRun
from make_disk import make_disk
from measure import measure, note

LAB = pathlib.Path(__file__).resolve().parents[1] / "lab"
CASES = ("rbd-rbd", "rbd-incremental", "rbd-file", "rbd-planning")
DISK = 1 << 30
WRITES = 2000  # of 4 KiB, before each increment
HUGE_WRITES = 16384  # of 64 KiB to an image of 4 TiB: 1 GiB of changes
GOAL_SECONDS, GOAL_MIB = 10, 512


@contextlib.contextmanager
def ceph(directory):
    argv = [LAB / "ceph.sh", "run", directory / "ceph"]
    environment = {**os.environ, "CEPH_RGW": "no", "CEPH_STORE": "bluestore", "CEPH_POOLS": "east west"}
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, env=environment) as server:
        try:
            for line in server.stdout:
                if line.strip() == "ready":
                    break
            else:
                raise RuntimeError("the lab's Ceph does not start")
            os.environ.update({"CEPH_CONF": str(directory / "ceph/ceph.conf"), "CEPH_ARGS": "--id admin"})
            yield
        finally:
            server.stdin.close()
    shutil.rmtree(directory / "ceph")


def rbd(*arguments):
    subprocess.run(["rbd", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def pipe(source, target, *since):
    return ["sh", "-c", 'rbd export-diff --no-progress "$@" - | rbd import-diff --no-progress - ' + target, "sh",
            *since, source]


def qemu_img(source, target):
    conf = os.environ["CEPH_CONF"]
    to = target if target.startswith("/") else f"rbd:{target}:id=admin:conf={conf}"
    return ["qemu-img", "convert", "-n", "-W", "-m", "16", "-f", "raw", "-O", "raw", "--target-is-zero",
            f"rbd:{source}:id=admin:conf={conf}", to]


def have_qemu():
    return "rbd" in subprocess.run(["qemu-img", "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout \
        and list(pathlib.Path("/usr/lib").glob("*/qemu/block-rbd.so"))


def configure(directory, *lines):
    write_config(directory)
    with open(directory / "hamal.conf", "a", encoding="utf-8") as config:
        config.write(f"[ceph bench]\nconf_file = {directory}/ceph/ceph.conf\n"
                     f"keyring = file:{directory}/ceph/keyring\n" + "".join(line + "\n" for line in lines))
    os.chmod(directory / "hamal.conf", 0o600)


def hamal(directory, source, target):
    return ["hamal-sync", "--source", f"rbd:{source}", "--target", target, "--config", str(directory / "hamal.conf"),
            "--json"]


def write_blocks(image, offsets, size, seed):
    """By the cluster's Python, which need not be this one."""
    program = """import random, sys, rados, rbd
offsets, size, generator = list(map(int, sys.stdin.read().split())), int(sys.argv[3]), random.Random(int(sys.argv[4]))
with rados.Rados(conffile=sys.argv[1], name="client.admin") as cluster, cluster.open_ioctx("east") as pool:
    with rbd.Image(pool, sys.argv[2]) as image:
        for offset in offsets:
            image.write(generator.randbytes(size), offset)
"""
    subprocess.run(["/usr/bin/python3", "-c", program, os.environ["CEPH_CONF"], image, str(size), str(seed)],
                   input=" ".join(map(str, offsets)), text=True, check=True)


def export(image):
    return subprocess.run(f"rbd export --no-progress {image} - | sha256sum", shell=True, check=True,
                          stdout=subprocess.PIPE).stdout


def full(directory, rounds, to_file):
    """{rival: [Measurement]}; the first round checks each one's bytes and does not count."""
    file = directory / "target.raw"
    rivals = {"hamal": lambda: hamal(directory, "east/disk@s", f"file:{file}" if to_file else "rbd:west/target")}
    if to_file:
        rivals["rbd export"] = lambda: ["sh", "-c", 'rbd export --no-progress "$1" "$2" && sync "$2"', "sh",
                                        "east/disk@s", str(file)]
    else:
        rivals["export | import"] = lambda: pipe("east/disk@s", "west/target")
    if have_qemu():
        rivals["qemu-img -W -m16"] = lambda: qemu_img("east/disk@s", str(file) if to_file else "west/target")
    runs = {name: [] for name in rivals}
    expected = export("east/disk@s")
    for number in range(-1, rounds):
        names = list(rivals)
        for name in names[number % len(names):] + names[:number % len(names)]:
            file.unlink(missing_ok=True)
            subprocess.run(["rbd", "snap", "purge", "west/target"], check=False, stderr=subprocess.DEVNULL)
            subprocess.run(["rbd", "rm", "west/target"], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if not to_file and name != "hamal":
                rbd("create", "--size", f"{DISK >> 20}M", "west/target")
            if to_file and name.startswith("qemu"):
                with open(file, "wb") as empty:
                    empty.truncate(DISK)
            configure(directory)
            os.sync()
            done = measure(rivals[name]())
            if number >= 0:
                runs[name].append(done)
            elif to_file:
                rbd("import", str(file), "west/check")
                require(export("west/check") == expected, name)
                rbd("rm", "west/check")
            else:
                require(export("west/target") == expected, name)
        note(f"  round {number + 1} of {rounds}")
    return runs


def require(same, name):
    if not same:
        raise RuntimeError(f"{name} made something else of the disk")


def incremental(directory, rounds):
    configure(directory)
    measure(hamal(directory, "east/disk@s", "rbd:west/hamal"))
    rbd("create", "--size", f"{DISK >> 20}M", "west/pipe")
    measure(pipe("east/disk@s", "west/pipe"))
    runs = {"hamal": [], "export | import": []}
    before = "s"
    generator = random.Random(7)
    for number in range(rounds + 1):
        now = f"s{number}"
        write_blocks("disk", [generator.randrange(DISK // 4096) * 4096 for _ in range(WRITES)], 4096, number)
        rbd("snap", "create", f"east/disk@{now}")
        commands = {"hamal": hamal(directory, f"east/disk@{now}", "rbd:west/hamal"),
                    "export | import": pipe(f"east/disk@{now}", "west/pipe", "--from-snap", before)}
        for name in sorted(commands, reverse=number % 2 == 0):
            done = measure(commands[name])
            if number > 0:
                runs[name].append(done)
            elif name == "hamal":
                require(json.loads(done.stdout)["disks"][0]["mode"] == "incremental", "hamal by a full")
        before = now
        note(f"  round {number} of {rounds}")
    expected = export(f"east/disk@{before}")
    require(export("west/hamal") == expected, "hamal")
    require(export("west/pipe") == expected, "export | import")
    return runs


def planning(directory):
    rbd("create", "--size", "4T", "east/huge")
    rbd("snap", "create", "east/huge@a")
    # What the bytes are does not matter here, and one at a time would take minutes.
    rbd("bench", "--io-type", "write", "--io-size", "64K", "--io-pattern", "rand", "--io-threads", "64",
        "--io-total", str(HUGE_WRITES << 16), "east/huge")
    rbd("snap", "create", "east/huge@b")
    rows = {}
    for diff in ("fast", "exact"):
        configure(directory, f"diff = {diff}")
        config = ["--config", str(directory / "hamal.conf")]

        def change_id(name):
            document = directory / f"{name}.json"
            document.write_text(measure(["hamal-snapshot", "create", f"rbd:east/huge@{name}", *config]).stdout,
                                encoding="utf-8")
            return json.loads(document.read_text(encoding="utf-8"))["disks"][0]["change_id"]
        base = change_id("a")
        change_id("b")
        done = measure(["hamal-cbt-read", str(directory / "b.json"), "--since", base, *config],
                       stdout=directory / "stream")
        trailer = json.loads((directory / "stream").read_text(encoding="utf-8").splitlines()[-1])["trailer"]
        rows[diff] = {"seconds": done.seconds, "cpu_seconds": done.cpu_seconds, "peak_mib": done.peak_kib / 1024,
                      **next(iter(trailer.values()))}
    return rows


def run_case(name, directory, rounds):
    missing = [tool for tool in ("rbd", "ceph-mon", "ceph-osd") if not shutil.which(tool)]
    if missing:
        raise CannotRun(f"not installed: {', '.join(missing)}")
    with ceph(directory):
        if name == "rbd-planning":
            return planning(directory)
        disk = directory / "disk.raw"
        _, data_bytes = make_disk(disk, DISK)
        rbd("import", "--no-progress", str(disk), "east/disk")
        rbd("snap", "create", "east/disk@s")
        disk.unlink()
        runs = incremental(directory, rounds) if name == "rbd-incremental" else full(directory, rounds, name == "rbd-file")
    bytes_moved = WRITES * 4096 if name == "rbd-incremental" else data_bytes
    return {"bytes": bytes_moved, "rivals": {rival: {
        "seconds": statistics.median(run.seconds for run in of_rival),
        "cpu_seconds": statistics.median(run.cpu_seconds for run in of_rival),
        "peak_mib": max(run.peak_kib for run in of_rival) / 1024} for rival, of_rival in runs.items()}}


def table(name, result):
    print(f"\n{name}")
    if name == "rbd-planning":
        for diff, row in result.items():
            print(f"  {diff:8}{row['seconds']:8.2f} s{row['cpu_seconds']:8.2f} cpu s{row['peak_mib']:7.0f} MiB, "
                  f"{row['extents']} extents, {row['data_bytes'] / 1e6:.0f} MB of data")
        return
    ours = result["rivals"]["hamal"]["seconds"]
    for rival, row in sorted(result["rivals"].items(), key=lambda item: item[1]["seconds"]):
        print(f"  {rival:20}{row['seconds']:8.2f} s{result['bytes'] / row['seconds'] / 1e6:8.0f} MB/s"
              f"{row['cpu_seconds']:8.2f} cpu s{row['peak_mib']:7.0f} MiB, ratio {row['seconds'] / ours:.2f}")


def missed(name, result):
    """The goals: as quick as the quickest peer, five times as quick by an increment."""
    if name == "rbd-planning":
        row = result["fast"]
        return [f"{name}: {row['seconds']:.1f} s and {row['peak_mib']:.0f} MiB, more than {GOAL_SECONDS} s or {GOAL_MIB} MiB"] \
            if row["seconds"] > GOAL_SECONDS or row["peak_mib"] > GOAL_MIB else []
    goal = 5 if name == "rbd-incremental" else 1
    ours = result["rivals"]["hamal"]["seconds"]
    return [f"{name}: {row['seconds'] / ours:.2f} times as quick as {rival}, not {goal}"
            for rival, row in result["rivals"].items() if rival != "hamal" and row["seconds"] / ours < goal]


