#!/usr/bin/env python3
"""Repositories in a directory and in a bucket: SIGKILL at random moments, a store that goes away, that is full, and
whose objects are damaged; then the same command again.

Whatever was put is not put again, no half version is ever seen, and what is damaged is named, harms nothing else and
is put again by the next run.
"""
import os
import time

import lab
import runner
import stores

MIB = 1 << 20
ROUNDS = 4


class Backup:
    """A raw image and a repository for it; packs are small, so that a short run puts many."""

    def __init__(self, world, store, size=48 * MIB):
        self.world = world
        self.store = store
        self.target = store.uri
        self.size = size
        self.image = world.path("disk.raw")
        with open(self.image, "wb") as out:
            out.write(world.rng.randbytes(size))
        world.run("hamal-repo", "init", self.target).expect(0)

    def change(self, count=8):
        with open(self.image, "r+b") as out:
            for _ in range(count):
                out.seek(self.world.rng.randrange(0, self.size - MIB, 4096))
                out.write(self.world.rng.randbytes(65536))

    def content(self):
        with open(self.image, "rb") as file:
            return file.read()

    def start(self, *more):
        return self.world.start("hamal-sync", "--source", "file:" + self.image, "--target", self.target,
                                "--vm", "web01", "--disk", "vda", "--memory-limit", "8M", "--json", *more)

    def versions(self):
        return len(self.world.run("hamal-repo", "list", self.target, "--json").expect(0).out.splitlines())

    def verify(self):
        self.world.run("hamal-repo", "verify", "--full", self.target).expect(0)

    def restore(self, version):
        """The run that restored it, and what it wrote."""
        path = self.world.path("restored.raw")
        if os.path.exists(path):
            os.unlink(path)
        run = self.world.run("hamal-sync", self.target, "--vm", "web01", "--at", str(version), "--target", "file:" + path)
        if not os.path.exists(path):
            return run, None
        with open(path, "rb") as file:
            return run, file.read()

    def pack_bytes(self):
        return sum(self.store.keys("packs").values())


def for_each_store(sentence):
    def register(function):
        for kind in stores.KINDS:
            runner.test("%s: %s" % (kind.name, sentence))(lambda world, kind=kind: function(world, kind(world)))
        return function
    return register


@for_each_store("a run into a repository is killed")
def killed(world, store):
    backup = Backup(world, store)
    hits = done = 0
    total = runner.rounds(ROUNDS if isinstance(store, stores.Directory) else 1)
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


def waits_until(world, run, change):
    """It logs that it waits for the store, goes on waiting, and ends well once this was done."""
    def logged():
        text = ""
        for name in os.listdir(world.path("log")):
            with open(world.path("log", name), errors="replace") as log:
                text += log.read()
        return "; trying again for up to 600 s" in text
    lab.until(lambda: logged() or not run.running, what="it waits for the store")
    assert run.running, str(run)
    change()
    run.expect(0)


# Break it: have DirectoryStore::require_here() do nothing, or have the session not be patient.
@for_each_store("it goes away in the middle of a run, and comes back for the next one or for the same")
def away(world, store):
    backup = Backup(world, store)
    for _ in range(runner.rounds(1)):
        world.configure(sync={"outage_max": "0"})
        before, versions = backup.pack_bytes(), backup.versions()
        run = backup.start("--bwlimit", "16M")
        lab.until(lambda: not run.running or backup.pack_bytes() - before > 2 * MIB, what="packs are there")
        time.sleep(world.rng.uniform(0, 0.5))
        assert run.running, str(run)
        word = store.go_away()
        run.expect(75).says(word)
        store.come_back()
        assert backup.versions() == versions
        world.configure(sync={"outage_max": "10m"})
        run = backup.start("--bwlimit", "16M")
        lab.until(lambda: not run.running or backup.pack_bytes() - before > 16 * MIB, what="more packs are there")
        assert run.running, str(run)
        store.go_away()
        waits_until(world, run, store.come_back)
        assert backup.versions() == versions + 1
        assert backup.pack_bytes() - before <= backup.size * 1.02 + 2 * 8 * MIB, (before, backup.pack_bytes())
        backup.verify()
        run, content = backup.restore(versions + 1)
        run.expect(0)
        assert content == backup.content()
        with open(backup.image, "wb") as out:
            out.write(world.rng.randbytes(backup.size))


def damage(world, store):
    """Does something to a pack; its key, and what it held."""
    packs = store.keys("packs")
    # In a short run one of little: what cannot be read is tried again in ever smaller parts.
    few = [key for key, size in packs.items() if size < MIB or runner.rounds(1) > 1]
    key = world.rng.choice(sorted(few))
    how = world.rng.choice(("deleted", "flipped", "cut"))
    whole = store.read(key)
    print("# %s of %d bytes is %s" % (key, packs[key], how))
    if how == "deleted":
        store.delete(key)
    elif how == "cut":
        store.write(key, whole[:world.rng.randrange(packs[key])])
    else:
        content = bytearray(whole)
        content[world.rng.randrange(len(content))] ^= 1 << world.rng.randrange(8)
        store.write(key, bytes(content))
    return key, whole


@for_each_store("a pack is deleted, flipped or cut: named, nothing else suffers, and the next run puts it again")
def damaged(world, store):
    backup = Backup(world, store, 12 * MIB)
    wanted = {}

    def protect():
        version = backup.start().expect(0).json()["repository_version"]["generation"]
        wanted[version] = backup.content()
        backup.change(2)
        return version

    protect()
    protect()
    for _ in range(runner.rounds(1)):
        protect()
        key, whole = damage(world, store)
        found = world.run("hamal-repo", "verify", "--full", "--mark", "--json", backup.target).expect(1).json()
        assert key in found["damaged_objects"], found
        suffer = {}
        for one in found["damages"]:
            suffer.setdefault(one["version"], []).extend(one["ranges"])
        for version, content in wanted.items():
            run, restored = backup.restore(version)
            if version not in suffer:
                run.expect(0)
                assert restored == content, "version %d is said to be well" % version
                continue
            assert run.status != 0, "version %d suffers, and restores: %s" % (version, run)
            # What it wrote is right but where the ranges are.
            for extent in suffer[version]:
                begin, end = extent["offset"], extent["offset"] + extent["length"]
                content = content[:begin] + bytes(end - begin) + content[end:]
                if restored:
                    restored = restored[:begin] + bytes(end - begin) + restored[end:]
            wrong = [at for at in range(0, len(restored or b""), 4096) if restored[at:at + 4096] != content[at:at + 4096]]
            assert not wrong, "version %d: more is wrong than was said, at %s (said %s): %s" % (version, wrong[:20], suffer[version], run)
        # The source still has what the newest version holds.
        newest = protect()
        run, restored = backup.restore(newest)
        run.expect(0)
        assert restored == wanted[newest]
        left = world.run("hamal-repo", "verify", "--full", "--json", backup.target).wait().json()
        assert newest not in [one["version"] for one in left["damages"]], left
        for version in suffer:
            world.run("hamal-repo", "prune", backup.target, "--drop", "web01@%d" % version, "--yes").expect(0)
            del wanted[version]
        if not suffer:  # a byte that no version reads
            store.write(key, whole)
        backup.verify()


# Break it: have directory_error() call ENOSPC permanent, or have judge_s3_reply() not know QuotaExceeded.
@for_each_store("it is full: named and waited for, and the run goes on once there is room")
def full(world, store):
    store.limit(40)
    backup = Backup(world, store)
    backup.start().expect(75).says(store.full)
    assert backup.versions() == 0
    assert 8 * MIB < backup.pack_bytes() <= 40 * MIB, backup.pack_bytes()
    world.configure(sync={"outage_max": "10m"})
    waits_until(world, backup.start(), lambda: store.limit(120))
    assert backup.versions() == 1
    assert backup.pack_bytes() <= backup.size * 1.02, "what was there was put again"
    backup.verify()
    run, content = backup.restore(1)
    run.expect(0)
    assert content == backup.content()


if __name__ == "__main__":
    runner.main()
