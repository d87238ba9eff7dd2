#!/usr/bin/env python3
"""Connections are cut, stall and are slow; ranges cannot be read or written. Then the same command again."""
import os
import re
import signal
import subprocess
import sys
import time

import lab
import runner
import truth
from job import Job

FORWARDER = os.path.join(lab.SOURCE, "tests/lab/forwarder.py")


class Forwarder:
    """tests/lab/forwarder.py in front of a server."""

    def __init__(self, world, name, server, *options):
        self.socket = world.path(name + ".sock")
        self.uri = "nbd+unix:///?socket=" + self.socket
        self.command = [sys.executable, "-B", FORWARDER, "--listen", "unix:" + self.socket, "--connect", "unix:" + server.socket]
        self.process = None
        world.servers.append(self)
        self.start(*options)

    def start(self, *options):
        """Anew, with other options: none is a network without fault."""
        self.stop()
        self.process = subprocess.Popen([*self.command, *options], stdout=subprocess.PIPE, text=True)
        assert "listening" in self.process.stdout.readline()

    def cut(self):
        self.process.send_signal(signal.SIGUSR1)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None


class Copy:
    """An NBD source and an NBD target, both behind a network, and the content that both must have in the end."""

    def __init__(self, world, source=(), target=()):
        self.world = world
        self.content = world.rng.randbytes(5 * lab.MIB) + bytes(6 * lab.MIB) + world.rng.randbytes(5 * lab.MIB)
        self.image, self.replica = world.path("x.raw"), world.path("t.raw")
        with open(self.image, "wb") as out:
            out.write(self.content)
        with open(self.replica, "wb") as out:
            out.write(world.rng.randbytes(lab.SIZE))
        self.source = lab.QemuNbd(world, "x", self.image, "--read-only")
        self.target = lab.QemuNbd(world, "t", self.replica)
        self.source_net = Forwarder(world, "xf", self.source, *source)
        self.target_net = Forwarder(world, "tf", self.target, *target)

    def start(self, *more):
        return self.world.start("hamal-sync", "--source", self.source_net.uri, "--target", self.target_net.uri, "--json", "--progress=json", *more)

    def not_committed(self):
        assert not truth.State(self.world.lib + "/hamal.db").checkpoints, "there is a checkpoint of what failed"

    def identical(self):
        truth.same(truth.content_of(self.replica), self.content, "the replica")
        truth.no_leaks(self.world)


def cut_once(world, source=(), target=()):
    """The connection is gone in the middle and can be made again a second later."""
    copy = Copy(world, source, target)
    if runner.can("outage"):
        world.configure(sync={"outage_max": "30"})
    run = copy.start().wait()
    if runner.can("outage"):
        run.expect(0)
    elif run.status != 0:
        run.expect(75).says("copying")
        copy.not_committed()
        time.sleep(1)
        copy.start().expect(0)
    copy.identical()


CUT = ("--cut-after-bytes", str(3 * lab.MIB), "--down-seconds", "1")


@runner.test("the connection to the target is cut in the middle")
def cut_target(world):
    cut_once(world, target=CUT)


@runner.test("the connection to the source is cut in the middle")
def cut_source(world):
    cut_once(world, source=CUT)


@runner.test("connections are cut at random places, again and again, in both directions")
def cut_at_random(world):
    copy = Copy(world)
    failed = 0
    for _ in range(runner.rounds(6)):
        where, other = world.rng.sample((copy.source_net, copy.target_net), 2)
        where.start("--cut-after-bytes", str(world.rng.randrange(1, 12 * lab.MIB)), "--down-seconds", "-1")
        other.start()
        run = copy.start()
        assert run.wait().status in (0, 75), str(run)
        failed += run.status == 75
        if run.status == 0:
            copy.identical()
            world.run("hamal-sync", "checkpoint", "forget", "--target", copy.target_net.uri).expect(0)
        else:
            copy.not_committed()
    assert failed
    copy.source_net.start()
    copy.target_net.start()
    copy.start().expect(0)
    copy.identical()


def server_restarts(world, victim):
    """The server dies and is back after a second, with what it had written."""
    job = Job(world, megabits=12)
    job.run_direct()
    job.qsd.noise(6 * lab.MIB, 4 * lab.MIB)
    if runner.can("outage"):
        world.configure(sync={"outage_max": "30"})
    run = job.direct().copying()
    victim(job)
    run.expect(0, *(() if runner.can("outage") else (75,)))
    job.truth.learn()
    job.truth.check()
    if run.status:
        job.run_direct()
    job.truth.check_committed()
    job.clean()


@runner.test("the target's server dies and is started again a second later")
def target_restarts(world):
    def victim(job):
        job.server.kill()
        time.sleep(1)
        job.server.start()
    server_restarts(world, victim)


# Only an engine that waits for outage_max does: the others are out at once.
@runner.test("the target's server stays away: the run waits for outage_max, and no longer", awaits="outage")
def target_stays_away(world):
    job = Job(world, megabits=12)
    job.run_direct()
    job.qsd.noise(6 * lab.MIB, 4 * lab.MIB)
    world.configure(sync={"outage_max": "3"})
    run = job.direct().copying()
    job.server.kill()
    begin = time.monotonic()
    run.expect(75)  # no longer: the server stays away for good
    assert 2 < time.monotonic() - begin, "%.1f s" % (time.monotonic() - begin)
    job.truth.learn()
    job.truth.check()
    job.server.start()
    job.run_direct()
    job.clean()


# Rule 3: a run that was killed has repeated at most what was written since the last mark.
@runner.test("a run that was killed goes on where it was, from the same snapshot", awaits="resume")
def resumes(world):
    job = Job(world, megabits=16)
    job.qsd.noise(0, 12 * lab.MIB)
    run = job.direct().copying()

    def data_finished(mark):
        """Of the noise: the zeros behind it are done at once."""
        return sum(min(offset + length, 12 * lab.MIB) - min(offset, 12 * lab.MIB) for offset, length in mark.finished)
    lab.until(lambda: not run.running or any(data_finished(mark) > 4 * lab.MIB for mark in job.truth.state().marks.values()),
              what="four MiB are recorded as durable")
    assert run.kill()
    job.truth.learn()
    mark = next(iter(job.truth.check().marks.values()))
    assert data_finished(mark) > 4 * lab.MIB, mark
    job.qsd.random_writes()
    job.server.start("file", job.image)
    result = job.direct().expect(0).json()
    assert result["snapshot_id"] == mark.snapshot_id, result
    assert result["disks"][0]["read_bytes"] < 10 * lab.MIB, result
    job.truth.check_committed()
    # The next one is as if nothing had been.
    job.run_direct()
    truth.same(job.truth.target(), job.qsd.content(), "the replica")
    job.clean()


def stalled(world, **side):
    copy = Copy(world, **side)
    run = copy.start().copying()
    time.sleep(1.5)
    assert run.running, str(run)
    run.process.send_signal(signal.SIGTERM)
    run.expect(143)  # which waits for ever otherwise
    copy.not_committed()
    copy.source_net.start()
    copy.target_net.start()
    copy.start().expect(0)
    copy.identical()


STALL = ("--stall-after-bytes", str(3 * lab.MIB))


@runner.test("the network to the source stalls: SIGTERM ends the run, the next one is right")
def source_stalls(world):
    stalled(world, source=STALL)


@runner.test("the network to the target stalls: SIGTERM ends the run, the next one is right")
def target_stalls(world):
    stalled(world, target=STALL)


def silent(world, server):
    """One that is stopped: its connections stay open, and it says nothing until the run has noticed."""
    copy = Copy(world)
    world.configure(sync={"outage_max": "3"})
    run = copy.start("--bwlimit", "2M")
    lab.until(lambda: not run.running or re.search('"phase":"copying","done":[1-9]', run.err), what="it has copied something")
    assert run.running, str(run)
    victim = getattr(copy, server).process
    victim.send_signal(signal.SIGSTOP)
    try:
        lab.until(lambda: not run.running or "trying again for up to 3 s" in log_of(world), what="the run notices the silence")
    finally:
        victim.send_signal(signal.SIGCONT)
    run.expect(0)
    disk = run.json()["disks"][0]
    assert disk["outages"] >= 1, disk
    copy.identical()


def log_of(world):
    with open(world.path("log", "hamal-sync.log")) as file:
        return file.read()


@runner.test("the source's server says nothing any more, until the run waits for it")
def source_silent(world):
    silent(world, "source")


@runner.test("the target's server says nothing any more, until the run waits for it")
def target_silent(world):
    silent(world, "target")


# Nobody answers from the first byte on: what ends here is the connecting, not the copying.
@runner.test("a server that accepts and never answers: SIGTERM ends the run")
def never_answers(world):
    copy = Copy(world)
    for net in (copy.source_net, copy.target_net):
        net.start("--stall-after-bytes", "1")
        run = copy.start()
        lab.until(lambda: not run.running or connected(net), what="it is connected")
        assert run.running, str(run)
        run.process.send_signal(signal.SIGTERM)
        run.expect(143)
        net.start()
    copy.not_committed()
    copy.start().expect(0)
    copy.identical()


def connected(net):
    """Somebody has a connection that was accepted there: state 03."""
    with open("/proc/net/unix") as file:
        return any(line.split()[5] == "03" and line.rstrip().endswith(net.socket) for line in file.readlines()[1:])


@runner.test("a source and a target that are far away: slow, and identical")
def far_away(world):
    copy = Copy(world, source=("--delay-ms", "30"), target=("--delay-ms", "30"))
    begin = time.monotonic()
    copy.start().expect(0)
    print("# synced in %.1f s at a round trip of 60 ms on both sides" % (time.monotonic() - begin))
    copy.identical()


def broken_server(world, name, image):
    """An nbdkit for which, while the file BROKEN is there, one range cannot be read, written or zeroed; and flushing takes SLOW seconds."""
    broken = world.path(name + ".broken")
    bad = 'if [ -e "$BROKEN" ] && [ $4 -lt %d ] && [ $(($4 + $3)) -gt %d ]; then echo "EIO bad sectors" >&2; exit 1; fi; ' % (BAD + BAD_LENGTH, BAD)
    server = lab.Nbdkit(
        world, name, "eval", 'get_size=stat -c %s "$IMAGE"',
        "pread=" + bad + 'dd if="$IMAGE" bs=256k iflag=skip_bytes,count_bytes skip="$4" count="$3" status=none',
        "pwrite=" + bad + 'dd of="$IMAGE" bs=256k oflag=seek_bytes seek="$4" conv=notrunc status=none',
        "zero=" + bad + 'fallocate -z -o "$4" -l "$3" "$IMAGE"',
        'flush=if [ -e "$BROKEN.flush" ]; then sleep 30; touch "$BROKEN.flushed"; fi', env={"IMAGE": image, "BROKEN": broken})
    return server, broken


BAD, BAD_LENGTH = 3 * lab.MIB + 65536, 8192


@runner.test("a range of the target cannot be written, for a while")
def bad_target(world):
    job = Job(world)
    job.server, broken = broken_server(world, "b", job.image)
    job.target = job.server.uri
    job.run_direct()
    open(broken, "w").close()
    job.qsd.noise(2 * lab.MIB, 2 * lab.MIB)
    for _ in range(2):
        run = job.direct()
        run.expect(1).says("web/top0", "Input/output error")
        job.truth.learn()
        job.truth.check()
        assert job.truth.generation == 1
        job.qsd.random_writes(6)
    os.unlink(broken)
    job.run_direct()
    job.clean()


def bad_source(world):
    """(what is to be copied, the server, BROKEN, start)"""
    content = world.rng.randbytes(8 * lab.MIB)
    image, replica = world.path("x.raw"), world.path("t.raw")
    with open(image, "wb") as out:
        out.write(content)
    server, broken = broken_server(world, "b", image)

    def start():
        return world.start("hamal-sync", "--source", server.uri, "--target", "file:" + replica, "--json", "--progress=json")
    return content, replica, broken, start


@runner.test("a range of the source cannot be read: the disk fails, until it can")
def unreadable(world):
    content, replica, broken, start = bad_source(world)
    open(broken, "w").close()
    for _ in range(2):
        start().expect(1).says("Input/output error")
        assert not truth.State(world.lib + "/hamal.db").checkpoints
    os.unlink(broken)
    start().expect(0)
    truth.same(truth.content_of(replica), content, "the replica")
    truth.no_leaks(world)


# Only an engine that goes on after a range that cannot be read.
@runner.test("a range of the source stays unreadable: all else is copied, and the result names it", awaits="unreadable")
def unreadable_named(world):
    content, replica, broken, start = bad_source(world)
    open(broken, "w").close()
    disk = start().expect(1).json()["disks"][0]
    ranges = [(one["offset"], one["offset"] + one["length"]) for one in disk["unreadable"]]
    assert any(begin <= BAD and BAD + BAD_LENGTH <= end for begin, end in ranges), ranges
    assert sum(end - begin for begin, end in ranges) <= lab.MIB, "far more is given up than is bad: %s" % ranges
    actual = bytearray(truth.content_of(replica))
    for begin, end in ranges:
        actual[begin:end] = content[begin:end]
    truth.same(bytes(actual), content, "all but the unreadable range")
    os.unlink(broken)
    start().expect(0)
    truth.same(truth.content_of(replica), content, "the replica")
    truth.no_leaks(world)


# Only an engine that knows fsync_timeout.
@runner.test("a flush takes longer than fsync_timeout: the disk fails, the checkpoint stays", awaits="flush_timeout")
def slow_flush(world):
    job = Job(world)
    job.server, broken = broken_server(world, "b", job.image)
    job.target = job.server.uri
    job.run_direct()
    world.configure(data_sync_v2={"fsync_timeout": "1"})
    open(broken + ".flush", "w").close()
    job.qsd.noise(2 * lab.MIB, lab.MIB)
    job.direct().expect(1, 75)
    assert not os.path.exists(broken + ".flushed"), "it waited for the flush"
    job.truth.learn()
    job.truth.check()
    assert job.truth.generation == 1
    os.unlink(broken + ".flush")
    job.run_direct()
    job.clean()


runner.main()
