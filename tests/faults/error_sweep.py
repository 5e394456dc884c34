"""Errors of single system calls in the daemon or its worker, and what must hold after.

Owns a bed of its own, as `kill_sweep` does, and lives on. A try: strace is attached to the daemon
or to the worker and told to let the Nth call of one kind fail; the client uploads; strace lets go;
the client uploads once more, which must succeed; every upload so far is checked. A call that
failed on the bytes of an upload must have cost that upload its positive answer.
Only errors that strace says it injected are counted.
"""

from __future__ import annotations

import contextlib
import random
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import paramiko

from tests.clients import Account, ClientError, Paramiko
from tests.daemon import MAIN_TOML, wait_for
from tests.faults.kill_sweep import UPLOADS_A_TRY, Bed, traced
from tests.faults.promises import complaints

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.promises import Sent

# The reconciling scan puts right what an error left undone; a real one runs every minute.
ERROR_TOML = MAIN_TOML.replace("scan_interval_s = 0 ", "scan_interval_s = 1 ")
SETTLE_S = 5  # then the daemon is restarted
START_S = 20
ERRORS = ("EIO", "ENOSPC", "EROFS")
# How often a thread makes a call in one try; beyond, nothing fires. "": whatever the file.
# Neither SQLite calls fdatasync here; both call fsync.
DAEMON_CALLS = {
    ("fsync", ""): 14,
    ("openat", ""): 10,
    ("pwrite64", ""): 40,
    ("rename", ""): 4,
    ("write", ""): 28,
    ("fsync", "ledger.db-wal"): 8,
    ("pwrite64", "ledger.db-wal"): 60,
    ("ftruncate", ""): 1,
    ("pread64", "ledger.db"): 6,
    ("sendto", ""): 12,
}
WORKER_CALLS = {
    ("fsync", ""): 6,
    ("openat", ""): 12,
    ("pwrite64", "data.db-wal"): 24,
    ("pwrite64", ""): 30,
    ("pread64", ""): 8,
    ("read", ""): 12,
    ("write", ""): 4,
    ("fsync", "data.db-wal"): 3,
    ("mkdir", ""): 2,
}
_FAILED = re.compile(r"/receiving/(?P<id>[0-9a-z-]+).*\(INJECTED\)")
_OF_BYTES = ("fsync(", "pwrite64(", "write(", "ftruncate(")


@dataclass(frozen=True, slots=True)
class Error:
    """Let the `when`th call of that name by any one thread fail. path: on that file alone."""

    victim: str
    syscall: str
    error: str
    when: int
    path: str = ""

    @property
    def kind(self) -> str:
        """What is counted."""
        return " ".join(filter(None, (self.victim, self.syscall, self.error, self.path)))

    def options(self, state: Path) -> tuple[str, ...]:
        """Options for strace."""
        only = ("-P", str(state / self.path)) if self.path else ()
        name = self.syscall
        inject = f"inject={name}:error={self.error}:when={self.when}"
        return ("-yy", "-e", f"trace={name}", "-e", inject, *only)


@dataclass(slots=True)
class ErrorSweep:
    """What a sweep did. fired: errors injected, by kind; restarts: how often it took one."""

    tried: int = 0
    fired: Counter[str] = field(default_factory=Counter)
    uploads: int = 0
    refused: int = 0
    lost: int = 0
    ended: int = 0
    restarts: int = 0
    complaints: list[str] = field(default_factory=list)

    def told(self) -> str:
        """Write one line."""
        kinds = ", ".join(f"{name} {count}" for name, count in sorted(self.fired.items()))
        return (
            f"{self.tried} tries, {self.fired.total()} errors injected ({kinds});"
            f" {self.uploads} uploads, {self.refused} refused, {self.lost} connections lost;"
            f" {self.ended} ends of the daemon, {self.restarts} restarts to put things right;"
            f" {len(self.complaints)} complaints"
        )


def plan(seed: int) -> Iterator[Error]:
    """Every error that can fire, in an order that only the seed decides, and then over again.

    Victim after victim and call after call take turns, so that a short sweep meets most.
    """
    dice = random.Random(seed)
    kinds = [("daemon", *call) for call in DAEMON_CALLS] + [
        ("worker", *call) for call in WORKER_CALLS
    ]
    while True:
        for victim, syscall, path in dice.sample(kinds, len(kinds)):
            most = (DAEMON_CALLS if victim == "daemon" else WORKER_CALLS)[syscall, path]
            yield Error(victim, syscall, dice.choice(ERRORS), dice.randint(1, most), path)


def attempt(bed: Bed, error: Error, done: ErrorSweep) -> None:
    """Run one try on a running daemon; leaves a running daemon."""
    done.tried += 1
    before = len(bed.sent)
    log = bed.daemon.home / "errors.log"
    pid = bed.daemon.pid
    if error.victim == "worker":
        pid = wait_for("a worker", bed.daemon.worker_pid)
    with traced_or_gone(pid, error.options(bed.daemon.paths.state), log):
        _upload(bed, done)
        with contextlib.suppress(AssertionError):  # judged once strace is gone
            wait_for("the daemon to be idle or gone", lambda: _is_over(bed), START_S)
    said = log.read_text(errors="replace")
    if fired := said.count("(INJECTED)"):
        done.fired[error.kind] += fired
    _go_on(bed, done)
    found = [*complaints(bed.daemon, bed.sent), *_about_answers(bed, bed.sent[before:], said)]
    done.uploads += len(bed.sent) - before
    done.complaints += [f"{error}: {complaint}" for complaint in found]


@contextlib.contextmanager
def traced_or_gone(pid: int, options: tuple[str, ...], log: Path) -> Iterator[None]:
    """Trace a process that may end meanwhile; if it was gone before, nothing is injected."""
    log.write_text("")
    try:
        with traced(pid, options, log):
            yield
    except FileNotFoundError:
        return


def _upload(bed: Bed, done: ErrorSweep) -> None:
    """Upload some files; each is refused or taken by itself."""
    try:
        with Paramiko(Account(bed.daemon, key=bed.key)).session() as sftp:
            for _ in range(UPLOADS_A_TRY):
                try:
                    bed.upload_one(sftp)
                except OSError:
                    done.refused += 1
                    if not _is_open(sftp):
                        raise
    except (OSError, EOFError, paramiko.SSHException, ClientError):
        done.lost += 1


def _is_open(sftp: paramiko.SFTPClient) -> bool:
    channel = sftp.get_channel()
    return channel is not None and not channel.closed


def _is_over(bed: Bed) -> bool:
    return bed.daemon.process is None or bed.daemon.process.poll() is not None or bed.is_idle()


def _go_on(bed: Bed, done: ErrorSweep) -> None:
    """See that the daemon is up, or comes up as its service would bring it, and takes more."""
    process = bed.daemon.process
    if process is not None and process.poll() is not None:
        done.ended += 1
        code = bed.daemon.wait_until_ended()
        if code == 0:
            done.complaints.append("it ended as if it had been asked to")
        bed.daemon.start()
    try:
        with Paramiko(Account(bed.daemon, key=bed.key)).session() as sftp:
            bed.upload_one(sftp)
    except (OSError, EOFError, paramiko.SSHException, ClientError) as refusal:
        done.complaints.append(f"an upload after the error was refused: {refusal!r}")
    try:
        wait_for("the daemon to be tidy", lambda: bed.is_idle() and is_tidy(bed), SETTLE_S)
    except AssertionError:
        # What an error left undone is done at the next start at the latest.
        done.restarts += 1
        bed.daemon.stop()
        bed.daemon.start()
        wait_for("the daemon to be idle after a restart", bed.is_idle, START_S)


def is_tidy(bed: Bed) -> bool:
    """Tell whether every file in receiving/ has its delivery."""
    known = {one.id for one in bed.daemon.deliveries()}
    return all(path.name in known for path in (bed.daemon.paths.spool / "receiving").iterdir())


def _about_answers(bed: Bed, sent: list[Sent], said: str) -> Iterator[str]:
    """An upload whose bytes met an error must not have been acknowledged."""
    names = {one.id: one.name for one in bed.daemon.deliveries()}
    acknowledged = {one.name for one in sent if one.acknowledged}
    for line in said.splitlines():
        found = _FAILED.search(line)
        if found and any(call in line for call in _OF_BYTES):
            name = names.get(found["id"])
            if name in acknowledged:
                yield f"{name} was acknowledged, and this failed: {line.strip()}"


def error_sweep(bed: Bed, seed: int, until: float) -> ErrorSweep:
    """Try error after error until the monotonic clock says `until` or a promise is broken."""
    done = ErrorSweep()
    if bed.daemon.process is None:
        bed.daemon.start()
    errors = plan(seed)
    while time.monotonic() < until and not done.complaints:
        attempt(bed, next(errors), done)
    return done
