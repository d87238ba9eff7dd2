"""What this machine can do at most with the bytes of a full: each step alone, on as many processes as
there are processors, with nothing else to do.

    read      the data of the disk, from the page cache or the device
    SHA-256   of every 64 KiB (OpenSSL, as hamal)
    zstd      of every 64 KiB, at hamal's level
    write     files of 32 MiB, each flushed: what a directory store does
"""
import ctypes
import ctypes.util
import hashlib
import multiprocessing
import os
import pathlib
import resource
import shutil
import time

PIECE = 64 << 10
READ = 1 << 20
PACK = 32 << 20
LEVEL = 1


def data_ranges(path):
    """(offset, length) of the data, in pieces of at most READ."""
    with open(path, "rb") as disk:
        size = os.fstat(disk.fileno()).st_size
        offset = 0
        while offset < size:
            try:
                begin = os.lseek(disk.fileno(), offset, os.SEEK_DATA)
            except OSError:  # only a hole is left
                return
            offset = os.lseek(disk.fileno(), begin, os.SEEK_HOLE)
            for at in range(begin, offset, READ):
                yield at, min(READ, offset - at)


def read(share, disk, _):
    buffer = bytearray(READ)
    with open(disk, "rb", buffering=0) as source:
        for offset, length in share:
            os.preadv(source.fileno(), [memoryview(buffer)[:length]], offset)


def sha256(share, _, noise):
    for _, length in share:
        for at in range(0, length, PIECE):
            hashlib.sha256(noise[at:min(at + PIECE, length)]).digest()


def zstd(share, _, noise):
    library = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
    library.ZSTD_createCCtx.restype = ctypes.c_void_p
    library.ZSTD_compressCCtx.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t,
                                          ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    context = library.ZSTD_createCCtx()
    sink = ctypes.create_string_buffer(2 * PIECE)
    kept = ctypes.create_string_buffer(bytes(noise), len(noise))
    source = ctypes.addressof(kept)
    for _, length in share:
        for at in range(0, length, PIECE):
            library.ZSTD_compressCCtx(context, sink, len(sink), source + at,
                                      min(PIECE, length - at), LEVEL)


def write(share, directory, noise):
    left = sum(length for _, length in share)
    for number in range((left + PACK - 1) // PACK):
        with open(f"{directory}/{os.getpid()}-{number}", "wb", buffering=0) as sink:
            for _ in range(0, min(PACK, left), READ):
                sink.write(noise[:READ])
            os.fsync(sink.fileno())
        left -= PACK


def on_all_processors(step, shares, place, noise):
    """Seconds from the start of the first to the end of the last, and processor time of all."""
    def used():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime
    before = used()
    processes = [multiprocessing.Process(target=step, args=(share, place, noise))
                 for share in shares]
    begin = time.monotonic()
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError(f"the bound's {step.__name__} failed")
    return {"seconds": time.monotonic() - begin, "cpu_seconds": used() - before}


def measure_bound(disk, directory):
    """{step: {seconds, cpu_seconds}} for the data of this disk; `directory` is where the repository would be."""
    count = os.cpu_count()
    ranges = list(data_ranges(disk))
    shares = [ranges[number::count] for number in range(count)]
    noise = memoryview(os.urandom(READ))
    place = pathlib.Path(directory) / "bound"
    place.mkdir()
    try:
        return {"read": on_all_processors(read, shares, disk, noise),
                "SHA-256": on_all_processors(sha256, shares, disk, noise),
                "zstd": on_all_processors(zstd, shares, disk, noise),
                "write": on_all_processors(write, shares, place, noise)}
    finally:
        shutil.rmtree(place)
