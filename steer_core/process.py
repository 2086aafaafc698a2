"""Settings of the process: waiting threads, freed memory. Import this before torch is imported.

A pool of spinning threads beside one other busy process makes small decodes many times slower: each
matrix product then waits for a thread that has lost its core. OpenMP reads its settings once, when
it is loaded.

The C library gives freed memory back to the system at once and asks for it again a moment later;
page by page that costs a decoding step as much as its arithmetic. It keeps up to `KEPT` instead.
"""

import ctypes
import os
import sys
from functools import cache

KEPT = 256 * 1024**2
"""Bytes of freed memory that the process holds on to."""
LARGE = 32 * 1024**2
"""Bytes from which a tensor has memory of its own, given back when it is freed; at most 32 MB."""
ARENAS = max(2, os.cpu_count() or 2)
"""Heaps that all threads share. A page answers in dozens of threads; glibc would give each a heap
of its own, which keeps as much as the largest decode took there."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # <malloc.h>


def wait_passively() -> None:
    """Threads without work leave their core."""
    for name, value in (
        ("OMP_WAIT_POLICY", "PASSIVE"),
        ("GOMP_SPINCOUNT", "0"),
        ("KMP_BLOCKTIME", "0"),
    ):
        os.environ.setdefault(name, value)


@cache
def libc() -> ctypes.CDLL | None:
    """The C library of this process, None where it is not Linux's."""
    return ctypes.CDLL(None) if sys.platform.startswith("linux") else None


def keep_freed_memory() -> None:
    """Set thresholds of glibc's malloc; other C libraries have none."""
    mallopt = getattr(libc(), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE)
        mallopt(M_TRIM_THRESHOLD, KEPT)
        mallopt(M_ARENA_MAX, ARENAS)


def give_back_freed_memory() -> None:
    """Return what was freed between allocations that stay."""
    malloc_trim = getattr(libc(), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


wait_passively()
keep_freed_memory()
