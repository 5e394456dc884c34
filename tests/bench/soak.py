"""Many small deliveries through both doors at once; memory, descriptors and threads must stay.

`python -m tests.bench.soak COUNT`: COUNT deliveries in all, half by SFTP, half by FTP, two
sessions a door. Samples the daemon and its worker in ten steps; at the end every acknowledged
delivery must be imported. Figures go to var/bench.jsonl.
"""

from __future__ import annotations

import ftplib
import io
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.figures import record
from tests.clients import Account, Paramiko
from tests.daemon import MAIN_TOML, PASSWORD, Daemon, make_home, sales, wait_for
from tilldrop import hostkeys
from tilldrop.delivery import State

if TYPE_CHECKING:
    from collections.abc import Callable

FTP_TOML = '\n[ftp]\nenabled = true\nlisten = "127.0.0.1"\nport = 0\n'
SESSIONS_A_DOOR = 2
RECONNECT_EVERY = 500  # as customers come and go
NAMES = 200  # so that names are overwritten, and listings stay what customers see
STEPS = 10
IMPORTS_A_SECOND_LEAST = 15  # the wait for the last import, on a busy machine


@dataclass(frozen=True, slots=True)
class Sample:
    """What the daemon and its worker hold."""

    done: int
    daemon_mb: float
    worker_mb: float
    descriptors: int
    threads: int
    ledger_mb: float

    def told(self) -> str:
        """Write one line."""
        return (
            f"{self.done:>7} deliveries: daemon {self.daemon_mb:.0f} MB, worker"
            f" {self.worker_mb:.0f} MB, {self.descriptors} descriptors, {self.threads} threads,"
            f" ledger {self.ledger_mb:.1f} MB"
        )


def main(count: int) -> None:
    """Run the soak."""
    with tempfile.TemporaryDirectory(prefix="tilldrop-soak-") as name:
        folder = Path(name)
        hostkeys.ensure(folder / "keys")
        toml = MAIN_TOML.replace("[limits]\n", "[limits]\nmax_uploads_a_day = 0\n") + FTP_TOML
        daemon = Daemon(make_home(folder / "home", folder / "keys", toml)).start()
        try:
            _soak(daemon, count)
        finally:
            daemon.stop()


def _main_toml() -> str:
    """No real customer sends so much in a day."""
    endless = "[limits]\nmax_uploads_a_day = 0\nmax_sessions = 0\n"
    return MAIN_TOML.replace("[limits]\n", endless) + FTP_TOML


def _soak(daemon: Daemon, count: int) -> None:
    done = Progress()
    ftp_port = int(daemon.status()["doors"]["ftp"]["port"])
    share = count // (2 * SESSIONS_A_DOOR)
    senders: list[Callable[[int], None]] = []
    for _ in range(SESSIONS_A_DOOR):
        senders.append(lambda first: _by_sftp(daemon, first, share, done))
        senders.append(lambda first: _by_ftp(ftp_port, first, share, done))
    threads = [
        threading.Thread(target=sender, args=(number * share,))
        for number, sender in enumerate(senders)
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    samples = _samples(daemon, done, share * len(threads), threads)
    for thread in threads:
        thread.join()
    wanted = share * len(threads)
    assert done.count == wanted, f"{done.count} of {wanted} were acknowledged"
    wait_for(
        "every delivery to be imported",
        lambda: daemon.ledger().count_by_state() == {State.IMPORTED: wanted},
        600 + count / IMPORTS_A_SECOND_LEAST,
    )
    ((rows,),) = daemon.rows("SELECT count(*) FROM transactions")
    assert rows == wanted, f"{rows} rows of {wanted}"
    last = _sample(daemon, done.count)
    took_s = time.monotonic() - began
    record(
        "soak",
        f"{wanted} deliveries in {took_s:.0f} s, all imported; from {samples[0].told().strip()}"
        f" to {last.told().strip()}",
        deliveries=wanted,
        seconds=round(took_s, 1),
        **{f"first_{key}": getattr(samples[0], key) for key in Sample.__slots__},
        **{f"last_{key}": getattr(last, key) for key in Sample.__slots__},
    )


class Progress:
    """How many uploads were acknowledged."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def add(self) -> None:
        """One more."""
        with self._lock:
            self.count += 1


def _by_sftp(daemon: Daemon, first: int, share: int, done: Progress) -> None:
    for start in range(first, first + share, RECONNECT_EVERY):
        with Paramiko(Account(daemon)).session() as sftp:
            for number in range(start, min(start + RECONNECT_EVERY, first + share)):
                with sftp.open(f"s{number % NAMES}.csv", "wb") as file:
                    file.write(sales(number, 1).encode())
                done.add()


def _by_ftp(port: int, first: int, share: int, done: Progress) -> None:
    for start in range(first, first + share, RECONNECT_EVERY):
        with ftplib.FTP(timeout=60) as ftp:
            ftp.connect("127.0.0.1", port)
            ftp.login("acme", PASSWORD)
            for number in range(start, min(start + RECONNECT_EVERY, first + share)):
                name = f"f{number % NAMES}.csv"
                ftp.storbinary(f"STOR {name}", io.BytesIO(sales(number, 1).encode()))
                done.add()


def _samples(
    daemon: Daemon, done: Progress, wanted: int, threads: list[threading.Thread]
) -> list[Sample]:
    taken = []
    for step in range(1, STEPS + 1):
        due = wanted * step // STEPS
        while done.count < due and any(thread.is_alive() for thread in threads):
            time.sleep(0.05)
        taken.append(_sample(daemon, done.count))
        sys.stdout.write(f"{taken[-1].told()}\n")
        sys.stdout.flush()
    return taken


def _sample(daemon: Daemon, done: int) -> Sample:
    worker = daemon.worker_pid()
    return Sample(
        done,
        _resident_mb(daemon.pid),
        _resident_mb(worker) if worker else 0.0,
        _count(Path(f"/proc/{daemon.pid}/fd")),
        _count(Path(f"/proc/{daemon.pid}/task")),
        round(daemon.paths.ledger.stat().st_size / 1e6, 1),
    )


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir())


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000)
