#!/usr/bin/env python3
"""An S3 service in memory that misbehaves as it is told: what a real one does too rarely for a test.

usage: s3_faults.py        prints "endpoint=http://127.0.0.1:PORT" and "ready"; ends with standard input

Every bucket exists. Signatures (its own implementation of Signature Version 4), the hash of the payload and
the time are checked, unless a fault says otherwise. Told by requests that are not signed:

  PUT /__faults   a JSON list of faults (faults.py), in place of those before
  PUT /__clock    how many seconds its clock is ahead
  GET /__stats    JSON: requests (as "METHOD path?query"), connections, most_at_once, uploads

What it does ("do"):
  status      refuses with "status" and "code", with "headers"; "body" replaces the XML
  cut         closes the connection instead of a reply, and does nothing
  lost        does it, and closes the connection instead of the reply
  truncate    sends half of the body that it announced
  short       sends, and announces, half of the body
  unbounded   sends half of the body without saying how long it is
  flip        changes a bit of the body it sends
  corrupt     changes a bit of the body that it was sent
  whole       ignores a range
  shift       sends the range that begins one byte later
  ignore      ignores If-None-Match
  stall       sends nothing for "seconds"
  reply       replies with status 200 and "body"
"""
import datetime
import hashlib
import hmac
import json
import re
import socket
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

from faults import Faults

ACCESS_KEY = "FAULTYKEY"
SECRET_KEY = "faulty/secret+key"
SESSION_TOKEN = "temporary//token=="


class Service:
    def __init__(self):
        self.lock = threading.Lock()
        self.objects = {}  # (bucket, key) -> (bytes, time)
        self.uploads = {}  # id -> {number: bytes}
        self.faults = Faults()
        self.clock = 0
        self.requests = []
        self.connections = 0
        self.at_once = 0
        self.most_at_once = 0
        self.serial = 0

    def now(self):
        return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.clock)


SERVICE = Service()


def quote(text, safe=""):
    return urllib.parse.quote(text, safe=safe + "-_.~")


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Refusal(Exception):
    def __init__(self, status, code, headers=None, body=None):
        super().__init__(code)
        self.status, self.code, self.headers, self.body = status, code, headers or {}, body


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with SERVICE.lock:
            SERVICE.connections += 1

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/__"):
            self.control(body)
            return
        with SERVICE.lock:
            SERVICE.requests.append(f"{self.command} {self.path}")
            SERVICE.at_once += 1
            SERVICE.most_at_once = max(SERVICE.most_at_once, SERVICE.at_once)
        try:
            self.serve(body)
        finally:
            with SERVICE.lock:
                SERVICE.at_once -= 1

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

    def control(self, body):
        if self.path == "/__faults":
            SERVICE.faults.set(json.loads(body))
        elif self.path == "/__clock":
            SERVICE.clock = int(body)
        with SERVICE.lock:
            stats = {"requests": SERVICE.requests, "connections": SERVICE.connections,
                     "most_at_once": SERVICE.most_at_once, "uploads": len(SERVICE.uploads)}
            if self.path == "/__faults":
                SERVICE.requests, SERVICE.most_at_once, SERVICE.connections = [], 0, 0
        self.reply(200, json.dumps(stats).encode())

    def serve(self, body):
        self.fault = fault = SERVICE.faults.take(self.command, self.path)
        do = fault["do"]
        if do == "stall":
            time.sleep(fault["seconds"])
        if do in ("cut", "stall"):
            self.close()
            return
        if do == "corrupt" and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        try:
            if do == "status":
                raise Refusal(fault["status"], fault.get("code", ""), fault.get("headers"), fault.get("body"))
            if do == "reply":
                self.reply(200, fault["body"].encode())
                return
            self.authenticate(body)
            self.dispatch(body)
        except Refusal as refusal:
            xml = refusal.body
            if xml is None:
                xml = f"<?xml version='1.0'?><Error><Code>{refusal.code}</Code><Message>as told</Message></Error>"
            self.reply(refusal.status, xml.encode(), refusal.headers)

    def close(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def authenticate(self, body):
        match = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, "
                             r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
                             self.headers.get("Authorization", ""))
        if not match:
            raise Refusal(403, "AccessDenied")
        access, date, region, names, signature = match.groups()
        if access != ACCESS_KEY:
            raise Refusal(403, "InvalidAccessKeyId")
        names = names.split(";")
        if not {"host", "x-amz-content-sha256", "x-amz-date"} <= set(names):
            raise Refusal(403, "AccessDenied")
        if any(name.startswith("x-amz-") and name not in names for name in map(str.lower, self.headers)):
            raise Refusal(403, "AccessDenied")
        token = self.headers.get("x-amz-security-token")
        if token not in (None, SESSION_TOKEN):
            raise Refusal(403, "InvalidToken")
        path, _, query = self.path.partition("?")
        pairs = sorted((quote(name), quote(value))
                       for name, value in urllib.parse.parse_qsl(query, keep_blank_values=True))
        payload = self.headers["x-amz-content-sha256"]
        canonical = "\n".join([self.command, quote(urllib.parse.unquote(path), "/"),
                               "&".join(f"{name}={value}" for name, value in pairs),
                               *[f"{name}:{' '.join(self.headers[name].split())}" for name in names], "",
                               ";".join(names), payload])
        stamp = self.headers["x-amz-date"]
        key = ("AWS4" + SECRET_KEY).encode()
        for part in (date, region, "s3", "aws4_request"):
            key = sign(key, part)
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, f"{date}/{region}/s3/aws4_request",
                          hashlib.sha256(canonical.encode()).hexdigest()])
        if sign(key, text).hex() != signature:
            raise Refusal(403, "SignatureDoesNotMatch")
        when = datetime.datetime.strptime(stamp + "+0000", "%Y%m%dT%H%M%SZ%z")
        if abs((SERVICE.now() - when).total_seconds()) > 900:
            raise Refusal(403, "RequestTimeTooSkewed")
        if hashlib.sha256(body).hexdigest() != payload:
            raise Refusal(400, "XAmzContentSHA256Mismatch")

    def dispatch(self, body):
        path, _, query = self.path.partition("?")
        query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        bucket, _, key = urllib.parse.unquote(path).lstrip("/").partition("/")
        if bucket == "missing":
            raise Refusal(404, "NoSuchBucket")
        if not key:
            self.bucket(bucket, query)
        elif "uploads" in query or "uploadId" in query:
            self.multipart(bucket, key, query, body)
        elif "retention" in query:
            raise Refusal(400, "InvalidRequest")
        else:
            self.object(bucket, key, body)

    def bucket(self, bucket, query):
        if "versioning" in query:
            self.reply(200, b"<VersioningConfiguration/>")
            return
        most, prefix, after = int(query["max-keys"]), query.get("prefix", ""), query.get("continuation-token", "")
        with SERVICE.lock:
            found = sorted((key, value) for (where, key), value in SERVICE.objects.items()
                           if where == bucket and key.startswith(prefix) and key > after)
        page = found[:most]
        xml = "".join(f"<Contents><Key>{escape(quote(key, '/'))}</Key><Size>{len(content)}</Size>"
                      f"<LastModified>{when.strftime('%Y-%m-%dT%H:%M:%S.000Z')}</LastModified></Contents>"
                      for key, (content, when) in page)
        cut = len(found) > most
        if cut:
            xml += f"<NextContinuationToken>{escape(page[-1][0])}</NextContinuationToken>"
        self.reply(200, (f"<?xml version='1.0'?><ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>"
                         f"<EncodingType>url</EncodingType><IsTruncated>{'true' if cut else 'false'}</IsTruncated>"
                         f"{xml}</ListBucketResult>").encode())

    def multipart(self, bucket, key, query, body):
        with SERVICE.lock:
            if "uploads" in query:
                SERVICE.serial += 1
                upload = f"up/{SERVICE.serial}+="
                SERVICE.uploads[upload] = {}
                xml = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
                self.reply(200, xml.encode())
                return
            parts = SERVICE.uploads.get(query["uploadId"])
            if parts is None:
                raise Refusal(404, "NoSuchUpload")
            if self.command == "PUT":
                parts[int(query["partNumber"])] = body
                self.reply(200, b"", {"ETag": f'"{hashlib.md5(body).hexdigest()}"'})
                return
            del SERVICE.uploads[query["uploadId"]]
            if self.command == "DELETE":
                self.reply(204, b"")
                return
            numbers = [int(n) for n in re.findall(r"<PartNumber>(\d+)</PartNumber>", body.decode())]
            if numbers != sorted(parts):
                raise Refusal(400, "InvalidPart")
            sums = b"".join(hashlib.md5(parts[n]).digest() for n in numbers)
            etag = f"{hashlib.md5(sums).hexdigest()}-{len(numbers)}"
            SERVICE.objects[bucket, key] = (Content(b"".join(parts[n] for n in numbers), etag), SERVICE.now())
        self.reply(200, b"<CompleteMultipartUploadResult/>")

    def object(self, bucket, key, body):
        with SERVICE.lock:
            present = SERVICE.objects.get((bucket, key))
            if self.command == "PUT":
                if present and self.headers.get("If-None-Match") == "*" and self.fault["do"] != "ignore":
                    raise Refusal(412, "PreconditionFailed")
                SERVICE.objects[bucket, key] = (Content(body), SERVICE.now())
            elif self.command == "DELETE":
                SERVICE.objects.pop((bucket, key), None)
        if self.command == "PUT":
            self.reply(200, b"", {"ETag": f'"{hashlib.md5(body).hexdigest()}"'})
        elif self.command == "DELETE":
            self.reply(204, b"")
        elif not present:
            raise Refusal(404, "NoSuchKey")
        else:
            self.send_object(*present)

    def send_object(self, content, when):
        headers = {"ETag": f'"{content.etag}"', "Last-Modified": when.strftime("%a, %d %b %Y %H:%M:%S GMT")}
        if self.fault.get("sha256"):
            import base64
            headers["x-amz-checksum-sha256"] = base64.b64encode(hashlib.sha256(content).digest()).decode()
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not match or self.fault["do"] == "whole":
            self.reply(200, content, headers)
            return
        first, last = int(match[1]), min(int(match[2]), len(content) - 1)
        if first >= len(content):
            raise Refusal(416, "InvalidRange", {"Content-Range": f"bytes */{len(content)}"})
        if self.fault["do"] == "shift":
            first, last = first + 1, last + 1
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        self.reply(206, content[first:last + 1], headers)

    def reply(self, status, body, headers=None):
        do = getattr(self, "fault", {"do": ""})["do"]
        self.fault = {"do": ""}
        if do == "lost":
            self.close()
            return
        if do == "flip" and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        sent = body
        if do in ("truncate", "short", "unbounded"):
            sent = body[:len(body) // 2]
            self.close_connection = True
        self.send_response_only(status)
        self.send_header("Date", SERVICE.now().strftime("%a, %d %b %Y %H:%M:%S GMT"))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if do != "unbounded" and status != 204:
            self.send_header("Content-Length", str(len(sent if do == "short" else body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(sent)


class Content(bytes):
    """Bytes with the ETag that the service gave them."""

    def __new__(cls, content, etag=None):
        self = super().__new__(cls, content)
        self.etag = etag or hashlib.md5(content).hexdigest()
        return self


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass  # a client that went away


def main():
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"endpoint=http://127.0.0.1:{server.server_address[1]}", "ready", sep="\n", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
