#!/usr/bin/env python3
"""Prints "PASSED FAILED SKIPPED" of a ctest JUnit report; a bats file counts test by test."""
import re
import sys
import xml.etree.ElementTree as ElementTree

# A line of bats' TAP output.
TAP = re.compile(r"^(ok|not ok) \d+ (.*)$", re.MULTILINE)


def counts(case):
    """(passed, failed, skipped) of one ctest test."""
    status = case.get("status")
    output = case.findtext("system-out") or ""
    lines = TAP.findall(output)
    if lines and re.search(r"^1\.\.\d+$", output, re.MULTILINE):
        failed = sum(result == "not ok" for result, _ in lines)
        skipped = sum(result == "ok" and " # skip" in text for result, text in lines)
        if status != "run" and failed == 0:
            failed = 1  # the file as a whole: a timeout, a crash in its teardown
        return len(lines) - failed - skipped, failed, skipped
    if status == "run":
        return 1, 0, 0
    # ctest also says "notrun" of a missing executable and of failed prerequisites: those are failures.
    skip = case.find("skipped")
    meant = skip is not None and (skip.get("message") or "").startswith("SKIP_")
    return (0, 0, 1) if meant or status == "disabled" else (0, 1, 0)


def main():
    try:
        cases = ElementTree.parse(sys.argv[1]).getroot().iter("testcase")
    except (OSError, ElementTree.ParseError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")
    totals = [sum(column) for column in zip((0, 0, 0), *map(counts, cases))]
    print(*totals)


if __name__ == "__main__":
    main()
