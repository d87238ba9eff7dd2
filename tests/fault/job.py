"""One running disk and one target, synced by the same command again and again, in two forms."""
import json
import os
import time

import lab
import truth


class Job:
    """A disk in a qemu-storage-daemon, and an nbdkit target slow enough to be hit in the middle."""

    def __init__(self, world, megabits=40, size=lab.SIZE):
        self.world = world
        self.qsd = lab.Qsd(world, size=size)
        self.qsd.noise(lab.MIB, 3 * lab.MIB)
        self.image = world.path("t.raw")
        # Not blank: a range that a full forgets to zero is seen.
        with open(self.image, "wb") as out:
            out.write(world.rng.randbytes(size))
        # The default lets two seconds' worth through at once.
        self.server = lab.Nbdkit(world, "t", "--filter=rate", "file", self.image, "rate=%dM" % megabits, "burstiness=0.05")
        self.target = self.server.uri
        self.truth = truth.Truth(world, self.qsd.content, lambda: truth.content_of(self.image))
        self.document = world.path("doc")

    def direct(self):
        return self.world.start("hamal-sync", "--source", "lab:web/top0", "--target", self.target, "--json", "--progress=json")

    def create(self):
        """A run; its standard output is the document."""
        with open(self.document, "wb") as out:
            return self.world.start("hamal-snapshot", "create", "lab:web", stdout=out)

    def has_document(self):
        try:
            with open(self.document) as file:
                return bool(json.load(file))
        except (OSError, ValueError):
            return False

    def finish(self, outcome):
        return self.world.start("hamal-snapshot", "finish", self.document, "--" + outcome)

    def pipe(self):
        """The two last tools of the pipe, joined: (hamal-cbt-read, hamal-sync)."""
        read_end, write_end = os.pipe()
        reader = self.world.start("hamal-cbt-read", self.document, "--target", self.target, stdout=write_end)
        os.close(write_end)
        sync = self.world.start("hamal-sync", "-", "--target", self.target, "--json", "--progress=json", stdin=read_end)
        os.close(read_end)
        return reader, sync

    def unless_held(self, start):
        """A run. What a killed tool left frozen may be in its way: then it is ended, as the message says, and tried again."""
        self.server.revive()
        run = start().wait()
        if run.status == 4:
            run.says("is held already", "hamal-snapshot delete")
            truth.end_snapshots(self.world)
            run = start()
        return run.expect(0)

    def run_direct(self):
        begin = time.monotonic()
        self.unless_held(self.direct)
        self.truth.learn()
        self.truth.check_committed()
        return time.monotonic() - begin

    def second_run(self):
        """Syncs twice; returns the seconds that an incremental takes, to choose moments by."""
        self.run_direct()
        self.qsd.random_writes(12, 256 << 10)
        return self.run_direct()

    def run_pipe(self):
        self.unless_held(self.create)
        self.truth.learn()
        reader, sync = self.pipe()
        sync.expect(0)
        reader.expect(0)
        self.truth.check_committed()
        self.finish("committed").expect(0)

    def clean(self):
        """Nothing of ours may be left, once the snapshots of who was killed have been ended."""
        if self.qsd.ours() or self.truth.state().snapshots or os.listdir(self.qsd.dir + "/scratch"):
            truth.end_snapshots(self.world)
        truth.no_leaks(self.world, self.qsd)
