#!/usr/bin/env python3
"""A FusionCompute on loopback, over real disk files: VRM by HTTPS, and a socket server. README.md says what it does not prove.

usage: sim.py serve DIR VM:SIZE[,SIZE…]…   prints "endpoint=https://…", "thumbprint=…" and "ready"; ends with its standard
                                           input. SIZE as 1M. The running disks are files in DIR.
       sim.py tell ENDPOINT WHAT JSON      WHAT is settings, faults, machine or calls (README.md)
       sim.py ask ENDPOINT EXPRESSION      prints it, with d for the state
"""
import hashlib
import json
import os
import pathlib
import re
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.dont_write_bytecode = True  # beside the sources
import vna  # pylint: disable=wrong-import-position
from world import SITE, SECTOR, Machine, Refused, World, urn_of

USER, PASSWORD = "hamal", "secret & <more>"
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Vrm:
    """The routes. Each is called with World.lock held."""

    def __init__(self, world):
        self.world = world
        self.sessions = {}  # token -> when it ends
        self.routes = [(method, re.compile(pattern + "$"), call) for method, pattern, call in [
            ("DELETE", "/service/session", self.logout),
            ("GET", "/service/sites", lambda _: {"sites": [{"uri": SITE, "urn": urn_of(SITE), "name": "site"}]}),
            ("GET", f"{SITE}/vms", self.vms),
            ("GET", f"{SITE}/vms/([^/]+)", lambda q, vm: self.vm(vm).show()),
            ("GET", f"{SITE}/hosts", lambda _: {"total": 2, "hosts": [self.place(one) for one in self.world.hosts]}),
            ("GET", f"{SITE}/datastores",
             lambda _: {"total": 2, "datastores": [self.place(one) for one in self.world.datastores]}),
            ("GET", f"({SITE}/volumes/[^/]+)", lambda q, uri: self.world.volume(uri).show()),
            ("GET", f"{SITE}/vms/([^/]+)/snapshots", self.snapshots),
            ("POST", f"{SITE}/vms/([^/]+)/snapshots", self.create),
            ("GET", f"({SITE}/vms/([^/]+)/snapshots/[^/]+)", lambda q, uri, vm: self.vm(vm).find(uri).detail()),
            ("DELETE", f"({SITE}/vms/([^/]+)/snapshots/[^/]+)", lambda q, uri, vm: self.vm(vm).begin_removal(uri)),
            ("GET", f"({SITE}/tasks/[^/]+)", self.task),
            ("POST", f"({SITE}/volumes/[^/]+)/getcbt", self.changes),
            ("POST", f"({SITE}/volumes/[^/]+)/backupresources", self.prepare),
            ("GET", f"({SITE}/volumes/[^/]+)/backupresources/([^/]+)",
             lambda q, uri, task: self.resource(uri, task).show()),
            ("PUT", f"({SITE}/volumes/[^/]+)/backupresources/([^/]+)", self.renew),
            ("DELETE", f"({SITE}/volumes/[^/]+)/backupresources/([^/]+)",
             lambda q, uri, task: self.resource(uri, task).release() or {}),
        ]]

    def violation(self, text):
        self.world.violations.append(text)

    def vm(self, name):
        return self.world.machine(f"{SITE}/vms/{name}")

    def place(self, one):
        return {**one, "urn": urn_of(one["uri"]), "storageType": "DSWARE", "status": "NORMAL"}

    def login(self, headers):
        if headers.get("x-auth-user") != USER or \
                headers.get("x-auth-key") != hashlib.sha256(PASSWORD.encode()).hexdigest():
            raise Refused(10000003, "the user name or password is wrong", 401)
        wanted = self.world.settings["types"]
        if wanted and headers.get("x-auth-usertype") != wanted:
            raise Refused(10000003, "the user type is wrong", 401)
        token = uuid.uuid4().hex
        self.sessions[token] = time.monotonic() + self.world.settings["token_ms"] / 1000
        return token

    def logout(self, request):
        self.sessions.pop(request["token"], None)
        return {}

    def is_logged_in(self, token):
        return self.sessions.get(token, 0) > time.monotonic()

    def vms(self, request):
        query = request["query"]
        limit, offset = int(query.get("limit", "100")), int(query.get("offset", "0"))
        if limit > 100:
            self.violation(f"limit {limit}")
        limit = min(limit, self.world.settings["page"])
        number = self.world.number
        return {"total": number(len(self.world.machines)),
                "vms": [one.short() for one in self.world.machines[offset:offset + limit]]}

    def snapshots(self, _request, vm):
        machine = self.vm(vm)
        current = machine.current.show([]) if machine.current else None
        return {"currentSnapshot": current, "rootSnapshots": machine.tree()}

    def create(self, request, vm):
        body = request["body"]
        if set(body) - {"name", "description", "type", "needMemoryShot", "isConsistent"}:
            self.violation(f"snapshot {body}")
        if not 1 <= len(body["name"]) <= 256 or len(body.get("description", "")) > 1024 or \
                body["type"] not in ("normal", "backup", "CBTbackup") or body["needMemoryShot"] is not False:
            self.violation(f"snapshot {body}")
        return self.vm(vm).begin_snapshot(body)

    def task(self, _request, uri):
        if uri not in self.world.tasks:
            raise Refused(10000022, "there is no such task", 404)
        return self.world.tasks[uri].show()

    def changes(self, request, uri):
        volume, body, lie = self.world.volume(uri), request["body"], self.world.settings["lie"]
        if set(body) != {"type", "snapUuid", "volCBTCreateTime", "chgID", "startBlock", "blockNum"} or \
                body["startBlock"] % 8 or body["blockNum"] % 8 or \
                body["type"] not in ("DiffBitmapAndBit1Num", "DiffBitmapBit1Num"):
            self.violation(f"getcbt {body}")
        for machine in self.world.machines:
            for snapshot in machine.snapshots:
                frozen = snapshot.frozen.get(uri)
                if frozen and frozen["uuid"] == body["snapUuid"]:
                    break
            else:
                continue
            break
        else:
            raise Refused(10430041, "the snapUuid does not exist")
        if frozen["created"] != body["volCBTCreateTime"]:
            raise Refused(10430041, "volCBTCreateTime is another one")
        blocks = volume.changed(int(body["chgID"]), frozen)
        size, block = frozen["size"], self.world.settings["block"]
        start, total = body["startBlock"], -(-size // block)
        count = max(0, min(body["blockNum"], total - start))
        if lie == "short" and count:
            count = max(1, count - 1) if start + count == total else count
        bits = bytearray(-(-count // 8))
        ones = 0
        for number in range(count):
            if start + number in blocks:
                bits[number // 8] |= 1 << (number % 8)
                ones += 1
        text = bits.hex()[:-(-count // 4)] if count % 8 == 0 or count % 8 > 4 else \
            bits.hex()[:-2] + bits.hex()[-1]
        number = self.world.number
        reply = {"sectorOfBlock": number(block // SECTOR), "bitNum": number(count), "bit1Num": number(ones),
                 "bitMap": text}
        if lie == "count":
            reply["bit1Num"] = number(ones + 1)
        if lie == "long":
            reply["bitNum"] = number(body["blockNum"] + 8)
        if lie == "block":
            reply["sectorOfBlock"] = 0
        return reply

    def prepare(self, request, uri):
        body = request["body"]
        if not 60 <= body["delay"] <= 7200 or body["taskType"] != "CBTBackup" or not body["ip"] or \
                body["transMode"] not in ("lan", "lanssl"):
            self.violation(f"backupresources {body}")
        return self.world.prepare(self.world.volume(uri), body)

    def resource(self, uri, task):
        return self.world.resource(self.world.volume(uri), task)

    def renew(self, request, uri, task):
        self.resource(uri, task).extend(request["body"]["delay"])
        return {}

    def call(self, method, path, request):
        for wanted, pattern, call in self.routes:
            match = pattern.match(path)
            if wanted == method and match:
                return call(request, *match.groups())
        self.violation(f"{method} {path}")
        raise Refused(10000022, "there is no such address", 404)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    vrm = None

    def handle_any(self):
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        address = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(address.query))
        world = self.vrm.world
        if address.path.startswith("/_ctl/"):
            self.send(200, {}, self.control(address.path.removeprefix("/_ctl/"), body))
            return
        name = f"{self.command} {address.path.removeprefix('/service')}"
        with world.lock:
            world.calls.append(name)
            stopped = world.settings["stop_at"] and len(world.calls) == world.settings["stop_at"]
            fault = world.take_fault(name) or {"do": "nothing"}
        if stopped and world.settings["stop_when"] == "before":
            self.stop()
            return
        if fault["do"] == "slow":
            time.sleep(fault["seconds"])
        if fault["do"] == "lost_before":
            self.close_connection = True
            return
        status, more, reply = self.answer(address.path, query, headers, body, fault)
        if stopped:
            self.stop()
            return
        if fault["do"] == "lost":
            self.close_connection = True
            return
        self.send(status, more, fault["body"] if fault["do"] == "reply" else reply)

    def stop(self):
        """The client is to be killed while it waits."""
        (self.vrm.world.folder / "stopped").touch()
        time.sleep(60)
        self.close_connection = True

    def answer(self, path, query, headers, body, fault):
        world = self.vrm.world
        with world.lock:
            try:
                if fault["do"] == "refuse":
                    raise Refused(fault["code"], "as the test wants it", fault.get("status", 500))
                if (self.command, path) == ("GET", "/service/versions"):
                    return 200, {}, {"versions": [{"version": v, "loginUri": "/service/session"} for v in ("v6.3", "v8.0", "v6.5")]}
                if "version=v8.0" not in headers.get("accept", ""):
                    raise Refused(10000022, "no such version", 400)
                if (self.command, path) == ("POST", "/service/session"):
                    if body:
                        self.vrm.violation("a session with a body")
                    token = self.vrm.login(headers)
                    return 200, {"X-Auth-Token": token}, {"validity": world.number(world.settings["validity_ms"] or world.settings["token_ms"])}
                token = headers.get("x-auth-token", "")
                if fault["do"] == "expire":
                    self.vrm.sessions.pop(token, None)
                if not self.vrm.is_logged_in(token):
                    raise Refused(10000002, "not logged in", 401)
                request = {"query": query, "token": token, "body": json.loads(body) if body else {}}
                return 200, {}, self.vrm.call(self.command, path, request)
            except Refused as refused:
                return refused.status, {}, {"errorCode": refused.code, "errorDes": refused.text}

    def control(self, what, body):
        world = self.vrm.world
        value = json.loads(body) if body else {}
        with world.lock:
            if what == "state":
                return world.show()
            if what == "settings":
                world.settings.update(value)
            elif what == "faults":
                world.faults = value
            elif what == "machine":
                world.happen(value)
            elif what == "calls":
                world.calls.clear()
                (world.folder / "stopped").unlink(missing_ok=True)
        return {}

    def send(self, status, headers, reply):
        text = reply.encode() if isinstance(reply, str) else json.dumps(reply).encode()
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json;charset=UTF-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PUT = do_POST = do_DELETE = handle_any

    def log_message(self, *_arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    tls = None

    def finish_request(self, request, client_address):
        # Here, in the connection's own thread: a client that does not shake hands keeps nobody waiting.
        try:
            with self.tls.wrap_socket(request, server_side=True) as secure:
                self.RequestHandlerClass(secure, client_address, self)
        except OSError:
            pass  # it went away, or does not trust us


def make_certificate(folder):
    """Self-signed, without a subjectAltName, as appliances have it."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "30", "-subj", "/CN=VRM", "-keyout", "key.pem", "-out", "cert.pem"],
                   check=True, capture_output=True, cwd=folder)
    pem = (folder / "cert.pem").read_text(encoding="ascii")
    return pem, hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def serve(folder, machines):
    folder.mkdir(parents=True, exist_ok=True)
    pem, thumbprint = make_certificate(folder)
    world = World(folder, pem)
    for number, text in enumerate(machines, 1):
        name, sizes = text.split(":")
        world.machines.append(Machine(world, number, name, [int(s[:-1]) * UNITS[s[-1]] for s in sizes.split(",")]))
    vna.Server(world, folder)
    Handler.vrm = Vrm(world)
    server = Server(("127.0.0.1", 0), Handler)
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"endpoint=https://127.0.0.1:{server.server_address[1]}\nthumbprint={thumbprint}\nready", flush=True)
    sys.stdin.read()
    os._exit(0)


def control(endpoint, what, body=None):
    request = urllib.request.Request(f"{endpoint}/_ctl/{what}", method="PUT" if body else "GET",
                                     data=body.encode() if body else None)
    context = ssl._create_unverified_context()
    with urllib.request.urlopen(request, context=context, timeout=30) as reply:
        return json.loads(reply.read())


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"] and len(sys.argv) > 3:
        serve(pathlib.Path(sys.argv[2]).resolve(), sys.argv[3:])
    elif sys.argv[1:2] == ["tell"] and len(sys.argv) == 5:
        said = control(*sys.argv[2:])
        if said:
            sys.exit(json.dumps(said))
    elif sys.argv[1:2] == ["ask"] and len(sys.argv) == 4:
        print(eval(sys.argv[3], {"d": control(sys.argv[2], "state")}))
    else:
        sys.exit(__doc__)
