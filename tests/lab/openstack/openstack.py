#!/usr/bin/python3
"""Keystone, Cinder on RBD, Nova, Placement and Glance with a Ceph behind them in one directory, for tests.

  openstack.py run DIR [OPTION…]      starts them, prints KEY=VALUE lines and "ready", and ends them as soon as its
                                      standard input ends: with the death of whoever holds it
  openstack.py up DIR [OPTION…]       the same in the background; down DIR ends them
  openstack.py down DIR
  openstack.py env DIR                OS_… for the tools of OpenStack, as a shell reads it
  openstack.py server DIR NAME GIB…   makes a server with such volumes in that order and prints their ids;
                     [--image FILE]   the first volume is a clone of an image with this content
                     [--type TYPE]    ceph or ceph2 (another pool), for all
  openstack.py write DIR VOLUME OFFSET FILE     writes into a volume's image, as its guest would
  openstack.py discard DIR VOLUME OFFSET LENGTH
  openstack.py export DIR VOLUME FILE           the volume's present content
  openstack.py api DIR METHOD SERVICE PATH [JSON]  a request as the administrator (--as-user: as the user), to
                                      identity, volumev3, compute, image; PATH begins where the catalog's address ends
  openstack.py wait DIR SERVICE PATH STATUS     until what is there has this status; "deleted": until it is gone
  openstack.py kill DIR NAME          kills a service (keystone, cinder, nova, placement, glance, faults)
  openstack.py start DIR NAME         starts it again, where it was
  openstack.py pause DIR NAME         it accepts connections and answers none; resume DIR NAME
  openstack.py faults DIR [JSON]      tells the proxy its faults (proxy.py) and prints the requests it has seen since

Options: --services LIST (keystone,cinder,nova,glance), --token-seconds N (3600), --strict (the policies' new
defaults), --page N (the most that a page of a list holds: 1000; Nova shows no more attachments of a server).

The catalog has three regions: RegionOne (straight), Faulty (through the proxy), Secure (through it, by TLS; ca_file).
Users: admin; hamal (member of project demo), reader (reader of it), stranger (member of project other).
Ceph users: admin, hamal, readonly, cinder, glance, and backup, which has the least rights that suffice.
Exit status 77: packages are missing.
"""
import argparse
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import time
import json

import client
import lab

CEPH_CONF = "ceph/ceph.conf"


def values_of(directory):
    lines = (pathlib.Path(directory) / "report").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def admin_of(directory, project="demo"):
    values = values_of(directory)
    return client.Client(values["keystone_url"], "admin", values["admin_password"], project)


def user_of(directory):
    values = values_of(directory)
    return client.Client(values["keystone_url"], values["user"], values["password"], values["project"])


class Keeper:
    """The process that a lab lives as long as."""

    def __init__(self, options):
        self.lab = lab.Lab(options.directory, options)
        self.control = None

    def start(self):
        self.lab.run.mkdir(parents=True, exist_ok=True)
        if (self.lab.run / "pids").exists():
            sys.exit(f"openstack.py: one runs in {self.lab.run} already, or has run there")
        self.lab.start()
        prepare(self.lab)
        values = self.lab.report()
        text = "".join(f"{name}={value}\n" for name, value in values.items())
        (self.lab.run / "report").write_text(text)
        os.chdir(self.lab.run)  # the path of a socket is short
        self.control = socket.socket(socket.AF_UNIX)
        self.control.bind("control")
        self.control.listen()
        return text

    def serve(self, hold):
        """Until `hold` (a descriptor, or none) ends."""
        while True:
            ready, _, _ = select.select([self.control] + ([hold] if hold is not None else []), [], [])
            if hold in ready and not os.read(hold, 4096):
                return
            if self.control in ready:
                connection, _ = self.control.accept()
                with connection:
                    connection.sendall(self.do(*connection.recv(4096).decode().split()).encode())

    def do(self, word, name):
        try:
            if word == "kill":
                self.lab.kill(name)
            elif word == "start":
                self.lab.spawn(name, self.lab.commands[name])
                self.lab.wait_for(name)
            else:
                self.lab.processes[name].send_signal(signal.SIGSTOP if word == "pause" else signal.SIGCONT)
        except (lab.Failed, KeyError) as error:
            return repr(error)
        return "done"


def prepare(started):
    """What an operator has made: a flavor, volume types with a backend each."""
    if not started.has("cinder"):
        return
    admin = client.Client(started.report()["keystone_url"], "admin", started.report()["admin_password"], "admin")
    for name, backend in (("ceph", "rbd"), ("ceph2", "rbd2")):
        admin.call("POST", "volumev3", "/types", {"volume_type": {
            "name": name, "extra_specs": {"volume_backend_name": backend}}})
    if started.has("nova"):
        admin.call("POST", "compute", "/flavors", {"flavor": {"name": "small", "ram": 64, "vcpus": 1, "disk": 0, "id": "1"}})


def run(options):
    missing = lab.why_missing()
    if missing:
        print("openstack.py: " + missing, file=sys.stderr)
        return 77
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    keeper = Keeper(options)
    try:
        text = keeper.start()
        print(text + "ready", flush=True)
        keeper.serve(None if options.in_background else 0)
    except (lab.Failed, client.Refused, subprocess.CalledProcessError) as error:
        print(f"openstack.py: {error}", file=sys.stderr)
        return 1
    finally:
        keeper.lab.stop()
    return 0


def up(options, arguments):
    directory = pathlib.Path(options.directory)
    directory.mkdir(parents=True, exist_ok=True)
    read, write = os.pipe()
    with open(directory / "keeper.err", "wb") as error:
        keeper = subprocess.Popen([sys.executable, __file__, "run", *arguments, "--in-background"], stdin=subprocess.DEVNULL,
                                  stdout=write, stderr=error, start_new_session=True)
    os.close(write)
    (directory / "keeper.pid").write_text(str(keeper.pid))
    with os.fdopen(read) as report:
        for line in report:
            if line == "ready\n":
                return 0
            print(line, end="", flush=True)
    sys.stderr.write((directory / "keeper.err").read_text())
    return keeper.wait()


def down(options):
    file = pathlib.Path(options.directory) / "keeper.pid"
    pid = int(file.read_text())
    try:
        if b"openstack.py" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGTERM)
            while b"openstack.py" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                time.sleep(0.02)
    except (ProcessLookupError, FileNotFoundError):
        pass
    file.unlink()
    return 0


def env(options):
    values = values_of(options.directory)
    for name, value in (("OS_AUTH_URL", values["keystone_url"]), ("OS_USERNAME", values["user"]),
                        ("OS_PASSWORD", values["password"]), ("OS_PROJECT_NAME", values["project"]),
                        ("OS_USER_DOMAIN_NAME", values["domain"]), ("OS_PROJECT_DOMAIN_NAME", values["domain"]),
                        ("OS_REGION_NAME", "RegionOne"), ("OS_IDENTITY_API_VERSION", "3")):
        print(f"export {name}={value}")
    return 0


def server(options):
    user = user_of(options.directory)
    volumes = []
    for number, gib in enumerate(options.gib):
        more = {"volume_type": options.type}
        if options.image and number == 0:
            more["imageRef"] = user.make_image(options.name, pathlib.Path(options.image).read_bytes())
        volumes.append(user.make_volume(f"{options.name}-{number}", gib, **more)["id"])
    print("server=" + user.make_server(options.name, volumes)["id"])
    for volume in volumes:
        print("volume=" + volume)
    return 0


class Image:
    """A volume's image, as the administrator of the Ceph opens it."""

    def __init__(self, directory, volume):
        self.directory, self.volume = directory, volume

    def __enter__(self):
        import rados
        import rbd
        self.cluster = rados.Rados(conffile=f"{self.directory}/{CEPH_CONF}", name="client.admin")
        self.cluster.connect(timeout=60)
        one = admin_of(self.directory).call("GET", "volumev3", f"/volumes/{self.volume}")["volume"]
        name = one.get("os-vol-mig-status-attr:name_id") or self.volume
        pool = "volumes2" if one.get("os-vol-host-attr:host", "").split("#")[0].endswith("@rbd2") else "volumes"
        self.pool = self.cluster.open_ioctx(pool)
        self.image = rbd.Image(self.pool, f"volume-{name}")
        return self.image

    def __exit__(self, *_):
        self.image.close()
        self.pool.close()
        self.cluster.shutdown()


def change(options):
    with Image(options.directory, options.volume) as image:
        if options.command == "write":
            image.write(pathlib.Path(options.file).read_bytes(), options.offset)
        elif options.command == "discard":
            image.discard(options.offset, options.length)
        else:
            export(image, options.file)
    return 0


def export(image, path):
    block = 4 << 20
    with open(path, "wb") as file:
        file.truncate(image.size())
        for at in range(0, image.size(), block):
            data = image.read(at, min(block, image.size() - at))
            if data.strip(b"\0"):
                file.seek(at)
                file.write(data)


def api(options):
    who = user_of(options.directory) if options.as_user else admin_of(options.directory)
    try:
        reply = who.call(options.method, options.service, options.path, json.loads(options.json) if options.json else None)
    except client.Refused as refused:
        print(f"openstack.py: {refused}", file=sys.stderr)
        return 1
    print(json.dumps(reply))
    return 0


def wait(options):
    try:
        admin_of(options.directory).wait(options.service, options.path, options.status)
    except client.Refused as refused:
        print(f"openstack.py: {refused}", file=sys.stderr)
        return 1
    return 0


def tell(options):
    os.chdir(options.directory)
    with socket.socket(socket.AF_UNIX) as keeper:
        keeper.connect("control")
        keeper.sendall(f"{options.command} {options.name}".encode())
        answer = keeper.recv(65536).decode()
    if answer != "done":
        print("openstack.py: " + answer, file=sys.stderr)
        return 1
    return 0


def faults(options):
    url = values_of(options.directory)["faults_url"]
    method, body = ("PUT", options.json.encode()) if options.json is not None else ("GET", None)
    _, log = client.send(method, url + "/", body)
    if options.json is None:
        print("\n".join(log))
    return 0


def parse(arguments):
    parser = argparse.ArgumentParser(usage=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name, *words):
        one = commands.add_parser(name)
        one.add_argument("directory")
        for word in words:
            one.add_argument(word, type=int if word in ("offset", "length") else str)
        return one

    for name in ("run", "up"):
        one = command(name)
        one.add_argument("--services", type=lambda text: text.split(","), default=["keystone", "cinder", "nova", "glance"])
        one.add_argument("--token-seconds", type=int, default=3600)
        one.add_argument("--page", type=int, default=1000)
        one.add_argument("--strict", action="store_const", const="true", default="false")
        one.add_argument("--in-background", action="store_true", help=argparse.SUPPRESS)
    for name in ("down", "env"):
        command(name)
    one = command("server", "name")
    one.add_argument("gib", nargs="+", type=int)
    one.add_argument("--image")
    one.add_argument("--type", default="ceph")
    command("write", "volume", "offset", "file")
    command("discard", "volume", "offset", "length")
    command("export", "volume", "file")
    one = command("api", "method", "service", "path")
    one.add_argument("json", nargs="?")
    one.add_argument("--as-user", action="store_true")
    command("wait", "service", "path", "status")
    for name in ("kill", "start", "pause", "resume"):
        command(name, "name")
    command("faults").add_argument("json", nargs="?")
    return parser.parse_args(arguments)


def main():
    options = parse(sys.argv[1:])
    if options.command == "up":
        return up(options, sys.argv[2:])
    return {"run": run, "down": down, "env": env, "server": server, "write": change, "discard": change,
            "export": change, "api": api, "wait": wait, "faults": faults}.get(options.command, tell)(options)


if __name__ == "__main__":
    sys.exit(main())
