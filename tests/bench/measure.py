"""Runs one command and measures it: seconds, processor time, peak memory."""
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass


@dataclass
class Measurement:
    seconds: float
    cpu_seconds: float
    peak_kib: int  # of the largest process
    stdout: str
    stderr: str


class CommandFailed(Exception):
    pass


def measure(argv, stdin=None, stdout=None):
    """stdin and stdout are paths; without a stdout path the output is captured."""
    with tempfile.NamedTemporaryFile("r") as usage, open(stdin or os.devnull, "rb") as source, \
            (open(stdout, "wb") if stdout else tempfile.TemporaryFile()) as sink:
        # time(1) and not wait4(): a child forked from this process is charged with its memory.
        begin = time.monotonic()
        done = subprocess.run(["/usr/bin/time", "-q", "-f", "%U %S %M", "-o", usage.name, *argv],
                              stdin=source, stdout=sink, stderr=subprocess.PIPE, check=False)
        seconds = time.monotonic() - begin
        errors = done.stderr.decode(errors="replace")
        if done.returncode != 0:
            raise CommandFailed(f"{' '.join(argv)}: exit status {done.returncode}\n{errors}")
        user, system, peak = usage.read().split()
        output = ""
        if not stdout:
            sink.seek(0)
            output = sink.read().decode(errors="replace")
    return Measurement(seconds, float(user) + float(system), int(peak), output, errors)


def note(text):
    print(text, file=sys.stderr, flush=True)
