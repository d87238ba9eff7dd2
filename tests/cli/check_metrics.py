#!/usr/bin/env python3
"""Checks a file of metrics more strictly than the node exporter does, and prints it as JSON.

usage: check_metrics.py FILE...     several files must also be fit to lie in one folder

Every family: HELP, TYPE gauge, then its samples and no others; names by Prometheus' conventions;
label values escaped; no name with the same labels twice.
"""
import json
import re
import sys

NAME = r"[a-z_][a-z0-9_]*"
VALUE = r"[-+]?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?"
LABEL = re.compile(rf'({NAME})="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
SAMPLE = re.compile(rf"({NAME})(?:{{(.*)}})? ({VALUE})")
# What a name may end with that is no unit: states, and numbers of things.
UNITLESS = ("_status", "_generation", "_mode", "_failures", "_full")


def labels_of(text):
    labels, at = {}, 0
    while at < len(text):
        found = LABEL.match(text, at)
        if not found or found[1] in labels or (found[3] == "," and found.end() == len(text)):
            raise ValueError(f"labels: {text}")
        labels[found[1]] = re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), found[2])
        at = found.end()
    return labels


def check_name(name):
    if not name.startswith(("hamal_sync_", "hamal_period_")):
        raise ValueError(f"{name}: not of these tools")
    if not name.endswith(("_seconds", "_bytes") + UNITLESS):
        raise ValueError(f"{name}: no base unit at its end")


def check(path, seen):
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    if not text.endswith("\n") or "\r" in text:
        raise ValueError("the last line has no end, or a line has a wrong one")
    samples, family, step, families = [], None, "sample", set()
    for line in text.split("\n")[:-1]:
        if found := re.fullmatch(rf"# HELP ({NAME}) \S.*\.", line):
            if step == "type" or found[1] in families:
                raise ValueError(f"HELP out of place: {line}")
            family, step = found[1], "type"
            families.add(family)
            check_name(family)
        elif line == f"# TYPE {family} gauge" and step == "type":
            step = "first"
        elif (found := SAMPLE.fullmatch(line)) and found[1] == family and step != "type":
            step = "sample"
            labels = labels_of(found[2] or "")
            key = (family, tuple(sorted(labels.items())))
            if key in seen:
                raise ValueError(f"twice: {line}")
            seen.add(key)
            samples.append({"name": family, "labels": labels, "value": float(found[3])})
        else:
            raise ValueError(f"out of place: {line}")
    if step != "sample":
        raise ValueError(f"{family}: no samples")
    return samples


def main():
    seen, samples = set(), []
    for path in sys.argv[1:]:
        try:
            samples += check(path, seen)
        except ValueError as error:
            sys.exit(f"{path}: {error}")
    print(json.dumps(samples))


if __name__ == "__main__":
    main()
