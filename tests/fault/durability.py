#!/usr/bin/env python3
"""What is recorded as durable is durable: the page cache and a server's cache are lost.

kill -9 keeps the page cache, so kill.py says nothing of flushes. Here caches really go: nbdkit's
write-back cache dies with it, and a file system is seen as a power cut would leave it, from a copy of
the image under its loop device.

Each of the three has been seen to fail with hamal-sync built without the flush in DiskSync::commit(),
and with that flush after commit_checkpoint(): both times the checkpoint was ahead of the data. And, with
the engine that goes on where a run was, with ranges recorded as finished before the flush that makes
them durable.
"""
import os
import signal
import time

import lab
import runner
import truth
from job import Job


# By turns, so that a short run has all of them.
PHASES = ("copying", "verifying", "end", "copying", "flushing", "copying")


def after(run, seconds, *phases):
    """So long after one of the phases began, if the run still lives then."""
    lab.until(lambda: not run.running or any(phase in run.phases() for phase in phases), lab.PATIENCE, str(phases))
    end = time.monotonic() + seconds
    while run.running and time.monotonic() < end:
        time.sleep(0.002)


@runner.test("a server loses its write cache: what was committed, or called finished, is below it")
def cache_lost(world):
    job = Job(world)
    # The flush writes the cache to the file as slowly as the filter below lets it.
    job.server.start("--filter=cache", "--filter=rate", "file", job.image, "cache=writeback", "rate=64M", "burstiness=0.05")
    job.run_direct()
    hits = {"committed": 0, "in progress": 0, "finished bytes": 0}
    for number in range(runner.rounds(6)):
        job.qsd.random_writes(12, 256 << 10)
        job.qsd.noise(8 * lab.MIB, 4 * lab.MIB)
        job.qsd.limit(4 * lab.MIB)
        run = job.direct()
        phase = PHASES[number % len(PHASES)]
        if phase == "end":
            run.expect(0)
        else:
            after(run, moment(world.rng, phase), phase)
        job.server.kill()
        run.wait()
        job.qsd.limit(0)
        job.truth.learn()
        state = job.truth.check()
        hits["in progress" if state.marks else "committed"] += 1
        hits["finished bytes"] += sum(length for mark in state.marks.values() for _, length in mark.finished)
        job.server.start()
        job.unless_held(job.direct)
        job.server.kill()
        job.truth.learn()
        job.truth.check_committed()
        job.server.start()
        job.clean()
    print("# the cache was lost: %s" % hits)


def moment(rng, phase):
    """Seconds. A copy takes one second: long enough for marks of what is finished, every 0.2 seconds."""
    return rng.uniform(0.2, 1) if phase == "copying" else rng.uniform(0, 0.1)


def stop_all(run):
    """Stops a tool between two system calls: none of its threads is in a flush then. False when it has ended."""
    try:
        os.kill(run.pid, signal.SIGSTOP)

        def stopped():
            states = []
            for thread in os.listdir("/proc/%d/task" % run.pid):
                with open("/proc/%d/task/%s/stat" % (run.pid, thread)) as file:
                    states.append(file.read().rpartition(")")[2].split()[0])
            return all(state in "TZX" for state in states) and ("T" in states or "ended")
        return lab.until(stopped, what="all threads have stopped") is True and run.running
    except (FileNotFoundError, ProcessLookupError):
        return False


class Disk:
    """A file system on a loop device, with the state and the replica; copies of its image are power cuts.

    A copy takes a while, so nothing may be written to the image meanwhile: the tool is stopped first.
    What it wrote and did not flush is in the page cache above the image, and so not in the copy.
    """

    def __init__(self, world, kind, with_state=True):
        self.world = world
        self.image = world.make_fs(kind, world.path("fs.img"), 320 * lab.MIB if kind == "xfs" else 96 * lab.MIB)
        self.root = world.path("fs")
        world.loop(self.image, self.root)
        if with_state:
            world.lib = self.root + "/lib"
            os.mkdir(world.lib, 0o700)
            world.configure(DEFAULT={"hamal_lib_dir": world.lib + "/"})
        os.sync()
        self.replica = self.root + "/t.raw"

    def power_cut(self, name):
        copy = self.world.path(name)
        lab.shell("cp", "--reflink=never", "--sparse=always", self.image, copy)
        return copy

    def boot(self, copy):
        """The file system is from now on what the copy is, with its journal replayed."""
        self.world.unmount(self.root)
        os.rename(copy, self.image)
        self.world.loop(self.image, self.root)


def power_cuts(world, kind):
    disk = Disk(world, kind)
    job = Job(world)
    job.target = "file:" + disk.replica
    job.truth.target = lambda: truth.content_of(disk.replica)
    job.truth.untouched = None
    hits = {"committed": 0, "in progress": 0, "finished bytes": 0}
    for number in range(runner.rounds(6)):
        if number:
            # Blocks that are there already and small pieces: what nothing but a flush writes out.
            job.qsd.random_writes(20, 32 << 10)
        phase = PHASES[number % len(PHASES)]
        if phase == "copying":
            job.qsd.noise(world.rng.randrange(12) * lab.MIB, 4 * lab.MIB)
        job.qsd.limit(4 * lab.MIB)
        run = job.direct()
        if phase == "end":
            run.expect(0)
        else:
            after(run, moment(world.rng, phase), phase)
        stopped = stop_all(run)
        copy = disk.power_cut("cut.img")
        if stopped:
            run.kill()
        run.wait()
        job.qsd.limit(0)
        # From the state as the kill left it, which knows all that the copy can know.
        job.truth.learn()
        generation = job.truth.generation
        disk.boot(copy)
        state = job.truth.check()
        if phase == "end":
            assert not state.marks and job.truth.generation == generation + 1, "a run that was done was lost"
        hits["in progress" if state.marks else "committed"] += 1
        hits["finished bytes"] += sum(length for mark in state.marks.values() for _, length in mark.finished)
        job.unless_held(job.direct)
        job.truth.learn()
        job.truth.check_committed()
        truth.same(job.truth.target(), job.qsd.content(), "the replica")
        # And this is durable too, without anybody's asking for it.
        disk.boot(disk.power_cut("cut.img"))
        job.truth.check_committed()
        job.clean()
    print("# the power was cut: %s" % hits)


@runner.test("the power is cut under ext4: what was committed, or called finished, is there")
def power_cut_ext4(world):
    power_cuts(world, "ext4")


@runner.test("the power is cut under XFS: what was committed, or called finished, is there")
def power_cut_xfs(world):
    power_cuts(world, "xfs")


# The state is elsewhere: its flushes must not write out what belongs to the clone. Seen to fail without the
# flushes in RestoreClone::make().
@runner.test("the power is cut under XFS once a change is marked: the clone is there, and the replica rolled back")
def clone_is_durable(world):
    disk = Disk(world, "xfs", with_state=False)
    job = Job(world)
    job.target = "file:" + disk.replica
    job.truth.target = lambda: truth.content_of(disk.replica)
    job.truth.untouched = None
    job.run_direct()
    before = job.truth.target()
    job.qsd.noise(4 * lab.MIB, 8 * lab.MIB)
    job.qsd.limit(lab.MIB)
    run = job.direct()
    lab.until(lambda: not run.running or job.truth.state().marks, what="the change is marked")
    assert stop_all(run), str(run)
    copy = disk.power_cut("cut.img")
    run.kill()
    job.qsd.limit(0)
    disk.boot(copy)
    world.run("hamal-sync", "rollback", "--target", job.target).expect(0)
    truth.same(job.truth.target(), before, "the replica")
    job.unless_held(job.direct)
    truth.same(job.truth.target(), job.qsd.content(), "the replica")


runner.main()
