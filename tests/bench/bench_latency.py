"""From an upload's acknowledgement to its rows being readable, for a file of 1,000 rows.

The clock starts when the client has read the reply to CLOSE and stops when another program's
read-only connection sees the file's last transaction in data.db.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.figures import percentile, record
from tests.clients import Account, Paramiko
from tests.daemon import Daemon, make_home, sales
from tilldrop import hostkeys
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    import paramiko

UPLOADS = 200
ROWS = 1_000
GOAL_P50_MS = 40
GOAL_P99_MS = 120
LOOK_EVERY_S = 0.0005
GIVE_UP_S = 30.0


def main() -> None:
    """Upload one after the other and record p50 and p99."""
    with tempfile.TemporaryDirectory(prefix="tilldrop-bench-") as name:
        folder = Path(name)
        hostkeys.ensure(folder / "keys")
        daemon = Daemon(make_home(folder / "home", folder / "keys")).start()
        try:
            with Paramiko(Account(daemon)).session() as sftp:
                took_ms = _uploads(daemon, sftp)
        finally:
            daemon.stop()
    p50, p99 = percentile(took_ms, 0.50), percentile(took_ms, 0.99)
    record(
        "latency-1000-rows",
        f"p50 {p50:.1f} ms (goal {GOAL_P50_MS}), p99 {p99:.1f} ms (goal {GOAL_P99_MS}),"
        f" worst {max(took_ms):.1f} ms, {UPLOADS} uploads",
        p50_ms=round(p50, 2),
        p99_ms=round(p99, 2),
        worst_ms=round(max(took_ms), 2),
        uploads=UPLOADS,
    )


def _uploads(daemon: Daemon, sftp: paramiko.SFTPClient) -> list[float]:
    reader = sqlite3.connect(f"{daemon.paths.data.as_uri()}?mode=ro", uri=True)
    took_ms = []
    for number in range(UPLOADS + 1):
        text = sales(first=number * ROWS, count=ROWS).encode()
        with sftp.open(f"sales-{number}.csv", "wb") as file:
            file.set_pipelined(pipelined=True)
            file.write(text)
        acknowledged = time.perf_counter()
        _wait_for_row(reader, str(number * ROWS + ROWS - 1), acknowledged)
        took_ms.append((time.perf_counter() - acknowledged) * 1000)
    reader.close()
    return took_ms[1:]  # the first warms the caches of a daemon just started


def _wait_for_row(reader: sqlite3.Connection, transaction_id: str, since: float) -> None:
    sql = "SELECT 1 FROM transactions WHERE customer = ? AND location_id = ? AND transaction_id = ?"
    while reader.execute(sql, ("acme", "12", transaction_id)).fetchone() is None:
        assert time.perf_counter() - since < GIVE_UP_S, "the rows never came"
        time.sleep(LOOK_EVERY_S)


if __name__ == "__main__":
    main()
