"""What glibc's malloc does with memory that is free again; nothing where another is used.

Untold, it gives each thread that allocates a heap of its own, up to eight a core, and after the
first password check (argon2: 19 MB) it takes such pieces from those heaps, where they stay:
a daemon that was busy once held 20 to 40 MB more than it used. Names and numbers: mallopt(3).
"""

from __future__ import annotations

import ctypes
import os

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
LARGE_BYTES = 4 << 20  # above the buffers of transfers, below argon2's memory
ARENAS = 2  # Python code holds one lock anyway


def settle() -> None:
    """Share two heaps; give large pieces back to the system at once. Before threads begin."""
    if "CS_GNU_LIBC_VERSION" not in os.confstr_names:
        return
    libc = ctypes.CDLL(None)
    for number, value in (
        (M_ARENA_MAX, ARENAS),
        (M_MMAP_THRESHOLD, LARGE_BYTES),
        (M_TRIM_THRESHOLD, LARGE_BYTES),
    ):
        libc.mallopt(number, value)
