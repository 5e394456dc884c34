"""What glibc's malloc does with memory that is free again; nothing where another is used.

Untold, it gives each thread that allocates a heap of its own, up to eight a core, and each keeps
what a check of a password took there (argon2: 19 MB): 150 MB after eight threads checked one each.
Two heaps keep it once or twice. Given back to the system after each check it would have to be
zeroed page by page for the next, which made a check take 47 ms instead of 28. Numbers: mallopt(3).
"""

from __future__ import annotations

import ctypes
import os

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
ARENAS = 2  # Python code holds one lock anyway
KEPT_BYTES = 32 << 20  # pieces up to it, the largest that mallopt takes, come from the heaps
TOP_KEPT_BYTES = 64 << 20  # and so much may be free at their end


def settle() -> None:
    """Share two heaps, and keep what is taken again and again. Before threads begin."""
    if (libc := _glibc()) is None:
        return
    for number, value in (
        (M_ARENA_MAX, ARENAS),
        (M_MMAP_THRESHOLD, KEPT_BYTES),
        (M_TRIM_THRESHOLD, TOP_KEPT_BYTES),
    ):
        libc.mallopt(number, value)


def give_back() -> None:
    """Give back what is free now: of what a start takes, some 20 MB are never needed again."""
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if "CS_GNU_LIBC_VERSION" in os.confstr_names else None
