#!/usr/bin/env python3
"""A console on loopback: HTTPS, keeps its state in a folder, follows man/mass-api.yaml, and misbehaves as told.

usage: mass_server.py serve DIR [HOST]   prints "endpoint=https://…/hypermotion/v1" and "ready"; ends with its
                                         standard input. DIR gets state.json, cert.pem, public_key.pem and
                                         other_public_key.pem, and keeps them for the next start.
       mass_server.py tell ENDPOINT METHOD PATH [JSON]    a request of the operator's, below; prints the reply
       mass_server.py ask ENDPOINT EXPRESSION   prints it, with d for the state

Between the clients and the service every request and every reply is held to the contract (contract.py): a
violation is a reply with status 500 and stays in the state's "violations". Told by requests of its own:

  GET /__state            the state: proxy, heartbeats, progress, results, bundles, violations, requests, given
  PUT /__set              an object whose fields replace those of the state: tasks, mappings, log_request, clock
                          (seconds that its own is ahead), seen_address
  PUT /__reset            back to the beginning, and nothing in the lists
  PUT /__faults           a list of faults, in place of those before: {"do": WHAT, "times": N, "contains": TEXT in
                          "METHOD path", …}. The first that matches and has times left is done.

What it does ("do"):
  status      refuses with "status" and "headers" (by the contract)
  reply       replies with "status" and "body", whatever the contract says
  drift       adds the "fields" to the service's reply before that is held to the contract
  truncate    sends half of the body that it announced
  lost        does it, and closes the connection instead of the reply
  slow        sends nothing for "seconds"
"""
import copy
import datetime
import email.utils
import json
import os
import pathlib
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# `contract` is imported by serve(): it takes long, and telling goes without.

BASE = "/hypermotion/v1"
PROXY = "proxy-1"
AUTH_KEY = "lab-auth-key"
EMPTY = {"proxy": None, "heartbeats": [], "tasks": [], "progress": [], "results": [], "mappings": [],
         "log_request": None, "bundles": {}, "clock": 0, "seen_address": "203.0.113.7"}


class Refused(Exception):
    def __init__(self, status, error, message):
        super().__init__(message)
        self.reply = (status, {}, {"error": error, "message": message})


class Service:
    """What a console does. It knows nothing of the contract but what it was written by."""

    def __init__(self, folder):
        self.file = folder / "state.json"
        self.state = copy.deepcopy(EMPTY)
        if self.file.exists():
            self.state.update(json.loads(self.file.read_text(encoding="utf-8")))

    def save(self):
        temporary = self.file.with_suffix(".new")
        temporary.write_text(json.dumps(self.state), encoding="utf-8")
        temporary.rename(self.file)

    def now(self):
        return time.time() + self.state["clock"]

    def time_text(self):
        when = datetime.datetime.fromtimestamp(self.now(), datetime.timezone.utc)
        return when.strftime("%Y-%m-%dT%H:%M:%SZ")

    def handle(self, operation, parameters, headers, body):
        """(status, headers, JSON or None)"""
        if headers["authorization"] != f"Bearer {AUTH_KEY}":
            raise Refused(401, "unauthorized", "this key is nobody's")
        if parameters["proxy"] != PROXY:
            raise Refused(403, "forbidden", "this key is another proxy's")
        value = json.loads(body) if headers.get("content-type") == "application/json" and body else body
        if operation.id not in ("registerProxy", "getSeenAddress") and self.state["proxy"] is None:
            raise Refused(404, "unknown_proxy", "register first")
        reply = getattr(self, operation.id)(parameters, headers, value)
        self.save()
        return (204, {}, None) if reply is None else (200, {}, reply)

    def registerProxy(self, _parameters, _headers, body):
        known = self.state["proxy"]
        if known and known["installation_id"] != body["installation_id"]:
            raise Refused(409, "other_installation", "another installation has this id")
        self.state["proxy"] = body
        return {"server_time": self.time_text()}

    def getSeenAddress(self, _parameters, _headers, _body):
        return {"address": self.state["seen_address"]}

    def sendHeartbeat(self, _parameters, _headers, body):
        self.state["heartbeats"].append(body)
        reply = {"server_time": self.time_text()}
        if self.state["log_request"]:
            reply["log_request"] = self.state["log_request"]
        return reply

    def getHostMappings(self, _parameters, _headers, _body):
        return {"mappings": self.state["mappings"]}

    def putLogBundle(self, parameters, _headers, body):
        wanted = self.state["log_request"]
        if not wanted or wanted["id"] != parameters["request"]:
            raise Refused(404, "unknown_request", "nobody asked for it")
        if len(body) > wanted["max_bytes"]:
            raise Refused(413, "too_large", f"{len(body)} bytes")
        name = f"{wanted['id']}.tar.zst"
        (self.file.parent / name).write_bytes(body)
        self.state["bundles"][wanted["id"]] = name
        self.state["log_request"] = None

    def getTasks(self, _parameters, _headers, _body):
        ended = {result["task"] for result in self.state["results"]}
        return {"server_time": self.time_text(),
                "tasks": [task for task in self.state["tasks"] if task.get("id") not in ended]}

    def putTaskProgress(self, parameters, _headers, body):
        self.known_task(parameters["task"])
        self.state["progress"].append({"task": parameters["task"], **body})

    def putTaskResult(self, parameters, headers, body):
        self.known_task(parameters["task"])
        key = headers["idempotency-key"]
        for result in self.state["results"]:
            if result["key"] == key:
                return
            if result["task"] == parameters["task"]:
                raise Refused(409, "other_result", "the task has another result")
        self.state["results"].append({"key": key, "task": parameters["task"], **body})

    def known_task(self, task):
        if not any(known.get("id") == task for known in self.state["tasks"]):
            raise Refused(404, "unknown_task", "there is no such task")


class Console:
    """The service behind the contract and the faults."""

    def __init__(self, folder, contract_file):
        self.lock = threading.Lock()
        self.contract = contract.Contract(contract_file)
        self.service = Service(folder)
        self.faults = []
        self.requests = []
        self.violations = []
        self.given = []  # ids of tasks that went out, each time

    def fault_for(self, request):
        for fault in self.faults:
            if fault.get("contains", "") in request and fault.get("times", 1) > 0:
                fault["times"] = fault.get("times", 1) - 1
                return fault
        return {"do": "nothing"}

    def answer(self, method, path, headers, body):
        """(status, headers, bytes, fault)"""
        with self.lock:
            request = f"{method} {path}"
            self.requests.append(request)
            fault = self.fault_for(request)
            try:
                status, sent, text = self.between(method, path, headers, body, fault)
            except contract.Violation as violation:
                self.violations.append(str(violation))
                status, sent = 500, {}
                text = json.dumps({"error": "contract", "message": str(violation)}).encode()
            sent["date"] = email.utils.formatdate(self.service.now(), usegmt=True)
            return status, sent, text, fault

    def between(self, method, path, headers, body, fault):
        operation, parameters = self.contract.check_request(method, path, headers, body)
        if fault["do"] == "reply":
            return fault["status"], {"content-type": "application/json"}, fault["body"].encode()
        try:
            if fault["do"] == "status":
                raise Refused(fault["status"], "told", "as the test wants it")
            status, sent, reply = self.service.handle(operation, parameters, headers, body)
        except Refused as refused:
            status, sent, reply = refused.reply
            sent = {**sent, **fault.get("headers", {})}
        if fault["do"] == "drift":
            reply = {**(reply or {}), **fault["fields"]}
        text = b""
        if reply is not None:
            sent["content-type"] = "application/json"
            text = json.dumps(reply).encode()
        self.contract.check_response(operation, status, {n.lower(): v for n, v in sent.items()}, text)
        if operation.id == "getTasks" and status == 200:
            self.given += [task["id"] for task in reply["tasks"]]
        return status, sent, text

    def operator(self, method, path, body):
        with self.lock:
            if (method, path) == ("GET", "/__state"):
                return {**self.service.state, "violations": self.violations, "requests": self.requests,
                        "given": self.given}
            if (method, path) == ("PUT", "/__set"):
                self.service.state.update(json.loads(body))
                self.service.save()
                return {}
            if (method, path) == ("PUT", "/__reset"):
                self.service.state = copy.deepcopy(EMPTY)
                self.service.save()
                self.faults, self.requests, self.violations, self.given = [], [], [], []
                return {}
            if (method, path) == ("PUT", "/__faults"):
                self.faults = json.loads(body)
                return {}
            return {"unknown": path}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    console = None

    def handle_any(self):
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        if self.path.startswith("/__"):
            text = json.dumps(self.console.operator(self.command, self.path, body)).encode()
            self.reply(200, {"content-type": "application/json"}, text, len(text))
            return
        if not self.path.startswith(BASE + "/"):
            self.reply(404, {}, b"", 0)
            return
        path = self.path.removeprefix(BASE)
        status, sent, text, fault = self.console.answer(self.command, path, headers, body)
        if fault["do"] == "slow":
            time.sleep(fault["seconds"])
        if fault["do"] == "lost":
            self.close_connection = True
            return
        cut = fault["do"] == "truncate"
        self.reply(status, sent, text[:len(text) // 2] if cut else text, len(text))
        self.close_connection = self.close_connection or cut

    def reply(self, status, headers, text, length):
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("content-length", str(length))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PUT = do_POST = do_DELETE = handle_any

    def log_message(self, *_arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    tls = None

    def finish_request(self, request, client_address):
        # Here, in the connection's own thread: a client that does not shake hands keeps nobody waiting.
        try:
            with self.tls.wrap_socket(request, server_side=True) as secure:
                self.RequestHandlerClass(secure, client_address, self)
        except OSError:
            pass  # it went away, or does not trust us


def make_keys(folder):
    if (folder / "public_key.pem").exists():
        return
    run = lambda *argv: subprocess.run(argv, check=True, capture_output=True, cwd=folder)
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
        "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out",
        "cert.pem")
    run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", "other.pem")
    run("openssl", "pkey", "-in", "other.pem", "-pubout", "-out", "other_public_key.pem")
    run("openssl", "pkey", "-in", "key.pem", "-pubout", "-out", "public_key.pem")


def serve(folder, host):
    global contract
    import contract  # pylint: disable=import-outside-toplevel
    folder.mkdir(parents=True, exist_ok=True)
    make_keys(folder)
    source = pathlib.Path(__file__).resolve().parents[2]
    Handler.console = Console(folder, source / "man/mass-api.yaml")
    port_file = folder / "port"
    port = int(port_file.read_text(encoding="ascii")) if port_file.exists() else 0
    server = Server(("127.0.0.1", port), Handler)
    port_file.write_text(str(server.server_address[1]), encoding="ascii")
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"endpoint=https://{host}:{server.server_address[1]}{BASE}\nready", flush=True)
    sys.stdin.read()
    os._exit(0)


def tell(endpoint, method, path, body=None):
    address = endpoint.removesuffix(BASE) + path
    request = urllib.request.Request(address, method=method, data=body.encode() if body else None)
    context = ssl._create_unverified_context()
    with urllib.request.urlopen(request, context=context, timeout=30) as reply:
        return reply.read().decode()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"] and len(sys.argv) in (3, 4):
        serve(pathlib.Path(sys.argv[2]).resolve(), (sys.argv[3:] or ["localhost"])[0])
    elif sys.argv[1:2] == ["tell"] and len(sys.argv) in (5, 6):
        print(tell(*sys.argv[2:]))
    elif sys.argv[1:2] == ["ask"] and len(sys.argv) == 4:
        print(eval(sys.argv[3], {"d": json.loads(tell(sys.argv[2], "GET", "/__state"))}))
    else:
        sys.exit(__doc__)
