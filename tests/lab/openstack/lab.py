"""Starts the services of one lab in one directory, on loopback, and ends them.

Every process is told by the kernel to end with the one that started it: nothing is left behind, whatever
becomes of the test.
"""
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import client
import settings
import template

HERE = pathlib.Path(__file__).parent
PATIENCE = 180
ATTEMPTS = 3
PROGRAMS = ("keystone-manage", "cinder-manage", "nova-manage", "placement-manage", "uwsgi", "ceph-osd")
USERS = """client.cinder|mon = "profile rbd"; osd = "profile rbd pool=volumes, profile rbd pool=volumes2, profile rbd pool=vms, profile rbd-read-only pool=images"
client.glance|mon = "profile rbd"; osd = "profile rbd pool=images"
client.backup|mon = "profile rbd"; osd = "profile rbd-read-only pool=volumes, profile rbd-read-only pool=volumes2, profile rbd-read-only pool=images, profile rbd pool=vms"
"""
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class Failed(Exception):
    pass


def why_missing():
    for program in PROGRAMS:
        if not any(os.access(os.path.join(folder, program), os.X_OK)
                   for folder in os.environ["PATH"].split(":") + ["/usr/bin", "/usr/sbin"]):
            return f"{program} is not installed: scripts/setup --tests installs it"
    return None


def free_ports(names):
    held = [socket.socket() for _ in names]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = {name: str(one.getsockname()[1]) for name, one in zip(names, held)}
    for one in held:
        one.close()
    return ports


def ends_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Lab:
    """Used by the main thread alone: what a thread started would end with the thread."""

    def __init__(self, directory, options):
        self.run = pathlib.Path(directory).resolve()
        self.options = options
        self.processes = {}
        self.commands = {}
        self.ports = {}

    def choose_ports(self):
        names = list(settings.SERVICES)
        self.ports = free_ports(names + ["faulty_" + name for name in names] + ["secure_" + name for name in names]
                                + ["faults"])
        settings.write(self.run, self.ports, self.options)
        return self.ports

    def has(self, service):
        return service in self.options.services

    def spawn(self, name, command, **more):
        with open(self.run / "log" / f"{name}.out", "ab") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.run,
                                       preexec_fn=ends_with_parent, **more)
        self.processes[name] = process
        self.commands[name] = command
        (self.run / "pids").write_text("".join(f"{one.pid} {name}\n" for name, one in self.processes.items()))

    def kill(self, name):
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def spawn_wsgi(self, name, program):
        # One thread: with more of them SQLite says that the database is locked.
        self.spawn(name, ["env", f"OS_KEYSTONE_CONFIG_DIR={self.run}", f"OS_PLACEMENT_CONFIG_DIR={self.run}",
                          "uwsgi", "--plugin", "python3", "--http-socket", f"127.0.0.1:{self.ports[name]}", "--need-app",
                          "--lazy-apps", "--buffer-size", "65535", "--die-on-term", "--disable-logging",
                          "--add-header", "Connection: close", "--wsgi-file", program])

    def spawn_python(self, name, program, *arguments):
        self.spawn(name, ["/usr/bin/python3", "-W", "ignore", program, *arguments])

    def wait_for(self, name):
        """Until its port answers."""
        end = time.time() + PATIENCE
        while time.time() < end:
            try:
                socket.create_connection(("127.0.0.1", int(self.ports[name])), 1).close()
                answers = True
            except OSError:
                answers = False
            if self.processes[name].poll() is not None:
                raise Failed(f"{name} ended: {self.last_lines(name)}")
            if answers:
                return
            time.sleep(0.02)
        raise Failed(f"{name} does not answer: {self.last_lines(name)}")

    def last_lines(self, name):
        text = ""
        for file in (self.run / "log" / f"{name}.out", self.run / "log" / f"{name}.log"):
            if file.exists():
                text += file.read_text(errors="replace")[-2000:]
        return text

    def start(self):
        (self.run / "log").mkdir(parents=True, exist_ok=True)
        if self.has("cinder"):
            self.start_ceph()
        self.make_certificate()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self.start_services()
                return
            # A port that was free is another's by now: then it does not start, or another answers in its place.
            except (Failed, client.Refused, subprocess.CalledProcessError, OSError) as error:
                if attempt == ATTEMPTS:
                    raise
                print(f"openstack.py: attempt {attempt} to start the services failed: {error}", file=sys.stderr)
                self.stop_services()
                for file in self.run.glob("*.db*"):
                    file.unlink()
                shutil.rmtree(self.run / "keys", ignore_errors=True)

    def start_services(self):
        template.copy_to(self.run, self.choose_ports, self.build_template)
        self.start_keystone()
        if self.has("nova"):
            self.spawn_wsgi("placement", "/usr/bin/placement-api")
            self.spawn_python("neutron", str(HERE / "services" / "neutron_stub.py"), self.ports["neutron"])
        names = [f"{name}:{self.ports['faulty_' + name]}:{self.ports['secure_' + name]}:{self.ports[name]}"
                 for name in settings.SERVICES]
        self.spawn_python("faults", str(HERE / "proxy.py"), self.ports["faults"], "--certificate",
                          f"{self.run}/server.pem", "--key", f"{self.run}/server.key", *names)
        self.wait_for("keystone")
        if self.has("nova"):
            self.spawn_python("nova", str(HERE / "services" / "nova_all.py"), "--config-file", f"{self.run}/nova.conf")
        if self.has("cinder"):
            self.wait_for_ceph()
            self.spawn_python("cinder", str(HERE / "services" / "cinder_all.py"), "--config-file",
                              f"{self.run}/cinder.conf")
        if self.has("glance"):
            self.spawn_python("glance", "/usr/bin/glance-api", "--config-file", f"{self.run}/glance.conf")
        for name in self.processes:
            if name in self.ports:
                self.wait_for(name)

    def start_keystone(self):
        self.spawn_wsgi("keystone", "/usr/bin/keystone-wsgi-public")

    def start_ceph(self):
        environment = {**os.environ, "CEPH_RGW": "no", "CEPH_POOLS": "volumes volumes2 vms images target",
                       "CEPH_USERS": USERS}
        # It ends with its standard input: with this process.
        with open(self.run / "log" / "ceph.out", "wb") as out, open(self.run / "log" / "ceph.err", "wb") as error:
            self.ceph = subprocess.Popen([str(HERE.parent / "ceph.sh"), "run", str(self.run / "ceph")],
                                         stdin=subprocess.PIPE, stdout=out, stderr=error, env=environment)

    def wait_for_ceph(self):
        end = time.time() + PATIENCE
        while time.time() < end:
            text = (self.run / "log" / "ceph.out").read_text()
            if text.endswith("ready\n"):
                self.ceph_values = dict(line.split("=", 1) for line in text.splitlines()[:-1])
                return
            if self.ceph.poll() is not None:
                break
            time.sleep(0.02)
        raise Failed("Ceph does not start: " + (self.run / "log" / "ceph.err").read_text())

    def make_certificate(self):
        """An authority of this lab's own, and a certificate of it for this host."""
        commands = [
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=Hamal lab authority",
             "-keyout", "ca.key", "-out", "ca.pem"],
            ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "server.key",
             "-out", "server.csr"],
            ["openssl", "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
             "-days", "30", "-extfile", "names", "-out", "server.pem"]]
        (self.run / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        with open(self.run / "log" / "openssl.out", "wb") as out:
            for command in commands:
                subprocess.run(command, cwd=self.run, stdout=out, stderr=out, check=True)

    def build_template(self, made):
        """In this lab's own directory, with its own ports: what is copied is what this made."""
        template.write_keys(self.run)
        with open(self.run / "log" / "template.out", "wb") as out:
            # Each on a database of its own.
            schemas = [subprocess.Popen(command, stdout=out, stderr=out) for command in template.schema_commands(self.run)]
            for command in (["keystone-manage", "--config-file", f"{self.run}/keystone.conf", "db_sync"],
                            template.bootstrap_command(self.run, self.ports)):
                subprocess.run(command, stdout=out, stderr=out, check=True)
            if any(process.wait() for process in schemas):
                raise Failed("no schema: " + (self.run / "log" / "template.out").read_text()[-3000:])
        self.start_keystone()
        self.wait_for("keystone")
        template.fill_keystone(self.ports)
        self.kill("keystone")
        template.finish(self.run, self.ports, made)
        for file in list(self.run.glob("*.db*")) + list((self.run / "keys").iterdir()):
            file.unlink()
        (self.run / "keys").rmdir()

    def stop_services(self):
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()
        self.processes = {}

    def stop(self):
        self.stop_services()
        if hasattr(self, "ceph"):
            self.ceph.stdin.close()
            self.ceph.wait()

    def report(self):
        """What a client of it needs, as KEY=VALUE."""
        values = {f"{name}_url": f"http://127.0.0.1:{self.ports[name]}" for name in settings.SERVICES}
        values["keystone_url"] += "/v3"
        for kind, scheme in (("faulty", "http"), ("secure", "https")):
            values[f"{kind}_keystone_url"] = f"{scheme}://127.0.0.1:{self.ports[kind + '_keystone']}/v3"
        values.update({"faults_url": f"http://127.0.0.1:{self.ports['faults']}", "ca_file": f"{self.run}/ca.pem",
                       "user": "hamal", "password": "hamal-secret", "project": "demo", "domain": "Default",
                       "admin_password": settings.ADMIN_PASSWORD, "directory": str(self.run)})
        values.update(getattr(self, "ceph_values", {}))
        return values
