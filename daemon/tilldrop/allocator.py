"""What glibc's malloc does with memory that is free again; nothing where another is used.

Untold, it gives each thread that allocates a heap of its own, up to eight a core, and after the
first password check (argon2: 19 MB) it takes such pieces from those heaps, where they stay: 150 MB
after eight threads checked one each. So do the tables that Python makes anew every 70,000 uploads
(interned parts of paths), each where there is room, and the heap grows. Numbers: mallopt(3).
"""

from __future__ import annotations

import ctypes
import os

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
LARGE_BYTES = 1 << 20  # above the buffers of transfers, below argon2 and large tables of Python
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
