#!/usr/bin/env python3
"""Makes a sparse raw disk image with random data in random places, the same for the same seed.

usage: make_disk.py PATH SIZE [SEED]     SIZE like 4G; about half of it is data

Extents of data and holes alternate, each of 64 KiB to 16 MiB, log-uniformly distributed: a disk
with small and large files, and what nbdcopy or qemu-img meet in practice.
"""
import os
import random
import sys

ALIGNMENT = 64 << 10
LONGEST = 16 << 20
UNITS = {"K": 10, "M": 20, "G": 30, "T": 40}


def parse_size(text):
    text = text.upper()
    shift = UNITS.get(text[-1], 0)
    return int(text[:-1] if shift else text) << shift


def extents(size, generator):
    """(offset, length) of the data, ascending; data and hole take turns with equal expectation."""
    offset = 0
    data = True
    while offset < size:
        doublings = generator.uniform(0, (LONGEST // ALIGNMENT).bit_length() - 1)
        length = min(int(2 ** doublings) * ALIGNMENT, size - offset)
        if data:
            yield offset, length
        offset += length
        data = not data


def make_disk(path, size, seed=1):
    """Returns (extents, bytes of data)."""
    generator = random.Random(seed)
    count = total = 0
    with open(path, "wb") as disk:
        for offset, length in list(extents(size, random.Random(seed + 1))):
            disk.seek(offset)
            left = length
            while left > 0:
                chunk = min(left, 1 << 20)
                disk.write(generator.randbytes(chunk))
                left -= chunk
            count += 1
            total += length
        disk.truncate(size)
        disk.flush()
        os.fsync(disk.fileno())
    return count, total


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    made, of_data = make_disk(sys.argv[1], parse_size(sys.argv[2]),
                              int(sys.argv[3]) if len(sys.argv) == 4 else 1)
    print(f"{sys.argv[1]}: {made} extents, {of_data / 2**20:.0f} MiB of data")
