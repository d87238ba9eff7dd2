"""The machines of the simulator: hosts, datastores, volumes over real files, snapshots, tasks, backup resources.

It knows nothing of HTTP. What it refuses it refuses by the error codes of the vendor's tables; ODD stands where no public
page names a code. Not thread-safe: whoever calls holds World.lock.
"""
import itertools
import os
import subprocess
import threading
import time
import uuid

SITE = "/service/sites/3A1B0C2D"
SECTOR = 512
ODD = "10000001"  # invented


class Refused(Exception):
    """A reply {errorCode, errorDes}."""

    def __init__(self, code, text, status=500):
        super().__init__(f"{code}: {text}")
        self.code, self.text, self.status = str(code), text, status


def urn_of(uri):
    return "urn" + uri.removeprefix("/service").replace("/", ":")


def copy_file(source, target):
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", source, target], check=True, stdin=subprocess.DEVNULL)


class Volume:
    def __init__(self, world, number, size, host, datastore):
        self.world, self.size, self.host, self.datastore = world, size, host, datastore
        self.uri = f"{SITE}/volumes/{number}"
        self.uuid = str(uuid.uuid5(uuid.NAMESPACE_URL, self.uri))
        self.device = f"vol-{number}"
        self.live = world.folder / f"{self.device}.img"
        with open(self.live, "wb") as file:
            file.truncate(size)
        self.begin_tracking()

    def begin_tracking(self):
        """Nothing is known of before: chgID restarts at 1."""
        self.created = str(self.world.next_time())
        self.count = 0
        self.last = None  # the frozen file of the newest snapshot
        self.changes = {}  # chgID -> blocks that changed since the one before

    def freeze(self, path):
        copy_file(self.live, path)
        self.count += 1
        blocks = self.differing(self.last, path) if self.last and os.path.exists(self.last) else None
        self.changes[self.count] = blocks
        # Kept apart: the snapshot may be deleted, what changed since it is known all the same.
        keep = f"{self.live}.last"
        copy_file(path, keep)
        self.last = keep
        return self.count

    def differing(self, before, after):
        block, found = self.world.settings["block"], set()
        with open(before, "rb") as first, open(after, "rb") as second:
            for number in itertools.count():
                old, new = first.read(block), second.read(block)
                if not new:
                    return found
                if old != new:
                    found.add(number)

    def all_blocks(self, path):
        """Those that hold anything."""
        block, found = self.world.settings["block"], set()
        with open(path, "rb") as file:
            for number in itertools.count():
                data = file.read(block)
                if not data:
                    return found
                if data.strip(b"\0"):
                    found.add(number)

    def changed(self, start, frozen):
        if start == 0:
            return self.all_blocks(frozen["file"])
        result = set()
        for number in range(start + 1, frozen["chgID"] + 1):
            if self.changes.get(number) is None:
                raise Refused(ODD, f"nothing is known of the changes since {start}")
            result |= self.changes[number]
        return result

    def show(self):
        return {"uri": self.uri, "urn": urn_of(self.uri), "uuid": self.uuid, "status": "USE",
                "quantityGB": self.world.gigabytes(self.size), "volNameOnDev": self.device,
                "volumeUrl": f"dsware://{self.device}", "lunId": "", "datastoreUrn": urn_of(self.datastore["uri"])}


class Snapshot:
    def __init__(self, machine, number, wanted, parent):
        self.machine, self.parent = machine, parent
        self.uri = f"{machine.uri}/snapshots/{number}"
        self.name, self.description, self.type = wanted["name"], wanted.get("description", ""), wanted["type"]
        self.status = "creating"
        self.frozen = {}  # volume's uri -> what was frozen

    def freeze(self):
        for disk in self.machine.disks:
            volume = disk["volume"]
            if disk["indep"]:
                continue
            name = f"snap-{self.uri.rsplit('/', 1)[1]}"
            path = str(self.machine.world.folder / f"{volume.device}@{name}.img")
            number = volume.freeze(path)
            self.frozen[volume.uri] = {
                "file": path, "size": volume.size, "created": volume.created, "chgID": number, "volume": volume,
                "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, self.uri + volume.uri)), "name": name}
        self.status = "ready"

    def drop(self):
        for frozen in self.frozen.values():
            if os.path.exists(frozen["file"]):
                os.unlink(frozen["file"])

    def show(self, children):
        return {"urn": urn_of(self.uri), "uri": self.uri, "name": self.name, "description": self.description,
                "createTime": "2026-11-30 12:00:00", "type": self.type, "status": self.status,
                "childSnapshots": children}

    def detail(self):
        spelling = self.machine.world.settings["spelling"]
        number = self.machine.world.number
        return {**self.show([]), "volsnapshots": [
            {"volumeUrn": urn_of(f["volume"].uri), "volumeUri": f["volume"].uri, "storageType": "DSWARE",
             "datastoreUrn": urn_of(f["volume"].datastore["uri"]), "snapUuid": f["uuid"], "snapNameOnDev": f["name"],
             "volCBTCreateTime": f["created"], spelling: number(f["chgID"])} for f in self.frozen.values()]}


class Machine:
    def __init__(self, world, number, name, sizes):
        self.world, self.name = world, name
        self.uri = f"{SITE}/vms/i-{number:08d}"
        self.uuid = str(uuid.uuid5(uuid.NAMESPACE_URL, self.uri + name))
        self.host, self.status, self.tools = world.hosts[0], "running", "running"
        self.template = self.linked = False
        self.disks, self.snapshots, self.current = [], [], None
        for size in sizes:
            self.add_disk(size)

    def add_disk(self, size):
        number = next(self.world.numbers)
        volume = Volume(self.world, number, size, self.host, self.world.datastores[0])
        self.world.volumes[volume.uri] = volume
        self.disks.append({"seq": len(self.disks) + 1, "volume": volume, "indep": False, "type": "normal", "bus": "VIRTIO"})

    def short(self):
        return {"uri": self.uri, "urn": urn_of(self.uri), "uuid": self.uuid, "name": self.name, "status": self.status,
                "hostUrn": urn_of(self.host["uri"]), "isTemplate": self.template}

    def show(self):
        number = self.world.number
        disks = [{"pciType": d["bus"], "sequenceNum": number(d["seq"]), "volumeUrn": urn_of(d["volume"].uri),
                  "volumeUrl": d["volume"].uri, "volumeUuid": d["volume"].uuid,
                  "quantityGB": self.world.gigabytes(d["volume"].size), "datastoreUrn": urn_of(d["volume"].datastore["uri"]),
                  "storageType": "DSWARE", "isThin": True, "indepDisk": d["indep"], "type": d["type"],
                  "diskName": f"{self.name}-{d['seq']}"} for d in self.disks]
        return {**self.short(), "pvDriverStatus": self.tools, "toolInstallStatus": "installed",
                "isLinkClone": self.linked, "vmConfig": {"cpu": {"quantity": 2}, "memory": {"quantityMB": 4096},
                                                         "disks": disks}}

    def find(self, uri):
        for one in self.snapshots:
            if one.uri == uri:
                return one
        raise Refused(10300109, "the snapshot does not exist", 404)

    def tree(self, parent=None):
        return [one.show(self.tree(one)) for one in self.snapshots if one.parent is parent]

    def begin_snapshot(self, wanted):
        if self.tools != "running":
            raise Refused(10300026, "Tools is not running")
        if self.template:
            raise Refused(10300141, "the vm is a template")
        if self.linked:
            raise Refused(10300142, "the vm is a linked clone")
        if any(d["type"] == "share" for d in self.disks):
            raise Refused(10420108, "the vm has a shared volume")
        if len(self.snapshots) >= self.world.settings["max_snapshots"]:
            raise Refused(10300111, "the number of snapshots has reached the limit")
        self.must_be_free()
        mine = [d["volume"].uri for d in self.disks]
        if any(r.volume.uri in mine for r in self.world.live_resources()):
            raise Refused(10300421, "the vm has a task that conflicts: a backup resource")
        snapshot = Snapshot(self, next(self.world.numbers), wanted, self.current)
        self.snapshots.append(snapshot)

        def freeze():
            snapshot.freeze()
            self.current = snapshot

        def failed():
            self.snapshots.remove(snapshot)

        task = self.world.begin(self, "snapshot", freeze, failed)
        return {"urn": urn_of(snapshot.uri), "uri": snapshot.uri, **task}

    def must_be_free(self):
        if any(t.machine is self and not t.ended for t in self.world.tasks.values()):
            raise Refused(10300162, "another task of the vm is running")

    def begin_removal(self, uri):
        snapshot = self.find(uri)
        self.must_be_free()
        if snapshot.status != "ready":
            raise Refused(10300110, f"the snapshot is {snapshot.status}")
        if any(r.end is snapshot for r in self.world.live_resources()):
            raise Refused(10430031, "the snapshot is in use")
        snapshot.status = "deleting"

        def restore():
            snapshot.status = "ready"

        return self.world.begin(self, "delete", lambda: self.remove(snapshot), restore)

    def remove(self, snapshot):
        for one in self.snapshots:
            if one.parent is snapshot:
                one.parent = snapshot.parent
        if self.current is snapshot:
            self.current = snapshot.parent
        self.snapshots.remove(snapshot)
        snapshot.drop()


class Task:
    def __init__(self, world, number, machine, kind, work, undo):
        self.uri, self.machine, self.kind, self.undo = f"{SITE}/tasks/{number}", machine, kind, undo
        self.status, self.reason, self.ended, self.world = "waiting", "", False, world
        self.fault = world.take_fault(f"TASK {kind}")
        self.timer = threading.Timer(world.settings["task_ms"] / 1000, self.run, [work])
        self.timer.daemon = True
        self.timer.start()

    def run(self, work):
        with self.world.lock:
            if self.fault and self.fault["do"] == "hang":
                self.status = "running"
                return
            try:
                if self.fault:
                    raise Refused(self.fault["code"], "the task was told to fail")
                work()
                self.status = "success"
            except Refused as refused:
                self.status, self.reason = "failed", refused.code
                self.undo()
            self.ended = True

    def show(self):
        number = self.world.number
        return {"uri": self.uri, "urn": urn_of(self.uri), "type": self.kind, "status": self.status,
                "progress": number(100 if self.ended else 30), "reason": self.reason,
                "reasonDes": f"why {self.reason}" if self.reason else ""}


class Resource:
    """What one volume is read by: an address, a token, and a lease."""

    def __init__(self, world, task_id, volume, wanted, end):
        self.world, self.volume, self.end, self.task_id = world, volume, end, task_id
        self.token, self.secure = uuid.uuid4().hex, wanted["transMode"] == "lanssl"
        self.begun = time.monotonic()
        self.total, self.gone, self.connections = 0, False, []
        self.ready = False
        self.extend(wanted["delay"])

    def extend(self, seconds):
        lasted = (time.monotonic() - self.begun) / self.world.settings["second"]
        if lasted + seconds > 7200:
            raise Refused(ODD, "a backup resource lasts 7200 s at most")
        self.total += 1
        self.ends = time.monotonic() + seconds * self.world.settings["second"]

    def is_live(self):
        if not self.gone and time.monotonic() > self.ends:
            self.release()
        return not self.gone

    def release(self):
        self.gone = True
        for connection in list(self.connections):
            connection.cut()

    def show(self):
        world = self.world
        return {"resourceUrl": f"vna://{self.volume.device}", "hostIP": "127.0.0.1", "hostPort": world.number(world.port),
                "targetFile": self.end.frozen[self.volume.uri]["name"], "token": self.token,
                "status": "ready" if self.ready else "preparing",
                "runningTime": int(time.monotonic() - self.begun), "caCert": world.certificate if self.secure else ""}


class World:
    def __init__(self, folder, certificate):
        self.folder, self.certificate = folder, certificate
        self.lock = threading.RLock()
        self.numbers = itertools.count(1)
        self.clock = itertools.count(1700000000)
        self.port = 0  # of the socket server
        self.settings = {"block": 65536, "task_ms": 20, "max_snapshots": 32, "sockets_per_host": 8, "spelling": "chgID",
                         "numbers_as_text": False, "token_ms": 600000, "validity_ms": 0, "second": 1.0, "page": 100, "close_at_end": True,
                         "close_sibling": False, "stop_at": 0, "stop_when": "before", "lie": "", "types": ""}
        self.faults, self.violations, self.calls = [], [], []
        self.hosts = [{"uri": f"{SITE}/hosts/{n}", "name": f"cna0{n}", "ip": f"10.1.0.{n}"} for n in (1, 2)]
        self.datastores = [{"uri": f"{SITE}/datastores/{n}", "name": f"store{n}"} for n in (1, 2)]
        self.volumes, self.tasks, self.resources = {}, {}, {}
        self.machines = []

    def next_time(self):
        return next(self.clock)

    def number(self, value):
        return str(value) if self.settings["numbers_as_text"] else value

    def gigabytes(self, size):
        """Real ones are whole numbers; disks here are smaller than that."""
        value = size / (1 << 30)
        return self.number(int(value) if value == int(value) else value)

    def take_fault(self, call):
        for fault in self.faults:
            if fault.get("contains", "") in call and fault.get("times", 1) > 0:
                if fault.get("skip", 0) > 0:
                    fault["skip"] -= 1
                    continue
                fault["times"] = fault.get("times", 1) - 1
                return fault
        return None

    def begin(self, machine, kind, work, undo):
        number = next(self.numbers)
        task = Task(self, number, machine, kind, work, undo)
        self.tasks[task.uri] = task
        return {"taskUrn": urn_of(task.uri), "taskUri": task.uri}

    def live_resources(self):
        return [one for one in list(self.resources.values()) if one.is_live()]

    def machine(self, name):
        for one in self.machines:
            if name in (one.name, one.uri):
                return one
        raise Refused(10300001, "the vm does not exist", 404)

    def volume(self, uri):
        if uri not in self.volumes:
            raise Refused(10420004, "the volume does not exist", 404)
        return self.volumes[uri]

    def owner(self, volume):
        for machine in self.machines:
            if any(d["volume"] is volume for d in machine.disks):
                return machine
        raise Refused(10420004, "the volume is nobody's", 404)

    def snapshot_of(self, urn):
        for machine in self.machines:
            for one in machine.snapshots:
                if urn_of(one.uri) == urn:
                    return one
        raise Refused(10300109, "the snapshot does not exist")

    def prepare(self, volume, wanted):
        end = self.snapshot_of(wanted["snapUrn2"])
        if volume.uri not in end.frozen:
            raise Refused(10430041, "the snapshot does not hold the volume")
        if end.frozen[volume.uri]["created"] != wanted["volCBTCreateTime"]:
            raise Refused(ODD, "volCBTCreateTime is another one")
        machine = self.owner(volume)
        live = self.live_resources()
        if any(one.volume is volume for one in live):
            raise Refused(10300421, "the volume has a backup resource")
        here = [one for one in live if self.owner(one.volume).host is machine.host]
        if len(here) >= self.settings["sockets_per_host"]:
            raise Refused(10300412, "the host has too many backup resources")

        task_id = str(next(self.numbers))
        resource = Resource(self, task_id, volume, wanted, end)
        self.resources[(volume.uri, task_id)] = resource

        def ready():
            resource.ready = True

        task = Task(self, task_id, None, "backupresource", ready, resource.release)
        self.tasks[task.uri] = task
        return {"taskUrn": urn_of(task.uri), "taskUri": task.uri}

    def resource(self, volume, task_id):
        found = self.resources.get((volume.uri, task_id))
        if found is None or not found.is_live():
            raise Refused(ODD, "there is no such backup resource", 404)
        return found

    def happen(self, event):
        """What befalls a machine; the words are in README.md."""
        machine, what = self.machine(event["vm"]), event["do"]
        disk = machine.disks[event.get("disk", 1) - 1]
        if what == "grow":
            disk["volume"].size = event["size"]
            os.truncate(disk["volume"].live, event["size"])
        elif what == "move":
            machine.host = self.hosts[1] if machine.host is self.hosts[0] else self.hosts[0]
        elif what == "move_disk":
            store = self.datastores
            disk["volume"].datastore = store[1] if disk["volume"].datastore is store[0] else store[0]
        elif what == "reboot_host":
            for one in machine.disks:
                one["volume"].count, one["volume"].changes, one["volume"].last = 0, {}, None
        elif what == "reset_tracking":
            disk["volume"].begin_tracking()
        elif what == "revert":
            machine.current = machine.find(event["snapshot"]) if event.get("snapshot") else None
        elif what == "foreign_snapshot":
            one = Snapshot(machine, next(self.numbers), {"name": event["name"], "type": "CBTbackup"}, machine.current)
            machine.snapshots.append(one)
            one.freeze()
            machine.current = one
        elif what == "remove_snapshot":
            machine.remove(next(s for s in machine.snapshots if s.name == event["name"]))
        elif what == "disk":
            disk.update(event["set"])
        elif what == "set":
            for name, value in event["set"].items():
                setattr(machine, name, value)
        elif what == "add_disk":
            machine.add_disk(event["size"])
        elif what == "destroy":
            for one in machine.snapshots:
                one.drop()
            self.machines.remove(machine)
        elif what == "expire":
            for one in self.live_resources():
                one.ends = 0
                one.is_live()
        else:
            raise Refused(ODD, f"nobody knows what {what} is", 400)

    def show(self):
        return {"violations": self.violations, "calls": self.calls, "resources": [
            {"volume": r.volume.uri, "task": r.task_id, "renewed": r.total - 1} for r in self.live_resources()],
            "machines": {m.name: {
                "id": m.uuid, "uri": m.uri, "host": m.host["name"],
                "disks": [{"live": str(d["volume"].live), "volume": d["volume"].uri} for d in m.disks],
                "snapshots": [{"name": s.name, "uri": s.uri, "status": s.status, "description": s.description,
                               "frozen": [f["file"] for f in s.frozen.values()]} for s in m.snapshots]}
                for m in self.machines}}

