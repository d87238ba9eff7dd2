"""Runs the tests of one file in order and prints TAP.

HAMAL_FAULT_SEED=S   repeats every random choice of a run that printed this seed
HAMAL_FAULT_RUNS=N   so many rounds of each test that has rounds; the default is short
HAMAL_FAULT_KEEP=1   leaves the directory of a test that failed
HAMAL_FAULT_AWAITED= words of AWAITED (below), comma-separated: their tests are skipped

By hand: HAMAL_BIN=build/asan/bin tests/fault/kill.py [PART OF A TEST'S NAME]
"""
import os
import random
import signal
import sys
import time
import traceback

import lab

# What the binaries cannot do yet: a test that awaits a word is skipped, visibly, and a check is left out,
# while the word stands here.
AWAITED = set()
if "HAMAL_FAULT_AWAITED" in os.environ:
    AWAITED = set(os.environ["HAMAL_FAULT_AWAITED"].split(","))

SEED = int(os.environ.get("HAMAL_FAULT_SEED") or random.SystemRandom().randrange(1 << 32))
_tests = []


def can(word):
    return word not in AWAITED


def rounds(short):
    return int(os.environ.get("HAMAL_FAULT_RUNS") or short)


def test(sentence, awaits=()):
    def register(function):
        _tests.append((sentence, function, (awaits,) if isinstance(awaits, str) else awaits))
        return function
    return register


def _run_one(sentence, function, awaits):
    missing = [word for word in awaits if not can(word)]
    if missing:
        raise lab.Skip("awaits " + ", ".join(missing))
    # Of its own: another test more or less in the file changes nothing here.
    world = lab.World(random.Random("%d %s" % (SEED, sentence)))
    try:
        function(world)
        world.keep = False
    except lab.Skip:
        world.keep = False
        raise
    finally:
        world.end()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers are stopped then too
    wanted = " ".join(sys.argv[1:])
    tests = [t for t in _tests if wanted in t[0]]
    failures = 0
    print("# HAMAL_FAULT_SEED=%d" % SEED)
    print("1..%d" % len(tests), flush=True)
    for number, (sentence, function, awaits) in enumerate(tests, 1):
        begin = time.monotonic()
        try:
            _run_one(sentence, function, awaits)
            print("ok %d %s # in %.1f s" % (number, sentence, time.monotonic() - begin), flush=True)
        except lab.Skip as skip:
            print("ok %d %s # skip %s" % (number, sentence, skip), flush=True)
        except Exception:  # the other tests still say something
            failures += 1
            text = traceback.format_exc().rstrip().replace("\n", "\n# ")
            print("not ok %d %s\n# %s" % (number, sentence, text), flush=True)
    if failures:
        print("# repeat with HAMAL_FAULT_SEED=%d" % SEED)
    sys.exit(1 if failures else 0)
