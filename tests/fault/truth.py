"""What must hold after a fault: what the state says of a target is what is on it.

Truth knows the whole content of a disk at each snapshot: it looks at the source while nothing writes
there, whenever the state knows a snapshot that it has not seen. The state is read from a copy, as it
was left by who was killed: looking must not repair it.
"""
import collections
import json
import os
import shutil
import sqlite3
import tempfile

import runner

Checkpoint = collections.namedtuple("Checkpoint", "target snapshot_id generation")
Mark = collections.namedtuple("Mark", "target snapshot_id mode plan_path finished")


class State:
    """The rows of a state database, all read at once."""

    def __init__(self, path):
        self.checkpoints, self.marks, self.snapshots = {}, {}, []
        if not os.path.exists(path):
            return
        with tempfile.TemporaryDirectory() as copy:
            for suffix in ("", "-wal"):  # -shm is made from these
                if os.path.exists(path + suffix):
                    shutil.copy(path + suffix, os.path.join(copy, "db" + suffix))
            connection = sqlite3.connect(os.path.join(copy, "db"))
            connection.row_factory = sqlite3.Row
            self._read(connection)
            connection.close()

    def _read(self, connection):
        if not connection.execute("select 1 from sqlite_master where name = 'snapshots'").fetchone():
            return
        for row in connection.execute("select * from checkpoints"):
            self.checkpoints[row["target"]] = Checkpoint(row["target"], row["snapshot_id"], row["generation"])
        for row in connection.execute("select * from in_progress"):
            ranges = row["finished"] if "finished" in row.keys() else ""
            finished = [tuple(map(int, part.split("+"))) for part in ranges.split()]
            self.marks[row["target"]] = Mark(row["target"], row["snapshot_id"], row["mode"], row["plan_path"], finished)
        self.snapshots = [row["snapshot_id"] for row in
                          connection.execute("select * from snapshots where state = 'created'")]

    def known_snapshots(self):
        return {row.snapshot_id for row in [*self.checkpoints.values(), *self.marks.values()]} | set(self.snapshots)


def same(actual, expected, what):
    if actual == expected:
        return
    assert actual is not None, what + ": there is no target"
    assert len(actual) == len(expected), "%s: %d bytes instead of %d" % (what, len(actual), len(expected))
    step = 4096
    wrong = [at for at in range(0, len(expected), step) if actual[at:at + step] != expected[at:at + step]]
    raise AssertionError("%s: %d blocks of 4 KiB differ, the first at %d" % (what, len(wrong), wrong[0]))


def content_of(path):
    """The bytes of an image, None when there is none."""
    if not os.path.exists(path):
        return None
    with open(path, "rb") as file:
        return file.read()


class Truth:
    def __init__(self, world, live, target):
        """`live` and `target` return all bytes of the running disk and of the replica. One disk, one target."""
        self.world, self.live, self.target = world, live, target
        self.contents = {}
        self.untouched = target()
        self.generation = 0

    def state(self):
        return State(self.world.lib + "/hamal.db")

    def learn(self):
        """Every snapshot not seen before is of the disk as it is now. Call it before the guest writes again."""
        known = self.state().known_snapshots()
        new = known - set(self.contents)
        if new:
            content = self.live()
            # The last ones too: a power cut goes back to them.
            recent = dict(list(self.contents.items())[-4:])
            self.contents = {**{name: self.contents[name] for name in known if name in self.contents}, **recent,
                             **{name: content for name in new}}
        return new

    def check(self):
        """The checkpoint is not ahead of the data, nor what a mark calls finished. Returns the state."""
        state = self.state()
        assert len(state.checkpoints) <= 1 and len(state.marks) <= 1, "more than one target is known"
        checkpoint, mark = (next(iter(rows.values()), None) for rows in (state.checkpoints, state.marks))
        actual = self.target()
        if mark:
            for offset, length in mark.finished:
                same(actual[offset:offset + length], self.contents[mark.snapshot_id][offset:offset + length],
                     "finished %d+%d of %s" % (offset, length, mark.snapshot_id))
        elif checkpoint:
            same(actual, self.contents[checkpoint.snapshot_id], "generation %d" % checkpoint.generation)
        elif actual is not None and actual != self.untouched:
            assert not any(actual), "a target was changed that the state knows nothing of"
        if checkpoint:
            assert checkpoint.generation in (self.generation, self.generation + 1), "the generation jumped"
            self.generation = checkpoint.generation
        return state

    def check_committed(self):
        """After a run that said it was done: exactly that, and nothing in progress."""
        state = self.check()
        assert state.checkpoints and not state.marks, "the run was done and nothing was committed"
        return state


def end_snapshots(world):
    """Ends what a killed tool left, as an operator would."""
    if runner.can("stale"):
        world.run("hamal-snapshot", "delete", "--stale", "--older-than", "0s", "lab").expect(0)
    listed = json.loads(world.run("hamal-snapshot", "list", "lab", "--json").expect(0).out)
    held = {one["id"] for one in listed["snapshots"] if one["ours"] and one["state"] == "held"}
    state = State(world.lib + "/hamal.db")
    committed = {checkpoint.snapshot_id for checkpoint in state.checkpoints.values()}
    # QEMU may have died and taken it away: the record is still there.
    for snapshot in held | set(state.snapshots):
        may_be_left = snapshot in committed and not runner.can("stale_committed")
        assert not runner.can("stale") or may_be_left, "delete --stale left " + snapshot
        world.run("hamal-snapshot", "delete", "lab:web", snapshot).expect(0)


def no_leaks(world, qsd=None):
    """Nothing of ours is left: processes, plans, recorded snapshots, exports, nodes, scratch files."""
    assert not world.tool_processes(), "still run: %s" % world.tool_processes()
    plans = [os.path.join(folder, name) for folder, _, names in os.walk(world.lib) for name in names if name.endswith(".plan")]
    # Of a run that was killed before its mark named it.
    if runner.can("plans"):
        assert not plans, "plan files are left: %s" % plans
    assert not State(world.lib + "/hamal.db").marks, "a mark is left"
    if qsd:
        held = State(world.lib + "/hamal.db").snapshots
        assert not held, "recorded snapshots are left: %s" % held
        assert not qsd.ours(), "left in QEMU: %s" % qsd.ours()
        scratch = os.listdir(qsd.dir + "/scratch")
        # Of a create that was killed before the snapshot existed.
        assert not scratch or not runner.can("stale"), "scratch files are left: %s" % scratch
