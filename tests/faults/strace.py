"""Runs strace on a process for a while.

Owns the tracer and lets the process go on without it afterwards. Never reads what it wrote.
"""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.daemon import wait_for
from tests.faults.strace_log import TRACED

if TYPE_CHECKING:
    from collections.abc import Iterator

ATTACH_S = 20
DETACH_S = 5


def watch_order() -> tuple[str, ...]:
    """Options that record what the order checker reads."""
    return ("-ttt", "-yy", "-s", "5000", "-e", f"trace={','.join(TRACED)}")


@contextlib.contextmanager
def traced(pid: int, options: tuple[str, ...], log: Path) -> Iterator[None]:
    """Have strace hold all threads of a process for a while; afterwards it goes on without."""
    with log.with_suffix(".said").open("wb") as said:
        words = ("strace", "-f", *options, "-o", str(log), "-p", str(pid))
        tracer = subprocess.Popen(words, stdout=said, stderr=said)

    def holds_all() -> bool:
        assert tracer.poll() is None, log.with_suffix(".said").read_text(errors="replace")
        return all(_traced_by(task) == tracer.pid for task in Path(f"/proc/{pid}/task").iterdir())

    try:
        wait_for("strace to be attached", holds_all, ATTACH_S)
        yield
    finally:
        _end(tracer)


def _end(tracer: subprocess.Popen[bytes]) -> None:
    tracer.terminate()
    try:
        tracer.wait(DETACH_S)
    except subprocess.TimeoutExpired:
        # strace 6.1 can wait for ever for a thread that was just killed; the kernel lets go.
        tracer.kill()
        tracer.wait(ATTACH_S)


def _traced_by(task: Path) -> int:
    for line in (task / "status").read_text().splitlines():
        if line.startswith("TracerPid:"):
            return int(line.split()[1])
    return 0
