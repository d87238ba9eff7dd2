#!/usr/bin/env python3
"""Somebody removes the snapshot under a run: it fails, the checkpoint stays, and the next run is right.

Built without the verify() in DiskSync::commit(), hamal-sync committed what nobody could confirm, and
the test that removes the snapshot before the commit failed.
"""
import signal

import lab
import runner
from job import Job


def slow_job(world):
    job = Job(world, megabits=64)
    job.run_direct()
    job.server.start("--filter=rate", "file", job.image, "rate=6M", "burstiness=0.05")
    job.qsd.noise(6 * lab.MIB, 6 * lab.MIB)
    return job


def remove_export(qsd):
    export = next(name for name in qsd.ours() if "-x" in name)
    qsd.qmp('block-export-del={"id":"%s","mode":"hard"}' % export)


def remove_all(qsd):
    """The export, the view, then the filter out of the graph, then the rest: as an operator who cleans up by hand.

    The run notices meanwhile and may clean up itself: what is gone already is no failure.
    """
    names = qsd.ours()
    remove_export(qsd)

    def delete(kind):
        try:
            qsd.qmp('blockdev-del={"node-name":"%s"}' % next(name for name in names if name.endswith(kind)))
            return True
        except AssertionError as error:
            return "Failed to find" in str(error)
    # The view is free once the export has let go of its clients.
    lab.until(lambda: delete("-s0"), what="the view is removed")
    qsd.qmp('blockdev-reopen={"options":[{"driver":"raw","node-name":"top0","file":"disk0","discard":"unmap"}]}')
    lab.until(lambda: delete("-c0") and delete("-t0"), what="the filter is removed")


def lost_under_a_run(world, remove, *statuses):
    job = slow_job(world)
    run = job.direct().copying()
    remove(job.qsd)
    run.expect(*statuses)
    assert "web/top0" in run.err, str(run)
    job.truth.learn()
    state = job.truth.check()
    assert job.truth.generation == 1, "the checkpoint moved: %s" % (state.checkpoints,)
    job.server.start("file", job.image)
    job.qsd.random_writes()
    job.run_direct()
    job.clean()


@runner.test("the snapshot's export is removed while hamal-sync copies")
def export_removed(world):
    lost_under_a_run(world, remove_export, 1, 75)


@runner.test("the whole snapshot is removed while hamal-sync copies")
def snapshot_removed(world):
    lost_under_a_run(world, remove_all, 1, 75)


@runner.test("the snapshot is removed when all has been read, before the commit: it was not confirmed, and does not count")
def removed_before_the_commit(world):
    job = Job(world)
    # One flush, and a long one: the cache goes through the rate filter then.
    world.configure(data_sync_v2={"fsync_period_frequency": "60"})
    job.server.start("--filter=cache", "--filter=rate", "file", job.image, "cache=writeback", "rate=16M", "burstiness=0.05")
    job.run_direct()
    job.qsd.noise(6 * lab.MIB, 6 * lab.MIB)
    run = job.direct()
    lab.until(lambda: not run.running or "flushing" in run.phases(), what="it flushes")
    assert run.running, str(run)
    run.process.send_signal(signal.SIGSTOP)  # however long the removal takes
    remove_all(job.qsd)
    run.process.send_signal(signal.SIGCONT)
    assert "verifying" not in run.phases(), "the flush was too fast for this test"
    run.expect(1, 75)
    job.truth.learn()
    job.truth.check()
    assert job.truth.generation == 1
    job.server.start("file", job.image)
    job.run_direct()
    job.clean()


@runner.test("the snapshot is removed between the tools of a pipe")
def removed_in_a_pipe(world):
    job = slow_job(world)
    job.create().expect(0)
    job.truth.learn()
    remove_all(job.qsd)
    reader, sync = job.pipe()
    assert sync.wait().status in (1, 75), str(sync)
    reader.wait()
    job.truth.check()
    assert job.truth.generation == 1
    job.finish("failed").expect(0)
    job.qsd.random_writes()
    job.run_pipe()
    job.clean()


runner.main()
