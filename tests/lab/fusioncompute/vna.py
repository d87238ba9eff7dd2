"""The socket server of the simulator, in OUR project-defined codec (hamal-fusioncompute(7), THE SOCKET).

Huawei's own frames are not public. This shows that the client keeps to what its own page says, and nothing of a real host.
TLS from the first byte where the resource is lanssl; the two kinds share a port, so the first byte decides here.
"""
import os
import socket
import ssl
import struct
import threading
import time
import zlib

HEAD = struct.Struct("<4sHHQQII")  # magic, version, operation, sequence, offset, length, CRC-32
MAGIC, VERSION = b"HVNA", 1
OPEN, READ, CLOSE, REPLY = 1, 2, 3, 0x8000


class Gone(Exception):
    pass


class Connection:
    def __init__(self, server, plain):
        self.server, self.world, self.plain, self.stream, self.resource = server, server.world, plain, plain, None

    def cut(self):
        try:
            self.plain.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def take(self, length):
        data = b""
        while len(data) < length:
            more = self.stream.recv(length - len(data))
            if not more:
                raise Gone()
            data += more
        return data

    def frame(self):
        head = self.take(HEAD.size)
        magic, version, operation, sequence, offset, length, crc = HEAD.unpack(head)
        body = self.take(length) if operation == OPEN else b""
        if magic != MAGIC or version != VERSION or crc != zlib.crc32(body, zlib.crc32(head[:-4])):
            raise Gone()
        return operation, sequence, offset, length, body

    def reply(self, operation, sequence, status, body, lie=""):
        if lie == "sequence":
            sequence += 1
        head = HEAD.pack(MAGIC, VERSION, operation | REPLY, sequence, status, len(body), 0)[:-4]
        crc = zlib.crc32(body, zlib.crc32(head)) ^ (1 if lie == "crc" else 0)
        data = head + struct.pack("<I", crc) + body
        self.stream.sendall(data[:len(data) // 2] if lie == "half" else data)
        if lie == "half":
            raise Gone()

    def greet(self, body):
        with self.world.lock:
            for one in self.world.live_resources():
                if one.token.encode() == body and one.ready and not one.connections:
                    if one.secure != isinstance(self.stream, ssl.SSLSocket):
                        return False
                    host = self.world.owner(one.volume).host
                    if self.world.settings["close_sibling"]:
                        for other in self.world.live_resources():
                            if self.world.owner(other.volume).host is host:
                                for connection in list(other.connections):
                                    connection.cut()
                    one.connections.append(self)
                    self.resource = one
                    return True
        return False

    def serve(self):
        if self.plain.recv(1, socket.MSG_PEEK) == b"\x16":
            self.stream = self.server.tls.wrap_socket(self.plain, server_side=True)
        operation, sequence, _, _, body = self.frame()
        if operation != OPEN or not self.greet(body):
            self.reply(operation, sequence, 1, b"")
            return
        frozen = self.resource.end.frozen[self.resource.volume.uri]
        self.reply(operation, sequence, 0, struct.pack("<Q", frozen["size"]))
        last = sequence
        with open(frozen["file"], "rb") as file:
            while True:
                operation, sequence, offset, length, _ = self.frame()
                with self.world.lock:
                    if sequence != last + 1:
                        self.world.violations.append(f"sequence {sequence} after {last}")
                    fault = self.world.take_fault(f"SOCKET {operation}") or {}
                    self.world.calls.append(f"SOCKET {operation}")
                last = sequence
                if fault.get("do") == "slow":
                    time.sleep(fault["seconds"])
                if fault.get("do") == "cut" or (operation == READ and not self.resource.is_live()):
                    return
                if fault.get("do") == "expire":
                    with self.world.lock:
                        self.resource.release()
                    return
                if operation != READ or offset + length > frozen["size"]:
                    self.reply(operation, sequence, 0 if operation == CLOSE else 2, b"")
                    return
                self.reply(operation, sequence, 0, os.pread(file.fileno(), length, offset), fault.get("lie", ""))
                if self.world.settings["close_at_end"] and offset + length == frozen["size"]:
                    return

    def run(self):
        try:
            self.serve()
        except (OSError, Gone, struct.error):
            pass
        finally:
            if self.resource:
                with self.world.lock:
                    if self in self.resource.connections:
                        self.resource.connections.remove(self)
            try:
                self.stream.close()
            except OSError:
                pass


class Server:
    def __init__(self, world, folder):
        self.world = world
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self.listening = socket.create_server(("127.0.0.1", 0))
        world.port = self.listening.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            plain, _ = self.listening.accept()
            threading.Thread(target=Connection(self, plain).run, daemon=True).start()
