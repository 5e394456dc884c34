"""By how much a bulk upload of one customer slows the small uploads of another.

The small ones take turns: alone, beside the bulk upload, alone again. Each through each door, on
one connection and with a login for every file.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.bench.figures import percentile, record
from tests.daemon import Daemon, wait_for
from tests.load.bed import Bulk, Running

if TYPE_CHECKING:
    from pathlib import Path

SPAN_S = 4.0
ROUNDS = 2
BULK_BYTES = 64 * 1024**3  # sparse; longer than it is watched
DOORS = ("sftp", "ftp")


def measure(daemon: Daemon, folder: Path) -> None:
    """Measure each pair of doors and record its ratios."""
    path = folder / "bulk.bin"
    with path.open("wb") as file:
        file.truncate(BULK_BYTES)
    for small in DOORS:
        for bulk in DOORS:
            for anew in (False, True):
                _pair(daemon, path, small, bulk, anew=anew)


def _pair(daemon: Daemon, path: Path, small: str, bulk: str, *, anew: bool) -> None:
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(ROUNDS):
        alone += _took(daemon, small, anew=anew)
        sending = Bulk(daemon, "c1", path, bulk)
        try:
            wait_for("the bulk upload", lambda: daemon.status()["open_uploads"])
            beside += _took(daemon, small, anew=anew)
        finally:
            sending.kill()
        wait_for("its end", lambda: not daemon.status()["open_uploads"])
        for delivery in daemon.deliveries(path.name, "c1"):
            (daemon.paths.spool / "receiving" / delivery.id).unlink(missing_ok=True)
        daemon.wait_until_idle()
    ratios = [percentile(beside, share) / percentile(alone, share) for share in (0.5, 0.99)]
    how = "with a login each" if anew else "on one connection"
    record(
        f"fair-{small}-beside-{bulk}-{'anew' if anew else 'same'}",
        f"small files by {small} {how} beside a bulk upload by {bulk}:"
        f" p50 {ratios[0]:.2f} times ({percentile(alone, 0.5):.1f} to"
        f" {percentile(beside, 0.5):.1f} ms), p99 {ratios[1]:.2f} times"
        f" ({percentile(alone, 0.99):.1f} to {percentile(beside, 0.99):.1f} ms);"
        f" {len(alone)} and {len(beside)} files",
        p50_ratio=round(ratios[0], 2),
        p99_ratio=round(ratios[1], 2),
    )


def _took(daemon: Daemon, door: str, *, anew: bool) -> list[float]:
    doors = daemon.status()["doors"]
    order = {
        "sftp": doors["sftp"]["port"],
        "ftp": doors["ftp"]["port"],
        "key": str(daemon.home / "c0-ed25519"),
        "customers": ["c0"],
        "source": "127.0.98.1",
        "door": door,
        "anew": anew,
    }
    running = Running(("small", order)).wait_until_ready()
    try:
        time.sleep(SPAN_S)  # what is measured is how much is done in this time
        found: list[float] = running.end()["small"]["took"]
    finally:
        running.kill()
    return found
