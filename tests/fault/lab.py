"""What the fault tests share: a world (directory, configuration, tools), real servers, mounts."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

SOURCE = os.environ.get("HAMAL_SOURCE") or os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BIN = os.path.abspath(os.environ.get("HAMAL_BIN") or os.path.join(SOURCE, "build/asan/bin"))
MIB = 1 << 20
SIZE = 16 * MIB  # of a disk
PATIENCE = 90    # seconds for what takes one: nothing may hang for ever


class Skip(Exception):
    """The test cannot be run here; the text says why."""


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Skip(program + " is not installed")


def need_root():
    if os.geteuid() != 0:
        raise Skip("only root can mount file systems")


def until(condition, seconds=PATIENCE, what="condition"):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, "never true: " + what
        time.sleep(0.01)


def shell(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, **more)
    assert done.returncode == 0, "%s: %s%s" % (" ".join(command), done.stdout, done.stderr)
    return done.stdout


class Run:
    """A tool that was started: its output is in files, so that nobody has to read it while it runs."""

    def __init__(self, world, command, stdin=None, stdout=None, env=None):
        self.command = command
        self.files = [tempfile.TemporaryFile("w+", errors="replace") for _ in range(2)]
        self.process = subprocess.Popen(
            command, stdin=stdin or subprocess.DEVNULL, stdout=stdout or self.files[0], stderr=self.files[1],
            env=dict(world.env, **(env or {})))
        self.pid = self.process.pid

    def _text(self, number):
        # Not by the file's own position: the child writes at it.
        size = os.fstat(self.files[number].fileno()).st_size
        return os.pread(self.files[number].fileno(), size, 0).decode(errors="replace")

    out = property(lambda self: self._text(0))
    err = property(lambda self: self._text(1))
    running = property(lambda self: self.process.poll() is None)

    def wait(self, seconds=PATIENCE):
        self.status = self.process.wait(seconds)
        assert "Sanitizer" not in self.err and "runtime error" not in self.err, str(self)
        return self

    def kill(self):
        """SIGKILL; whether it was still running then."""
        alive = self.running
        if alive:
            self.process.send_signal(signal.SIGKILL)
        self.wait()
        return alive and self.status == -signal.SIGKILL

    def expect(self, *statuses):
        assert self.wait().status in statuses, "expected %s: %s" % (statuses, self)
        return self

    def says(self, *words):
        for word in words:
            assert word in self.err, "does not say %r: %s" % (word, self)
        return self

    def json(self):
        return json.loads(self.out)

    def phases(self):
        """Those that --progress=json told of so far; "flushing" is also when all has been copied and it is not done."""
        lines = [json.loads(line) for line in self.err.splitlines() if line.startswith('{"event":') and line.endswith("}")]
        all_copied = any(line["phase"] == "copying" and line["done"] == line["total"] for line in lines)
        return [line["phase"] for line in lines if line["event"] == "phase"] + ["flushing"] * all_copied

    def copying(self):
        until(lambda: not self.running or "copying" in self.phases(), what="it copies")
        assert self.running, "it ended before it copied: %s" % self
        return self

    def __str__(self):
        return "%s\nstatus %s\n--- stdout\n%s\n--- stderr\n%s" % (
            " ".join(self.command), self.process.poll(), self.out[-2000:], self.err[-3000:])


class World:
    def __init__(self, rng):
        need("qemu-storage-daemon", "qemu-io", "qemu-img", "nbdkit")
        self.rng = rng
        self.keep = os.environ.get("HAMAL_FAULT_KEEP")
        self.dir = tempfile.mkdtemp(prefix="hamal-fault.")
        self.servers, self.runs = [], []
        self.mounts = []
        self.lib = self.path("lib")
        self.sections = {
            "DEFAULT": {"log_dir": self.path("log"), "hamal_lib_dir": self.lib + "/",
                        "hamal_info_path": self.path("info")},
            # A server that was killed for good must not be waited for.
            "sync": {"outage_max": "0"},
            "data_sync_v2": {"fsync_period_frequency": "0.2"},
        }
        os.mkdir(self.lib)
        self.env = dict(os.environ, HAMAL_CONFIG=self.path("hamal.conf"), TMPDIR=self.dir)
        self.env.pop("HAMAL_RUN_ID", None)
        self.configure()

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def configure(self, **sections):
        for name, keys in sections.items():
            self.sections.setdefault(name.replace("__", " "), {}).update(keys)
        self.sections["database"] = {"connection": "sqlite://%s/hamal.db" % self.lib}
        with open(os.open(self.path("hamal.conf"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            for name, keys in self.sections.items():
                print("[%s]" % name, file=out)
                for key, value in keys.items():
                    print("%s = %s" % (key, value), file=out)

    def start(self, tool, *arguments, **more):
        self.runs = [run for run in self.runs if run.running]
        self.runs.append(Run(self, [os.path.join(BIN, tool), *arguments], **more))
        return self.runs[-1]

    def run(self, tool, *arguments, **more):
        return self.start(tool, *arguments, **more).wait()

    def tool_processes(self):
        """Ours that still run, by what they have in their environment."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/environ" % pid, "rb") as file:
                    environment = file.read()
                program = os.readlink("/proc/%s/exe" % pid)
            except OSError:
                continue
            if program.startswith(BIN) and ("HAMAL_CONFIG=" + self.path("hamal.conf")).encode() in environment:
                found.append("%s %s" % (pid, program))
        return found

    def mount(self, where, *command):
        """Mounts by this command at a new or old directory; undone at the end."""
        need_root()
        os.makedirs(where, exist_ok=True)
        done = subprocess.run([*command, where], capture_output=True, text=True)
        if done.returncode != 0:
            raise Skip("cannot mount here: " + done.stderr.strip())
        self.mounts.append(where)
        return where

    def tmpfs(self, where, size):
        return self.mount(where, "mount", "-t", "tmpfs", "-o", "size=%s,mode=0700" % size, "none")

    def make_fs(self, kind, image, size):
        """A file system in a file."""
        need_root()
        need("mkfs." + kind)
        with open(image, "wb") as out:
            out.truncate(size)
        shell("mkfs." + kind, "-q", image)
        return image

    def loop(self, image, where):
        return self.mount(where, "mount", "-o", "loop", image)

    def unmount(self, where):
        shell("umount", where)
        self.mounts.remove(where)

    def end(self):
        for run in self.runs:
            if run.running:
                run.process.kill()
                run.process.wait()
        for server in reversed(self.servers):
            try:
                server.stop()
            except (AssertionError, OSError) as error:  # the others must be stopped all the same
                print("# %s" % error)
        for where in reversed(self.mounts):
            subprocess.run(["umount", "-l", where])
        if self.keep:
            print("# kept: " + self.dir)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)


class Nbdkit:
    """An nbdkit on a unix socket, which can be killed and started again with the same data."""

    def __init__(self, world, name, *arguments, env=None):
        self.socket = world.path(name + ".sock")
        self.uri = "nbd+unix:///?socket=" + self.socket
        self.log = world.path(name + ".log")
        self.arguments = list(arguments)
        self.env = dict(world.env, **(env or {}))
        self.process = None
        world.servers.append(self)
        self.start()

    def start(self, *arguments):
        self.arguments = list(arguments) or self.arguments
        self.stop()
        for leftover in (self.socket, self.socket + ".pid"):
            if os.path.exists(leftover):
                os.unlink(leftover)
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                ["nbdkit", "--foreground", "--unix", self.socket, "--pidfile", self.socket + ".pid", "--threads", "4",
                 *self.arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env)

        def ready():
            assert self.process.poll() is None, "nbdkit: " + open(self.log).read()
            return os.path.exists(self.socket + ".pid")
        until(ready, what="nbdkit is ready")

    def stop(self, number=signal.SIGKILL):
        if self.process:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    kill = stop

    def revive(self):
        """nbdkit 1.32 may abort when a client of its is killed: it is not what is tested."""
        if self.process and self.process.poll() is not None:
            self.start()


class QemuNbd:
    """A qemu-nbd of one raw image on a unix socket. Unlike nbdkit 1.32 it outlives a client that is cut off."""

    def __init__(self, world, name, image, *options):
        need("qemu-nbd")
        self.socket = world.path(name + ".sock")
        with open(world.path(name + ".log"), "a") as log:
            self.process = subprocess.Popen(
                ["qemu-nbd", "-f", "raw", "-k", self.socket, "--persistent", "--shared=16", "--discard=unmap", *options, image],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        world.servers.append(self)
        until(lambda: os.path.exists(self.socket), what="qemu-nbd is ready")

    def stop(self):
        self.process.kill()
        self.process.wait()


class Qsd:
    """A qemu-storage-daemon with running disks, as platform "lab" with vm "web" (tests/lab/qsd.sh)."""

    def __init__(self, world, disks=1, size=SIZE):
        self.world = world
        self.dir = world.path("qsd")
        self.size = size
        self.images = [world.path("disk%d.qcow2" % number) for number in range(disks)]
        world.servers.append(self)
        self.start()
        world.configure(platform__lab={
            "type": "qemu", "qmp": self.dir + "/qmp.sock", "vm": "web", "nbd_socket": self.dir + "/nbd.sock",
            "scratch_dir": self.dir + "/scratch", "scratch_min_free": "1M"})

    def _script(self, *arguments):
        shell(os.path.join(SOURCE, "tests/lab/qsd.sh"), *arguments, env=dict(os.environ, QSD_SIZE=str(self.size)))

    def start(self):
        self._script("start", self.dir, *self.images)
        self.limited = False

    def stop(self):
        self._script("stop", self.dir)

    def kill(self):
        """As a power cut does; then it runs again, without what only its memory knew."""
        self._script("kill", self.dir)
        self.start()

    def limit(self, bytes_per_second):
        """How fast the images are read from now on; 0: as fast as they can be."""
        if not self.limited:
            self.qmp('object-add={"qom-type":"throttle-group","id":"slow","limits":{}}')
            for number in range(len(self.images)):
                self.qmp('blockdev-add={"driver":"throttle","node-name":"slow%d","throttle-group":"slow","file":"file%d"}' % (number, number),
                         'blockdev-reopen={"options":[{"driver":"qcow2","node-name":"disk%d","file":"slow%d","discard":"unmap"}]}' % (number, number))
            self.limited = True
        self.qmp('qom-set={"path":"/objects/slow","property":"limits","value":{"bps-read":%d}}' % bytes_per_second)

    def live(self, number=0):
        return "nbd+unix:///live%d?socket=%s/nbd.sock" % (number, self.dir)

    def guest(self, *commands, number=0):
        # Flushed: what QEMU has only in memory, a killed daemon loses, and that is not what is tested.
        arguments = [word for command in (*commands, "flush") for word in ("-c", command)]
        said = shell("qemu-io", "-f", "raw", *arguments, self.live(number))
        assert "error" not in said.lower() and "failed" not in said.lower(), said

    def random_writes(self, count=20, longest=64 << 10, number=0):
        rng = self.world.rng
        commands = []
        for _ in range(count):
            kind = rng.choices(("write -P %d" % rng.randrange(1, 256), "write -z", "write -z -u", "discard"), (8, 1, 1, 1))[0]
            length = rng.randrange(4096, longest + 1, 4096)
            commands.append("%s %d %d" % (kind, rng.randrange(0, self.size - length, 4096), length))
        self.guest(*commands, number=number)

    def noise(self, offset, length, number=0):
        """Bytes that no zero detection and no fill can stand in for."""
        name = self.world.path("noise")
        with open(name, "wb") as out:
            out.write(self.world.rng.randbytes(length))
        self.guest("write -s %s %d %d" % (name, offset, length), number=number)

    def content(self, number=0):
        """All bytes of the running disk; nobody may write meanwhile."""
        name = self.world.path("content")
        shell("qemu-img", "convert", "-f", "raw", "-O", "raw", self.live(number), name)
        with open(name, "rb") as file:
            return file.read()

    def qmp(self, *commands):
        """NAME or NAME=JSON each; their replies. In this process, because tests race with a run."""
        replies = []
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(self.dir + "/qmp.sock")
            stream = connection.makefile("rw")
            stream.readline()
            for command in ("qmp_capabilities", *commands):
                name, _, arguments = command.partition("=")
                stream.write(json.dumps({"execute": name, "arguments": json.loads(arguments or "{}")}) + "\n")
                stream.flush()
                reply = json.loads(stream.readline())
                while "event" in reply:
                    reply = json.loads(stream.readline())
                assert "return" in reply, "%s: %s" % (command, reply)
                replies.append(reply["return"])
        return replies[1:]

    def ours(self):
        """The exports and nodes that Hamal made and has not removed."""
        exports, nodes = self.qmp("query-block-exports", "query-named-block-nodes")
        names = [item.get("id", item.get("node-name")) for item in exports + nodes]
        return [name for name in names if name.startswith("hamal-")]
