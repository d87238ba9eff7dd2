#!/usr/bin/env python3
"""SIGKILL at random moments of runs into a repository, and a store that is full; then the same command again.

Whatever was put is not put again, no half version is ever seen, and every version stays whole.
"""
import glob
import os
import time

import lab
import runner

MIB = 1 << 20
ROUNDS = 4


class Backup:
    """A raw image and a repository for it; packs are small, so that a short run puts many."""

    def __init__(self, world, store=None):
        self.world = world
        self.store = store or world.path("store")
        self.target = "dir:" + self.store
        self.image = world.path("disk.raw")
        with open(self.image, "wb") as out:
            out.write(world.rng.randbytes(48 * MIB))
        world.run("hamal-repo", "init", self.target).expect(0)

    def change(self, count=8):
        with open(self.image, "r+b") as out:
            for _ in range(count):
                out.seek(self.world.rng.randrange(0, 47 * MIB, 4096))
                out.write(self.world.rng.randbytes(65536))

    def start(self, *more):
        return self.world.start("hamal-sync", "--source", "file:" + self.image, "--target", self.target,
                                "--vm", "web01", "--disk", "vda", "--memory-limit", "8M", "--json", *more)

    def versions(self):
        return len(self.world.run("hamal-repo", "list", self.target, "--json").expect(0).out.splitlines())

    def verify(self):
        self.world.run("hamal-repo", "verify", "--full", self.target).expect(0)

    def pack_bytes(self):
        return sum(os.stat(path).st_size for path in glob.glob(os.path.join(self.store, "packs", "*", "*")))


@runner.test("a run into a repository is killed")
def killed(world):
    backup = Backup(world)
    hits = done = 0
    total = runner.rounds(ROUNDS)
    fresh = 48 * MIB
    while done < total or (hits == 0 and done < 5 * total):
        done += 1
        before, versions = backup.pack_bytes(), backup.versions()
        for _ in range(2):
            run = backup.start("--bwlimit", "64M")
            end = time.monotonic() + world.rng.uniform(0, 1.5)
            while run.running and time.monotonic() < end:
                time.sleep(0.002)
            hits += run.kill()
            backup.verify()
        result = backup.start().expect(0).json()
        assert result["repository_version"]["state"] == "committed", result
        assert backup.versions() > versions
        # At most what was in memory when it was killed, twice, was put in vain.
        assert backup.pack_bytes() - before <= fresh * 1.02 + 2 * 8 * MIB, (before, backup.pack_bytes())
        backup.verify()
        backup.change()
        fresh = 9 * 65536 * 8
    print("# killed in the middle: %d of %d" % (hits, 2 * done))
    assert hits, "every run had ended before it was killed: this tests nothing"


@runner.test("the store is full: named, and once there is room the run goes on")
def full(world):
    store = world.tmpfs(world.path("small"), "40m")
    backup = Backup(world, os.path.join(store, "store"))
    failed = backup.start()
    failed.wait()
    assert failed.status in (1, 75), str(failed)
    failed.says("No space left")
    assert backup.versions() == 0
    lab.shell("mount", "-o", "remount,size=120m", store)
    before = backup.pack_bytes()
    assert before > 8 * MIB
    backup.start().expect(0)
    assert backup.pack_bytes() <= 48 * MIB * 1.02, "what was there was put again"
    backup.verify()


if __name__ == "__main__":
    runner.main()
