#!/usr/bin/env python3
"""A network between two parties, for tests: forwards connections, and delays, stalls or cuts them.

usage: forwarder.py --listen ADDRESS --connect ADDRESS [option…]

An ADDRESS is HOST:PORT or unix:PATH. Once it listens, "listening on ADDRESS" is printed on stdout
(port 0 takes a free one). SIGTERM and SIGINT end it.

  --delay-ms N             every byte arrives N ms after it was sent: N per direction, 2 N per round
                           trip. Bytes travel side by side, so the delay costs no throughput.
  --delay-up-ms N          the same, only towards --connect
  --delay-down-ms N        the same, only back
  --cut-after-bytes N      close all connections when N bytes have passed, both directions together
  --stall-after-bytes N    pass nothing more then, and keep the connections open
  --down-seconds S         after a cut refuse connections for S seconds (default 0); -1: for good
  --times N                cut or stall so often (default 1); every N bytes anew

SIGUSR1 cuts now.
"""
import argparse
import asyncio
import os
import signal
import sys

CHUNK = 256 << 10
# In flight per direction and connection: enough for 1 GB/s at 100 ms, a bound nevertheless.
WINDOW = 128 << 20


class Forwarder:
    def __init__(self, options):
        self.options = options
        self.passed = 0
        self.times = options.times
        self.down_until = 0.0
        self.writers = set()
        self.stalled = asyncio.Event()

    async def accept(self, reader, writer):
        loop = asyncio.get_running_loop()
        if self.down_until < 0 or loop.time() < self.down_until:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await connect(self.options.connect)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, far_writer}
        self.writers |= both
        up = asyncio.create_task(self.pump(reader, far_writer, self.options.delay_up_ms))
        down = asyncio.create_task(self.pump(far_reader, writer, self.options.delay_down_ms))
        await asyncio.wait((up, down))
        for end in both:
            end.close()
        self.writers -= both

    async def pump(self, reader, writer, delay_ms):
        """One direction. What was read waits in a queue for its time, while more is read."""
        if not delay_ms:
            await self.pass_on(reader, writer)
            return
        loop = asyncio.get_running_loop()
        queue, room = asyncio.Queue(), asyncio.Semaphore(WINDOW // CHUNK)

        async def read():
            data = b"-"
            while data:
                await room.acquire()
                data = await read_some(reader)
                queue.put_nowait((loop.time() + delay_ms / 1000, data))

        reading = asyncio.create_task(read())
        while True:
            due, data = await queue.get()
            await asyncio.sleep(due - loop.time())
            room.release()
            if not data or not await self.write(writer, data):
                break
        reading.cancel()
        end_of(writer)

    async def pass_on(self, reader, writer):
        while True:
            data = await read_some(reader)
            if not data or not await self.write(writer, data):
                break
        end_of(writer)

    async def write(self, writer, data):
        """False once the connection is gone."""
        self.passed += len(data)
        options = self.options
        if self.times and options.stall_after_bytes and self.passed >= options.stall_after_bytes:
            self.times -= 1
            await self.stalled.wait()
        if self.times and options.cut_after_bytes and self.passed >= options.cut_after_bytes:
            self.times -= 1
            # Half of it arrives, as it may when a cable is pulled.
            writer.write(data[:len(data) // 2])
            self.cut()
            return False
        try:
            writer.write(data)
            await writer.drain()
        except OSError:
            return False
        return True

    def cut(self):
        self.passed = 0
        down = self.options.down_seconds
        self.down_until = -1 if down < 0 else asyncio.get_running_loop().time() + down
        for writer in self.writers:
            writer.transport.abort()


def end_of(writer):
    try:
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        pass


async def read_some(reader):
    try:
        return await reader.read(CHUNK)
    except OSError:
        return b""


def split(address):
    """(path, None) or (host, port)."""
    if address.startswith("unix:"):
        return address[5:], None
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        sys.exit("forwarder.py: not HOST:PORT or unix:PATH: " + address)
    return host.strip("[]"), int(port)


async def connect(address):
    host, port = split(address)
    if port is None:
        return await asyncio.open_unix_connection(host, limit=4 * CHUNK)
    return await asyncio.open_connection(host, port, limit=4 * CHUNK)


async def serve(options):
    forwarder = Forwarder(options)
    host, port = split(options.listen)
    if port is None:
        if os.path.exists(host):
            os.unlink(host)
        server = await asyncio.start_unix_server(forwarder.accept, host, limit=4 * CHUNK)
        where = options.listen
    else:
        server = await asyncio.start_server(forwarder.accept, host, port, limit=4 * CHUNK)
        where = "%s:%d" % (host, server.sockets[0].getsockname()[1])
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    loop.add_signal_handler(signal.SIGUSR1, forwarder.cut)
    print("listening on " + where, flush=True)
    await done.wait()
    server.close()


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].rstrip(), add_help=False)
    parser.add_argument("--listen", required=True)
    parser.add_argument("--connect", required=True)
    for name in ("--delay-ms", "--delay-up-ms", "--delay-down-ms", "--down-seconds"):
        parser.add_argument(name, type=float, default=0)
    for name in ("--cut-after-bytes", "--stall-after-bytes"):
        parser.add_argument(name, type=int, default=0)
    parser.add_argument("--times", type=int, default=1)
    options = parser.parse_args()
    options.delay_up_ms = options.delay_up_ms or options.delay_ms
    options.delay_down_ms = options.delay_down_ms or options.delay_ms
    asyncio.run(serve(options))


main()
