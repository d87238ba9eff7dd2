#!/usr/bin/env python3
"""File systems run full: under the target, the state, the plans, the log and the temporary files.

The run fails with a message that says which, the checkpoint stays; once there is space the same
command is right.
"""
import os

import lab
import runner
from job import Job
import truth


class Filler:
    """A file that leaves so many bytes free."""

    def __init__(self, root, free=0):
        self.name = os.path.join(root, "filler")
        # Written, not reserved: what is left is then really what there is. Also what ext4 keeps for root.
        with open(self.name, "wb", buffering=0) as out:
            info = os.statvfs(root)
            left = info.f_bfree * info.f_frsize - free
            step = lab.MIB
            while left > 0 and step >= 512:
                try:
                    left -= out.write(bytes(min(step, left)))
                except OSError:
                    step //= 2
            os.fsync(out.fileno())

    def remove(self):
        os.unlink(self.name)
        os.sync()  # ext4 gives the blocks back with the next transaction


def target_full(world, root):
    job = Job(world)
    replica = os.path.join(root, "t.raw")
    job.target = "file:" + replica
    job.truth.target = lambda: truth.content_of(replica)
    job.truth.untouched = None
    # A full, and then an incremental of a sparse replica.
    for expected in ("full", "incremental"):
        generation = job.truth.generation
        job.qsd.noise((1 if expected == "full" else 8) * lab.MIB, 6 * lab.MIB)
        filler = Filler(root, lab.MIB)
        run = job.direct().expect(1).says(replica, "No space left on device", "free space there")
        assert run.json()["disks"][0]["mode"] == expected, str(run)
        job.truth.learn()
        job.truth.check()
        assert job.truth.generation == generation, "the checkpoint moved"
        # Full as it is, it fails again, and is not worse for it.
        job.direct().expect(1)
        job.truth.learn()
        job.truth.check()
        filler.remove()
        job.qsd.random_writes(6)
        job.run_direct()
        job.clean()


@runner.test("the target's file system runs full: ext4")
def target_ext4(world):
    image = world.make_fs("ext4", world.path("fs.img"), 48 * lab.MIB)
    target_full(world, world.loop(image, world.path("fs")))


@runner.test("the target's file system runs full: XFS")
def target_xfs(world):
    image = world.make_fs("xfs", world.path("fs.img"), 320 * lab.MIB)
    target_full(world, world.loop(image, world.path("fs")))


@runner.test("the target's file system runs full: tmpfs")
def target_tmpfs(world):
    target_full(world, world.tmpfs(world.path("fs"), "48M"))


@runner.test("a device behind an NBD target runs full")
def nbd_target_full(world):
    job = Job(world)
    root = world.tmpfs(world.path("fs"), "24M")
    image = os.path.join(root, "t.raw")
    with open(image, "wb") as out:
        out.truncate(lab.SIZE)
    job.server.start("file", image)
    job.truth.target = lambda: truth.content_of(image)
    job.truth.untouched = bytes(lab.SIZE)
    filler = Filler(root, lab.MIB)
    job.direct().expect(1).says("No space left on device")
    job.truth.learn()
    job.truth.check()
    filler.remove()
    job.run_direct()
    job.clean()


def state_full(world, root, *statuses):
    """`root` holds something that the run needs before it may change the target, or to commit."""
    job = Job(world, megabits=400)
    job.run_direct()
    job.qsd.random_writes(200, 4096)
    before = job.truth.target()
    filler = Filler(root)
    run = job.direct().expect(*statuses)
    assert root in run.err, str(run)
    assert "pace left" in run.err or not runner.can("say_full"), str(run)
    job.truth.learn()
    job.truth.check()
    assert job.truth.generation == 1
    assert job.truth.target() == before or job.truth.state().marks, "changed without a mark"
    filler.remove()
    job.run_direct()
    job.clean()


@runner.test("the state directory's file system is full: ext4")
def state_ext4(world):
    image = world.make_fs("ext4", world.path("fs.img"), 16 * lab.MIB)
    world.loop(image, world.lib)
    state_full(world, world.lib, 1)


@runner.test("the state directory's file system is full: tmpfs")
def state_tmpfs(world):
    world.tmpfs(world.lib, "4M")
    state_full(world, world.lib, 1)


@runner.test("the file system of the plans is full: the target is as it was")
def plans_full(world):
    world.tmpfs(world.path("lib", "plans"), "256k")
    state_full(world, world.path("lib", "plans"), 1)


@runner.test("the log's file system is full: said once, and the run is done")
def log_full(world):
    root = world.tmpfs(world.path("log"), "256k")
    job = Job(world, megabits=400)
    Filler(root)
    for _ in range(2):
        job.qsd.random_writes()
        run = job.direct().expect(0)
        complaints = [line for line in run.err.splitlines() if root in line]
        assert len(complaints) == 1 and "No space left" in complaints[0], str(run)
        job.truth.learn()
        job.truth.check_committed()
    job.clean()


@runner.test("no space for the plan of hamal-cbt-read --data: it fails, and so does the pipe")
def data_plan_full(world):
    job = Job(world, megabits=400)
    job.run_pipe()
    before = job.truth.target()
    job.qsd.random_writes(200, 4096)
    job.create().expect(0)
    root = world.tmpfs(world.path("tmp"), "256k")
    filler = Filler(root)
    with open(world.path("stream"), "wb") as out:
        run = world.start("hamal-cbt-read", job.document, "--target", job.target, "--data", stdout=out,
                          env={"TMPDIR": root})
    run.expect(1).says("No space left on device", root)
    sync = world.run("hamal-sync", world.path("stream"), "--target", job.target)
    assert sync.status not in (0, 139), str(sync)
    assert job.truth.target() == before
    filler.remove()
    job.finish("failed").expect(0)
    job.run_pipe()
    job.clean()


runner.main()
