#!/usr/bin/env python3
"""The clock steps back and forth between and within runs: only time stamps are different then."""
import datetime
import glob
import os
import subprocess

import lab
import runner
from job import Job


class Clock:
    """The environment of a tool that is to see another date: libfaketime, behind the sanitizers' library."""

    def __init__(self, world):
        found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        if not found:
            raise lab.Skip("libfaketime is not installed")
        tool = os.path.join(lab.BIN, "hamal-sync")
        linked = subprocess.run(["ldd", tool], capture_output=True, text=True).stdout.split()
        # It must come first of all libraries.
        sanitizers = [word for word in linked if word.startswith("/") and "libasan" in word]
        self.preload = ":".join(sanitizers + found)
        self.world = world
        self.real = dict(world.env)

    def set(self, days):
        self.world.env = dict(self.real)
        if days:
            # Only the date: the time since the start of the machine never steps.
            self.world.env.update(LD_PRELOAD=self.preload, FAKETIME="%+dd" % days, FAKETIME_DONT_FAKE_MONOTONIC="1",
                                  DONT_FAKE_MONOTONIC="1", FAKETIME_NO_CACHE="1")


def committed(job):
    listed = job.world.run("hamal-sync", "checkpoint", "list", "--json").expect(0).json()
    return datetime.datetime.fromisoformat(listed["committed"].replace("Z", "+00:00"))


def days_ago(job):
    return round((datetime.datetime.now(datetime.timezone.utc) - committed(job)).total_seconds() / 86400)


@runner.test("the clock steps back two days between two runs, and forth again")
def between_runs(world):
    job = Job(world, megabits=400)
    clock = Clock(world)
    for days in (0, -2, 0, 3, 0, -400):
        clock.set(days)
        job.qsd.random_writes()
        job.run_direct()
        assert days_ago(job) == -days, "libfaketime does nothing: the test proves nothing"
    assert job.truth.generation == 6
    job.clean()


@runner.test("the clock steps back two days while a snapshot is held")
def held(world):
    job = Job(world, megabits=400)
    clock = Clock(world)
    job.run_pipe()
    for days in (-2, 2):
        clock.set(0)
        job.qsd.random_writes()
        job.create().expect(0)
        job.truth.learn()
        job.qsd.random_writes()
        clock.set(days)
        reader, sync = job.pipe()
        result = sync.expect(0).json()
        reader.expect(0)
        assert result["disks"][0]["mode"] == "incremental", result
        job.truth.check_committed()
        job.finish("committed").expect(0)
        job.clean()


@runner.test("the clock steps back two days between a run that is killed and the next")
def after_a_kill(world):
    job = Job(world, megabits=32)
    clock = Clock(world)
    job.run_direct()
    for days in (-2, 2):
        clock.set(0)
        job.qsd.noise(6 * lab.MIB, 2 * lab.MIB)
        assert job.direct().copying().kill()
        job.truth.learn()
        job.truth.check()
        job.qsd.random_writes()
        clock.set(days)
        job.run_direct()
        job.clean()


runner.main()
