#!/usr/bin/env python3
"""The state database is damaged, locked or read-only: said clearly, and the target is as it was or right."""
import os
import sqlite3
import threading
import time

import lab
import runner
from job import Job

TOOLS = {
    "hamal-snapshot": lambda job: ("create", "lab:web"),
    "hamal-cbt-read": lambda job: (job.document, "--target", job.target),
    "hamal-sync": lambda job: ("--source", "lab:web/top0", "--target", job.target),
}


def synced_job(world):
    job = Job(world, megabits=400)
    job.run_pipe()  # leaves a document for hamal-cbt-read
    job.qsd.random_writes()
    return job


def every_tool_fails(world, job, statuses, *words):
    before = job.truth.target()
    for tool, arguments in TOOLS.items():
        run = world.run(tool, *arguments(job)).expect(*statuses)
        run.says(tool + ": error: ", world.lib + "/hamal.db", *words)
        assert "extents" not in run.out or tool == "hamal-cbt-read", str(run)
    assert job.truth.target() == before, "a target was changed without a state"
    assert not job.qsd.ours(), "a snapshot was left: %s" % job.qsd.ours()


def damage(world, change):
    job = synced_job(world)
    database = world.lib + "/hamal.db"
    with open(database, "rb") as file:
        good = file.read()
    with open(database, "r+b") as file:
        change(file, len(good))
    every_tool_fails(world, job, (1,), "damaged", "move it away")
    # As the message says: away with it, and every disk is copied in full.
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(database + suffix):
            os.rename(database + suffix, world.path("damaged" + suffix))
    job.truth.generation = 0
    job.truth.untouched = job.truth.target()
    result = job.direct().expect(0).json()
    assert result["disks"][0]["mode"] == "full", result
    job.truth.learn()
    job.truth.check_committed()
    job.clean()


@runner.test("the database is overwritten with garbage")
def garbage(world):
    damage(world, lambda file, size: file.write(world.rng.randbytes(size)))


@runner.test("the database is cut off in the middle")
def truncated(world):
    damage(world, lambda file, size: file.truncate(size // 2 // 4096 * 4096))


@runner.test("the database is empty, as after a crash of a file system: a new one")
def empty(world):
    job = synced_job(world)
    os.truncate(world.lib + "/hamal.db", 0)
    job.truth.generation = 0
    job.truth.untouched = job.truth.target()
    assert job.direct().expect(0).json()["disks"][0]["mode"] == "full"
    job.truth.learn()
    job.truth.check_committed()


class Lock:
    """Another program in the middle of a transaction, for so many seconds or, without a number, until release()."""

    def __init__(self, world, seconds=None):
        taken = threading.Event()
        self.over = threading.Event()

        def hold():
            connection = sqlite3.connect(world.lib + "/hamal.db", timeout=60, isolation_level=None)
            connection.execute("begin exclusive")
            taken.set()
            self.over.wait(seconds)
            self.until = time.monotonic()
            connection.execute("rollback")
            connection.close()
        self.thread = threading.Thread(target=hold)
        self.thread.start()
        taken.wait()

    def release(self):
        self.over.set()
        self.released()

    def released(self):
        self.thread.join()


@runner.test("the database is locked for a while: the run waits")
def locked_for_a_while(world):
    job = synced_job(world)
    lock = Lock(world, 2)
    job.run_direct()
    end = time.monotonic()
    lock.released()
    assert end > lock.until, "it ended while the database was locked"
    job.clean()


@runner.test("the database is locked in the middle of a run: the commit waits")
def locked_in_the_middle(world):
    job = Job(world, megabits=6)
    run = job.direct().copying()
    lock = Lock(world, 4)
    run.expect(0)
    lock.released()
    job.truth.learn()
    job.truth.check_committed()
    job.clean()


@runner.test("the database stays locked: temporary, and nothing was changed")
def locked(world):
    job = synced_job(world)
    before = job.truth.target()
    lock = Lock(world)
    run = job.direct().expect(75).says("locked by another process", "try again")
    assert "copying" not in run.phases()
    lock.release()
    assert job.truth.target() == before
    job.run_direct()
    job.clean()


@runner.test("the state's file system is read-only")
def read_only(world):
    lab.need_root()
    world.tmpfs(world.lib, "8M")
    job = synced_job(world)
    lab.shell("mount", "-o", "remount,ro", world.lib)
    before = job.truth.target()
    for tool, arguments in TOOLS.items():
        run = world.run(tool, *arguments(job)).expect(1)
        assert "Read-only file system" in run.err or "cannot be written" in run.err, str(run)
    assert job.truth.target() == before
    assert not job.qsd.ours()
    lab.shell("mount", "-o", "remount,rw", world.lib)
    job.run_direct()
    job.clean()


runner.main()
