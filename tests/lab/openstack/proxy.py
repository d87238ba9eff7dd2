#!/usr/bin/python3
"""A proxy in front of the services that misbehaves as it is told: what real ones do too rarely for a test.

usage: proxy.py CONTROL-PORT [--certificate FILE --key FILE] {NAME:PORT:TLS-PORT:TARGET-PORT…}

Replies come from the service behind it, whose links lead back here (Host and X-Forwarded-Proto are passed on).
Told at CONTROL-PORT:

  PUT /faults   a JSON list of faults (../faults.py), in place of those before; "service" restricts one, too
  GET /log      JSON: the requests since then, as "SERVICE METHOD path?query"

What it does ("do"):
  status     refuses with "status", "headers" and "body", and does nothing
  answer     does it, then replies with "status", "headers" and "body" instead
  cut        closes the connection instead of a reply, and does nothing
  lost       does it, and closes the connection instead of the reply
  truncate   sends half of the body that it announced
  short      sends, and announces, half of the body
  garble     sends as many bytes that are no JSON
  stall      sends nothing for "seconds", then closes the connection
  slow       sends the reply after "seconds"
  drip       sends the reply a few bytes at a time, over "seconds"
"""
import argparse
import http.client
import json
import pathlib
import socket
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from faults import Faults  # noqa: E402

FAULTS = Faults()
LOG = []
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


class Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass  # a client that went away


class Control(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.command == "PUT":
            FAULTS.set(json.loads(body))
            LOG.clear()
        text = json.dumps(list(LOG)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PUT = answer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        service = self.server.service
        LOG.append(f"{service} {self.command} {self.path}")
        fault = FAULTS.take(self.command, self.path, service=service)
        do = fault["do"]
        if do == "stall":
            time.sleep(fault["seconds"])
        if do in ("cut", "stall"):
            self.close()
        elif do == "status":
            self.reply(fault["status"], fault.get("headers", {}).items(), fault.get("body", "").encode())
        else:
            status, headers, content = self.forward(body)
            if do == "lost":
                self.close()
            elif do == "answer":
                self.reply(fault["status"], fault.get("headers", {}).items(), fault.get("body", "").encode())
            else:
                self.reply(status, headers, content, fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = handle_any

    def forward(self, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.target, timeout=300)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            headers["X-Forwarded-Proto"] = "https" if self.server.is_secure else "http"
            connection.request(self.command, self.path, body, headers)
            reply = connection.getresponse()
            return reply.status, [(name, value) for name, value in reply.getheaders() if name.lower() not in HOP_BY_HOP], \
                reply.read()
        except OSError:
            return 502, [], b"the service behind the proxy is away"
        finally:
            connection.close()

    def close(self):
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def reply(self, status, headers, body, fault=None):
        fault = fault or {"do": ""}
        do, sent = fault["do"], body
        if do == "slow":
            time.sleep(fault["seconds"])
        if do == "garble":
            sent = b"<" * len(body)
        if do in ("truncate", "short"):
            sent = body[:len(body) // 2]
            self.close_connection = True
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(sent if do == "short" else body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if do != "drip":
            self.wfile.write(sent)
            return
        step = max(len(sent) // 20, 1)
        for at in range(0, len(sent), step):
            time.sleep(fault["seconds"] / 20)
            self.wfile.write(sent[at:at + step])
            self.wfile.flush()


def serve(server):
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("control", type=int)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("service", nargs="+")
    options = parser.parse_args()
    for word in options.service:
        name, *ports = word.split(":")
        plain, secure, target = map(int, ports)
        for port, is_secure in ((plain, False), (secure, True)):
            server = Quiet(("127.0.0.1", port), Handler)
            server.service, server.target, server.is_secure = name, target, is_secure
            if is_secure:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(options.certificate, options.key)
                # The handshake belongs to the connection's own thread.
                server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            serve(server)
    Quiet(("127.0.0.1", options.control), Control).serve_forever()


main()
