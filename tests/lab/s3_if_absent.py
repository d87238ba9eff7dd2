#!/usr/bin/env python3
"""What radosgw of Ceph 16 lacks in buckets with versions: If-None-Match. Everything else is radosgw's.

usage: s3_if_absent.py HOST:PORT     of the radosgw, without TLS

Prints "endpoint=http://127.0.0.1:PORT" and "ready". Requests go on as they came, signature
and all. A PUT with "If-None-Match: *" of a key that was put through here before gets status 412: right for who never
uses the key of a removed object again, as repositories do not.
"""
import collections
import http.client
import http.server
import sys
import threading

HOP = ("connection", "transfer-encoding", "keep-alive", "content-length")


class Front(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream = ""
    put = set()
    one_at_a_time = collections.defaultdict(threading.Lock)

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        if self.command != "PUT" or "?" in self.path:
            self.forward(body)
            return
        with self.one_at_a_time[path]:
            if self.headers.get("If-None-Match") == "*" and path in self.put:
                self.answer(412, [], b"<Error><Code>PreconditionFailed</Code></Error>")
            elif self.forward(body) == 200:
                self.put.add(path)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_any

    def forward(self, body):
        there = http.client.HTTPConnection(self.upstream, timeout=60)
        there.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("connection", "expect"):
                there.putheader(name, value)
        there.endheaders(body)
        reply = there.getresponse()
        content = reply.read()
        length = reply.headers.get("Content-Length")
        self.answer(reply.status, reply.getheaders(), content, length if self.command == "HEAD" else None)
        there.close()
        return reply.status

    def answer(self, status, headers, content, length=None):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def main():
    Front.upstream = sys.argv[1]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Front)
    server.daemon_threads = True
    print("endpoint=http://127.0.0.1:%d\nready" % server.server_address[1], flush=True)
    server.serve_forever()


main()
