"""Hamal and its peers, each with a repository: made, filled with one disk, restored.

All end a full with the data durable, and hamal a restore too: its peers leave that to the kernel.
"""
import os
import pathlib
import shutil
import subprocess

from measure import measure


def quietly(argv, **environment):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, **environment})


class Hamal:
    """`hamal-sync` of a file, and the pipe that restores it."""
    name = "hamal"
    tools = ()

    def __init__(self, directory, url=None):
        self.directory = pathlib.Path(directory)
        self.place = self.directory / "hamal"
        self.url = url or f"dir:{self.place}"
        self.config = ["--config", str(self.directory / "hamal.conf")]

    def prepare(self):
        """A new repository, and a new state: nothing is known of what is stored."""
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.rmtree(self.directory / "state", ignore_errors=True)
        quietly(["hamal-repo", "init", self.url, *self.config])

    def full(self, disk):
        return measure(["hamal-sync", "--source", f"file:{disk}", "--target", self.url, "--vm",
                        "bench", "--disk", "vda", "--json", *self.config])

    def restore(self, _, target):
        return measure(["sh", "-c", 'hamal-cbt-read "$1" --vm bench --disk vda --config "$2" |'
                        ' hamal-sync - --target "file:$3" --config "$2"', "restore", self.url,
                        self.config[1], str(target)])


class Restic:
    name = "restic"
    tools = ("restic",)

    def __init__(self, directory):
        self.place = pathlib.Path(directory) / "restic"
        os.environ["RESTIC_PASSWORD"] = "bench"
        os.environ["RESTIC_CACHE_DIR"] = str(pathlib.Path(directory) / "restic-cache")

    def prepare(self):
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.rmtree(os.environ["RESTIC_CACHE_DIR"], ignore_errors=True)
        quietly(["restic", "init", "-q", "-r", str(self.place)])

    def full(self, disk):
        return measure(["restic", "-q", "-r", str(self.place), "backup", str(disk)])

    def restore(self, disk, target):
        tree = target.with_name("restic-tree")
        done = measure(["restic", "-q", "-r", str(self.place), "restore", "latest", "--target",
                        str(tree)])
        os.rename(f"{tree}{disk}", target)
        shutil.rmtree(tree)
        return done


class Borg:
    name = "borg"
    tools = ("borg",)

    def __init__(self, directory):
        self.place = pathlib.Path(directory) / "borg"
        os.environ["BORG_BASE_DIR"] = str(pathlib.Path(directory) / "borg-base")
        os.environ["BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK"] = "yes"

    def prepare(self):
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.rmtree(os.environ["BORG_BASE_DIR"], ignore_errors=True)
        quietly(["borg", "init", "-e", "none", str(self.place)])

    def full(self, disk):
        return measure(["borg", "create", f"{self.place}::bench", str(disk)])

    def restore(self, disk, target):
        tree = target.with_name("borg-tree")
        tree.mkdir()
        done = measure(["sh", "-c", 'cd "$1" && exec borg extract --sparse "$2"', "extract",
                        str(tree), f"{self.place}::bench"])
        os.rename(f"{tree}{disk}", target)
        shutil.rmtree(tree)
        return done


def installed(directory):
    """Hamal and those peers that are there; the names of those that are not."""
    peers = [Restic, Borg]
    missing = [peer.name for peer in peers if not all(map(shutil.which, peer.tools))]
    return [Hamal(directory)] + [peer(directory) for peer in peers
                                 if peer.name not in missing], missing
