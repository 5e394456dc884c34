"""A backlog of small files: how many are imported in a second, from their claim to the ledger.

The files have arrived already; ledger, spool, worker and the importer's thread are those of a
daemon without doors. One customer, each file under a name of its own.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.bench.figures import record
from tests.daemon import make_home, sales
from tilldrop import config as configuration
from tilldrop import journal_lines
from tilldrop.delivery import Cause, State
from tilldrop.importer import databases
from tilldrop.importer.dispatch import Importer
from tilldrop.importer.supervisor import Supervisor
from tilldrop.ledger import Ledger
from tilldrop.spool import Spool
from tilldrop.watch import Bell

FILES = 1_000
ROWS = (5, 100)
GOAL_A_SECOND = 200
LOOK_EVERY_S = 0.02
GIVE_UP_S = 600


def main(files: int) -> None:
    """Import a backlog of files of each size."""
    for rows in ROWS:
        with tempfile.TemporaryDirectory(prefix="tilldrop-bench-") as name:
            took_s = _backlog(Path(name), files, rows)
        record(
            f"small-files-{rows}-rows",
            f"{files / took_s:.0f} imports a second (goal {GOAL_A_SECOND}),"
            f" {1000 * took_s / files:.2f} ms each, {files} files",
            imports_a_second=round(files / took_s, 1),
            files=files,
        )


def _backlog(folder: Path, files: int, rows: int) -> float:
    """Return how long it takes until all are imported."""
    (folder / "keys").mkdir()
    config = configuration.load(make_home(folder / "home", folder / "keys"))
    paths = config.paths
    paths.run.mkdir(parents=True)
    journal_lines.configure("json", "error")
    databases.prepare(config)
    spool = Spool(paths.spool, reserve_bytes=0)
    ledger = Ledger(paths.ledger)
    supervisor = Supervisor(paths.run / "worker.lock", config.importer)
    importer = Importer(ledger, spool, supervisor, lambda: config, Bell())
    thread = threading.Thread(target=importer.run)
    try:
        _arrive(ledger, spool, files, rows)
        supervisor.start()
        began = time.monotonic()
        thread.start()
        while ledger.count_by_state().get(State.IMPORTED) != files:
            assert time.monotonic() - began < GIVE_UP_S, ledger.count_by_state()
            time.sleep(LOOK_EVERY_S)
        return time.monotonic() - began
    finally:
        importer.stop()
        if thread.ident is not None:
            thread.join()
        supervisor.stop()
        ledger.close()


def _arrive(ledger: Ledger, spool: Spool, files: int, rows: int) -> None:
    begun = [ledger.begin("acme", f"{number}.csv", "sftp") for number in range(files)]
    arrived = (State.RECEIVING, State.ARRIVED, Cause.CLOSE)
    moved = []
    for number, delivery in enumerate(one.result() for one in begun):
        text = sales(number * rows, rows)
        (spool.arrived / delivery.id).write_text(text)
        moved.append(ledger.move(delivery.id, *arrived, size_bytes=len(text)))
    for move in moved:
        move.result()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else FILES)
