"""From starting the process to READY=1, with an empty ledger and with 100,000 deliveries.

READY means that databases are open, what the last end left is put right, the worker is warm and
every door takes connections. Each ledger is started on ROUNDS times after an orderly stop, and as
often after a kill. Of the deliveries one in a hundred broke off, the others are imported and their
bytes kept, each with its moves and its report, over 200 customers.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.bench.figures import record
from tests.daemon import TILLDROP, Daemon, make_home
from tilldrop import hostkeys
from tilldrop.ledger import Ledger
from tilldrop.ledger_reading import instant_text
from tilldrop.rows import Counts, Report
from tilldrop.sqlite import sqlite3

DELIVERIES = 100_000
CUSTOMERS = 200
ROUNDS = 5
GOAL_S = 2.0
READY_WITHIN_S = 120


def main() -> None:
    """Measure both ledgers and record the medians."""
    with tempfile.TemporaryDirectory(prefix="tilldrop-bench-") as name:
        folder = Path(name)
        hostkeys.ensure(folder / "keys")
        for deliveries in (0, DELIVERIES):
            daemon = Daemon(make_home(folder / f"home-{deliveries}", folder / "keys"))
            daemon.start()
            daemon.stop()
            _fill(daemon, deliveries)
            stopped, killed = [], []
            for _ in range(ROUNDS):
                stopped.append(_start(daemon))
                daemon.kill()
                killed.append(_start(daemon))
                daemon.stop()
            record(
                "start",
                f"{deliveries:,} deliveries: {statistics.median(stopped):.2f} s after a stop,"
                f" {statistics.median(killed):.2f} s after a kill (goal {GOAL_S}),"
                f" worst {max(stopped + killed):.2f} s",
                deliveries=deliveries,
                stopped_s=round(statistics.median(stopped), 3),
                killed_s=round(statistics.median(killed), 3),
                worst_s=round(max(stopped + killed), 3),
            )


def _start(daemon: Daemon) -> float:
    """Start it; return how long it took until READY=1."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        address = f"tilldrop-bench-{time.monotonic_ns()}"
        told.bind(f"\0{address}")
        told.settimeout(READY_WITHIN_S)
        command = (str(TILLDROP), "--home", str(daemon.home), "run")
        with daemon.log.open("ab") as log:
            began = time.monotonic()
            daemon.process = subprocess.Popen(
                command,
                env={"NOTIFY_SOCKET": f"@{address}", "PATH": "/usr/bin:/bin"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            while not told.recv(4096).startswith(b"READY=1"):
                pass
            return time.monotonic() - began


def _fill(daemon: Daemon, deliveries: int) -> None:
    """Write deliveries as they are after months of use."""
    Ledger(daemon.paths.ledger).close()  # the schema
    at = datetime.now(UTC) - timedelta(days=30)
    rows, moves, runs = [], [], []
    for number in range(deliveries):
        at += timedelta(seconds=20)
        identity, text = f"{at:%y%m%d-%H%M%S}-{number:05d}", instant_text(at)
        broken = number % 100 == 0
        state = "broken" if broken else "imported"
        seq = None if broken else number
        customer, name = f"customer-{number % CUSTOMERS}", f"sales-{number % 97}.csv"
        where = daemon.paths.spool / ("receiving" if broken else "kept") / identity
        where.touch()
        rows.append((identity, seq, customer, name, state, text, text, text, not broken))
        states = (
            ("receiving", "broken") if broken else ("receiving", "arrived", "importing", "imported")
        )
        moves += [(identity, one, text) for one in states]
        if not broken:
            report = Report(identity, 1, "imported", counts=Counts(read=100, transactions=100))
            runs.append((identity, 1, text, "imported", report.to_json()))
    with closing(sqlite3.connect(daemon.paths.ledger)) as connection, connection:
        connection.executemany(
            "INSERT INTO deliveries (id, arrival_seq, customer, door, peer, name, state,"
            " size_bytes, began_at, arrived_at, changed_at, run, feed)"
            " VALUES (?, ?, ?, 'sftp', '192.0.2.7', ?, ?, 10000, ?, ?, ?, ?, 'sales')",
            rows,
        )
        connection.executemany(
            "INSERT INTO moves (delivery, after, cause, at) VALUES (?, ?, 'close', ?)", moves
        )
        connection.executemany("INSERT INTO runs VALUES (?, ?, ?, ?, ?)", runs)


if __name__ == "__main__":
    main()
