#!/usr/bin/env python3
"""Sends QMP commands to a monitor, for tests.

usage: qmp.py SOCKET COMMAND...

A COMMAND is a whole JSON object ('{"execute": "query-status"}'), or NAME, or NAME=JSON with the
arguments ('block-export-del={"id":"x"}'). Prints one reply per line, its "return" value alone; exits 1
after printing the first error on stderr. Events are ignored.
"""
import json
import socket
import sys


def fail(message):
    print("qmp.py: " + message, file=sys.stderr)
    sys.exit(1)


def receive(stream):
    line = stream.readline()
    if not line:
        fail("the monitor closed the connection")
    return json.loads(line)


def parse(text):
    if text.startswith("{"):
        return json.loads(text)
    name, _, arguments = text.partition("=")
    return {"execute": name, "arguments": json.loads(arguments or "{}")}


def main():
    if len(sys.argv) < 3:
        print(__doc__.strip(), file=sys.stderr)
        sys.exit(2)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    try:
        connection.connect(sys.argv[1])
        stream = connection.makefile("rw")
        receive(stream)
        for command in [{"execute": "qmp_capabilities"}] + [parse(a) for a in sys.argv[2:]]:
            stream.write(json.dumps(command) + "\n")
            stream.flush()
            reply = receive(stream)
            while "event" in reply:
                reply = receive(stream)
            if "error" in reply:
                fail(command["execute"] + ": " + reply["error"]["desc"])
            if command["execute"] != "qmp_capabilities":
                print(json.dumps(reply["return"]))
    except OSError as error:
        fail("%s: %s" % (sys.argv[1], error))


main()
