#!/usr/bin/env python3
"""SIGKILL at random moments of each tool and of each server; then the same command again.

HAMAL_FAULT_RUNS is how often each of them is killed. Built without mark_in_progress() in
DiskSync::open_target(), hamal-sync failed here: an interrupted run then looks like a finished one.
"""
import os
import time

import lab
import runner
import truth
from job import Job

ROUNDS = 8


def at_random(rng, run, seconds):
    """Waits for a moment of a run that takes so long: any, or one in a phase that would be hit too seldom."""
    if rng.random() < 0.6 and "hamal-sync" in run.command[0]:
        phase = rng.choice(("preparing", "copying", "copying", "copying", "flushing", "verifying"))
        lab.until(lambda: not run.running or phase in run.phases(), lab.PATIENCE, phase)
        seconds *= 0.4
    end = time.monotonic() + rng.uniform(0, seconds)
    while run.running and time.monotonic() < end:
        time.sleep(0.002)


def rounds(world, job, kill, again):
    """kill() → nothing is ahead → the guest writes, mostly → again() → identical, and nothing is left."""
    killed = done = 0
    total = runner.rounds(ROUNDS)
    # On a quick machine a short run often ends first: then it takes more rounds to hit one.
    while done < total or (killed == 0 and done < 5 * total):
        done += 1
        job.qsd.random_writes(12, 256 << 10)
        killed += bool(kill())
        job.truth.learn()
        job.truth.check()
        if world.rng.random() < 0.7:
            job.qsd.random_writes(6)
        again()
        job.clean()
    print("# killed in the middle: %d of %d" % (killed, done))
    assert killed or total < 4, "every run had ended before it was killed: this tests nothing"


@runner.test("hamal-sync is killed in its direct form")
def direct(world):
    job = Job(world)
    seconds = job.second_run()

    def kill():
        run = job.direct()
        at_random(world.rng, run, seconds)
        return run.kill()
    rounds(world, job, kill, job.run_direct)


def pipe_killed(world, victim):
    """Kills one of the pipe; the guest goes on writing under it. The document is lost, or the snapshot ended as a script does."""
    job = Job(world)
    job.run_pipe()
    begin = time.monotonic()
    job.run_direct()
    seconds = time.monotonic() - begin

    def kill():
        job.create().expect(0)
        job.truth.learn()
        pair = job.pipe()
        job.qsd.random_writes(8)
        at_random(world.rng, pair[victim], seconds if victim else seconds / 2)
        hit = pair[victim].kill()
        pair[1].wait()
        pair[0].wait()
        assert not hit or pair[1].status != 0 or victim == 0, "%s" % pair[1]
        # The other tool must not take half a pipe for a whole one: truth.check() after this sees it.
        if world.rng.random() < 0.5:
            job.finish("failed").expect(0)
        return hit
    rounds(world, job, kill, job.run_pipe)


@runner.test("hamal-sync is killed at the end of a pipe, while the guest writes")
def pipe_sync(world):
    pipe_killed(world, 1)


@runner.test("hamal-cbt-read is killed in a pipe")
def pipe_read(world):
    pipe_killed(world, 0)


@runner.test("hamal-snapshot create is killed")
def create(world):
    job = Job(world, megabits=400)
    job.run_pipe()  # the first one also makes the database
    begin = time.monotonic()
    job.create().expect(0)
    seconds = time.monotonic() - begin
    job.finish("failed").expect(0)

    def kill():
        run = job.create()
        at_random(world.rng, run, seconds)
        return run.kill()
    rounds(world, job, kill, job.run_pipe)


@runner.test("hamal-snapshot finish is killed")
def finish(world):
    job = Job(world, megabits=400)
    job.run_pipe()
    job.create().expect(0)
    begin = time.monotonic()
    job.finish("failed").expect(0)
    seconds = time.monotonic() - begin

    def kill():
        job.create().expect(0)
        job.truth.learn()
        outcome = "failed"
        if world.rng.random() < 0.7:
            job.pipe()[1].expect(0)
            job.truth.check_committed()
            outcome = "committed"
        begin = time.monotonic()
        run = job.finish(outcome)
        at_random(world.rng, run, seconds)
        if run.kill():
            print("# finish --%s killed after %.2f s" % (outcome, time.monotonic() - begin))
            # Repeating it does no harm.
            if world.rng.random() < 0.5:
                job.finish(outcome).expect(0)
            return True
        return False
    rounds(world, job, kill, job.run_pipe)


@runner.test("the server of the target is killed")
def target_server(world):
    job = Job(world)
    seconds = job.second_run()

    def kill():
        run = job.direct()
        at_random(world.rng, run, seconds)
        hit = run.running
        job.server.kill()
        run.wait()
        # It may have ended just before.
        assert run.status in (0, 1, 75), str(run)
        job.server.start()
        return hit and run.status != 0
    rounds(world, job, kill, job.run_direct)


@runner.test("the qemu-storage-daemon is killed, and started again")
def storage_daemon(world):
    job = Job(world)
    seconds = job.second_run()

    def kill():
        before = job.qsd.content()
        run = job.direct()
        at_random(world.rng, run, seconds)
        hit = run.running
        job.qsd.kill()
        run.wait()
        assert run.status in (0, 1, 75), str(run)
        truth.same(job.qsd.content(), before, "the running disk after the crash")
        return hit and run.status != 0
    rounds(world, job, kill, job.run_direct)


@runner.test("the server of an NBD source is killed, and comes back with another content")
def source_server(world):
    image, replica = world.path("x.raw"), world.path("t.raw")

    def change(length):
        with open(image, "r+b") as file:
            file.seek(world.rng.randrange(0, lab.SIZE - length, 4096))
            file.write(world.rng.randbytes(length))
    with open(image, "wb") as file:
        file.truncate(lab.SIZE)
    change(4 * lab.MIB)
    server = lab.Nbdkit(world, "x", "--readonly", "--filter=rate", "file", image, "rate=64M", "burstiness=0.05")

    def start():
        return world.start("hamal-sync", "--source", server.uri, "--target", "file:" + replica, "--json", "--progress=json")
    begin = time.monotonic()
    start().expect(0)
    seconds = time.monotonic() - begin
    killed = done = 0
    total = runner.rounds(ROUNDS)
    while done < total or (killed == 0 and done < 5 * total):
        done += 1
        if world.rng.random() < 0.3 and os.path.exists(replica):
            os.unlink(replica)  # the next run creates it: also that may be interrupted
            world.run("hamal-sync", "checkpoint", "forget", "--target", "file:" + replica)
        change(64 << 10)
        run = start()
        at_random(world.rng, run, seconds)
        server.kill()
        run.wait()
        assert run.status in (0, 1, 75), str(run)
        killed += run.status != 0
        # What was there is not the snapshot that the next run reads.
        change(64 << 10)
        server.start()
        start().expect(0)
        truth.same(truth.content_of(replica), truth.content_of(image), "the replica")
        truth.no_leaks(world)
    print("# killed in the middle: %d of %d" % (killed, done))
    assert killed


runner.main()
