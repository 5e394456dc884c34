"""What was needed once is kept once, not by every thread."""

from __future__ import annotations

import subprocess
import sys

from tilldrop import passwords

CHECKERS = 8
PASSWORD_MB = passwords.ARGON2_MEMORY_KIB / 1024

BEGIN = """
import threading
from tilldrop import allocator, passwords
allocator.settle()

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) / 256
"""

# One password after the other, each on a thread of its own that stays; then what the process has.
CHECK = f"""
def check(done, end):
    try:
        passwords.made("correct horse")
        passwords.made("battery staple")
    finally:
        done.set()
    end.wait()

end = threading.Event()
before = resident_mb()
for _ in range({CHECKERS}):
    done = threading.Event()
    threading.Thread(target=check, args=(done, end)).start()
    done.wait()
print(resident_mb() - before)
end.set()
"""

# Pieces too large for Python's own pools and too small to be given back by themselves.
FREE = """
pieces = [bytes(10_000) for _ in range(5_000)]
del pieces
before = resident_mb()
allocator.give_back()
print(resident_mb() - before)
"""


def grown_mb(program: str) -> float:
    """Return how much larger a process is after it has done that, as it prints itself."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return float(done.stdout)


def test_threads_that_check_passwords_share_the_memory_for_it() -> None:
    assert grown_mb(CHECK) < 2 * PASSWORD_MB + 10


def test_what_a_check_took_is_kept_for_the_next() -> None:
    assert grown_mb(CHECK) > PASSWORD_MB / 2


def test_what_is_free_after_the_start_is_given_back() -> None:
    assert grown_mb(FREE) < -40
