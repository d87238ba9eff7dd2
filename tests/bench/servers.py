"""The servers that the cases read from and write to: qemu-nbd, nbdkit, qemu-storage-daemon."""
import contextlib
import json
import os
import pathlib
import socket
import subprocess
import time

LAB = pathlib.Path(__file__).resolve().parents[1] / "lab"


def wait_for_socket(path, process):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended with status {process.returncode}")
        with socket.socket(socket.AF_UNIX) as probe:
            with contextlib.suppress(OSError):
                probe.connect(str(path))
                return
        time.sleep(0.01)
    raise RuntimeError(f"{process.args[0]} does not listen on {path}")


@contextlib.contextmanager
def nbd_server(kind, image, socket_path, writable):
    """Serves a raw image; yields its NBD URI. `kind` is qemu-nbd or nbdkit."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(socket_path)
    if kind == "qemu-nbd":
        argv = ["qemu-nbd", "-f", "raw", "-e", "16", "-t", "-k", str(socket_path),
                "--discard=unmap"] + ([] if writable else ["-r"]) + [str(image)]
    else:
        argv = ["nbdkit", "-f", "-U", str(socket_path)] + ([] if writable else ["-r"]) + \
            ["file", str(image)]
    # Both complain of every client that just hangs up, as nbdcopy's probes do.
    with open(f"{socket_path}.log", "wb") as log, \
            subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=log) as process:
        try:
            wait_for_socket(socket_path, process)
            yield f"nbd+unix:///?socket={socket_path}"
        finally:
            process.terminate()


@contextlib.contextmanager
def nbdkit(directory, name, *arguments, port=None):
    """nbdkit with any plugin and filters, on a unix socket or a loopback port; yields its NBD URI."""
    pid, path = pathlib.Path(directory) / f"{name}.pid", pathlib.Path(directory) / f"{name}.sock"
    for stale in (pid, path):
        stale.unlink(missing_ok=True)
    place = ["-i", "127.0.0.1", "-p", str(port)] if port else ["-U", str(path)]
    argv = ["nbdkit", "-f", "-P", str(pid), *place, *map(str, arguments)]
    with open(f"{path}.log", "wb") as log, \
            subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=log) as process:
        try:
            while not (pid.exists() and pid.stat().st_size):
                if process.poll() is not None:
                    raise RuntimeError(f"{' '.join(argv)}: status {process.returncode}: "
                                       + pathlib.Path(log.name).read_text(encoding="utf-8"))
                time.sleep(0.01)
            yield f"nbd://127.0.0.1:{port}" if port else f"nbd+unix:///?socket={path}"
        finally:
            process.terminate()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class StorageDaemon:
    """A qemu-storage-daemon with one running qcow2 disk of a virtual size (tests/lab/qsd.sh)."""

    def __init__(self, directory, size):
        self.directory = pathlib.Path(directory)
        self.size = size

    def __enter__(self):
        output = subprocess.run([LAB / "qsd.sh", "start", self.directory], check=True, text=True,
                                env={**os.environ, "QSD_SIZE": str(self.size)},
                                stdout=subprocess.PIPE).stdout
        self.facts = dict(line.split("=", 1) for line in output.splitlines())
        self.live = self.facts["live0"]
        return self

    def __exit__(self, *_):
        subprocess.run([LAB / "qsd.sh", "stop", self.directory], check=False)

    def qmp(self, command):
        output = subprocess.run([LAB / "qmp.py", self.facts["qmp"], command], check=True, text=True,
                                stdout=subprocess.PIPE).stdout
        return json.loads(output)

    def dirty(self):
        """(bytes, granularity) of what was written since the last snapshot, by QEMU's own count."""
        for node in self.qmp("query-named-block-nodes"):
            if node["node-name"] == "disk0":
                bitmaps = [b for b in node.get("dirty-bitmaps", []) if b["recording"]]
                if len(bitmaps) != 1:
                    raise RuntimeError(f"{len(bitmaps)} recording bitmaps on disk0, expected one")
                return bitmaps[0]["count"], bitmaps[0]["granularity"]
        raise RuntimeError("no node disk0")

    def write_blocks(self, offsets, pattern):
        """Writes 4 KiB at each offset through the running disk's export, 64 in flight."""
        commands = "".join(f"aio_write -q -P {pattern} {offset} 4k\n" +
                           ("aio_flush\n" if number % 64 == 63 else "")
                           for number, offset in enumerate(offsets)) + "aio_flush\n"
        done = subprocess.run(["qemu-io", "-f", "raw", self.live], input=commands, text=True,
                              check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if "failed" in done.stdout:
            raise RuntimeError(f"qemu-io: {done.stdout[-500:]}")
