"""kill -9 of the daemon at each system call of the acknowledge path, and what must hold after.

Owns one home on which all tries of a sweep follow one another, so that damage done early is
still found late. A try: the client connects; strace is attached and told to kill the daemon at
its Nth call of one kind; the client uploads until the daemon is dead; the daemon is started
again, in every other try under strace with a kill of its own in the middle of its recovery, and
at last without; every upload of the sweep so far is checked. Only kills that fired are counted.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko
from paramiko.sftp import CMD_CLOSE

from tests.clients import Account, ClientError, Paramiko
from tests.daemon import MAIN_TOML, Daemon, is_alive, make_home, make_key, sales, wait_for
from tests.faults.promises import Sent, complaints
from tests.faults.strace_log import TRACED
from tilldrop import control
from tilldrop.delivery import State
from tilldrop.errors import NotRunning

if TYPE_CHECKING:
    from collections.abc import Iterator

LAUNCHER = Path(__file__).with_name("seeded.py")
UPLOADS_A_TRY = 3
ROWS = 5
CHUNK_BYTES = 64
ATTACH_S = 20
DETACH_S = 5
DEATH_S = 20
SETTLE_S = 20
# How often one thread makes a call while UPLOADS_A_TRY files are taken and imported, and while
# the daemon starts with something to recover; seen, with a little reserve. Beyond, nothing fires.
UPLOAD_CALLS = {
    "fcntl": 70,
    "fsync": 14,
    "ftruncate": 1,
    "openat": 10,
    "pread64": 12,
    "pwrite64": 190,
    "rename": 4,
    "sendto": 36,
    "write": 28,
}
START_CALLS = {
    "fsync": 7,
    "ftruncate": 4,
    "pwrite64": 30,
    "rename": 3,
    "sendto": 4,
    "unlink": 8,
    "write": 12,
}


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill at the `when`th call of that name by any one thread."""

    syscall: str
    when: int


@dataclass(slots=True)
class Sweep:
    """What a sweep did. fired: kills that ended the daemon. complaints: promises broken."""

    tried: int = 0
    fired: Counter[str] = field(default_factory=Counter)
    uploads: int = 0
    acknowledged: int = 0
    complaints: list[str] = field(default_factory=list)

    def told(self) -> str:
        """Write one line."""
        kinds = ", ".join(f"{name} {count}" for name, count in sorted(self.fired.items()))
        return (
            f"{self.tried} tries, {self.fired.total()} kills fired ({kinds});"
            f" {self.uploads} uploads, {self.acknowledged} acknowledged;"
            f" {len(self.complaints)} complaints"
        )


def plan(calls: dict[str, int], seed: int) -> Iterator[Kill]:
    """Every kill that can fire, in an order that only the seed decides, and then over again.

    One call after the other takes its turn, so that a short sweep meets them all.
    """
    dice = random.Random(seed)
    waiting: dict[str, list[int]] = {name: [] for name in calls}
    while True:
        for name in dice.sample(sorted(calls), len(calls)):
            if not waiting[name]:
                waiting[name] = dice.sample(range(1, calls[name] + 1), calls[name])
            yield Kill(name, waiting[name].pop())


class Bed:
    """A home with its daemon, and everything that was uploaded to it."""

    def __init__(
        self, folder: Path, host_keys: Path, bug: str = "none", main_toml: str = MAIN_TOML
    ) -> None:
        home = make_home(folder / "home", host_keys, main_toml)
        command = (sys.executable, str(LAUNCHER), bug, "--home", str(home), "run")
        self.daemon = Daemon(home, command)
        self.key = make_key(home, "acme")
        self.sent: list[Sent] = []

    def attempt(self, kill: Kill, sweep: Sweep, kill_at_start: Kill | None = None) -> None:
        """Run one try on a running daemon; leaves a running daemon."""
        sweep.tried += 1
        before = len(self.sent)
        fired = self._killed_while_uploading(kill)
        sweep.uploads += len(self.sent) - before
        sweep.acknowledged += sum(sent.acknowledged for sent in self.sent[before:])
        if fired:
            sweep.fired[kill.syscall] += 1
            if kill_at_start and self._killed_while_starting(kill_at_start):
                sweep.fired[f"{kill_at_start.syscall} at start"] += 1
            self.daemon.start()
        wait_for("every import to be over, files put away", self.is_idle, SETTLE_S)
        sweep.complaints += [
            f"{kill}, {kill_at_start}: {complaint}"
            for complaint in complaints(self.daemon, self.sent)
        ]

    def _killed_while_uploading(self, kill: Kill) -> bool:
        log = self.daemon.home / "strace.log"
        with (
            Paramiko(Account(self.daemon, key=self.key)).session() as sftp,
            traced(self.daemon.pid, inject(kill), log),
        ):
            client_lost = not self._upload(sftp)
            if not client_lost:
                wait_for("the daemon to die or to be idle", self._is_over, DEATH_S)
            fired = client_lost or not self.answers()
            if fired:
                code = self.daemon.wait_until_ended(DEATH_S)
                assert code == -9, f"it ended with {code}:\n{self.daemon.log_tail()}"
        return fired

    def _killed_while_starting(self, kill: Kill) -> bool:
        """Start under strace and leave it ended; tell whether the kill ended it."""
        log = str(self.daemon.home / "strace.log")
        starter = Daemon(
            self.daemon.home, ("strace", "-f", *inject(kill), "-o", log, *self.daemon.command)
        ).launch()
        process = starter.process
        assert process is not None
        wait_for("it to die or to be up", lambda: process.poll() is not None or self.answers())
        with contextlib.suppress(NotRunning, ProcessLookupError):  # killed after all
            os.kill(control.ask(self.daemon.paths, "status")["pid"], signal.SIGTERM)
        code = starter.wait_until_ended()
        assert code in (0, -9), f"it ended with {code}:\n{self.daemon.log_tail()}"
        return code == -9

    def upload_one(self, sftp: paramiko.SFTPClient) -> Sent:
        """Upload the next file in small writes; it is remembered before it is begun.

        Every third is finished by a rename from a temporary name, every third is cut to size.
        """
        number = len(self.sent)
        store = f"s{number}"
        sent = Sent(f"sales-{number}.csv", sales(1, ROWS, store).encode(), store)
        self.sent.append(sent)
        way = number % UPLOADS_A_TRY
        name = f"{sent.name}.part" if way == 1 else sent.name
        with sftp.open(name, "wb", bufsize=0) as file:
            for start in range(0, len(sent.content), CHUNK_BYTES):
                file.write(sent.content[start : start + CHUNK_BYTES])
            if way == 2:
                file.write(b"too much")
                file.truncate(len(sent.content))
            close(sftp, file)
        if way == 1:
            sftp.rename(name, sent.name)
        sent.acknowledged = True
        return sent

    def _upload(self, sftp: paramiko.SFTPClient) -> bool:
        """Upload some files; tell whether the server was there to the end."""
        try:
            for _ in range(UPLOADS_A_TRY):
                self.upload_one(sftp)
        except (OSError, EOFError, paramiko.SSHException):
            return False  # in these three ways paramiko says that the server has gone
        return True

    def _is_over(self) -> bool:
        process = self.daemon.process
        return process is None or process.poll() is not None or self.is_idle()

    def answers(self) -> bool:
        """Tell whether the daemon is there: a kill that fired last may not be through yet."""
        try:
            control.ask(self.daemon.paths, "status")
        except NotRunning:
            return False
        return True

    def is_idle(self) -> bool:
        counts = self.daemon.ledger().count_by_state()
        busy = (State.RECEIVING, State.ARRIVED, State.IMPORTING)
        return not any(counts.get(state) for state in busy) and not any(
            (self.daemon.paths.spool / "arrived").iterdir()
        )


def close(sftp: paramiko.SFTPClient, file: paramiko.SFTPFile) -> None:
    """Close and hear the answer: paramiko's own close() hides a refusal."""
    forget(file)
    sftp._request(CMD_CLOSE, file.handle)  # type: ignore[attr-defined]


def forget(file: paramiko.SFTPFile) -> None:
    """Let paramiko send no CLOSE of its own."""
    file._closed = True  # type: ignore[attr-defined]


# -- strace ------------------------------------------------------------------------------------


def inject(kill: Kill) -> tuple[str, ...]:
    """Options that kill at one call."""
    return (
        "-e",
        f"trace={kill.syscall}",
        "-e",
        f"inject={kill.syscall}:signal=KILL:when={kill.when}",
    )


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


# -- sweeps ------------------------------------------------------------------------------------


def sweep(bed: Bed, seed: int, until: float) -> Sweep:
    """Try kill after kill until the monotonic clock says `until` or a promise is broken."""
    done = Sweep()
    bed.daemon.start()
    kills, kills_at_start = plan(UPLOAD_CALLS, seed), plan(START_CALLS, seed)
    while time.monotonic() < until and not done.complaints:
        at_start = next(kills_at_start) if done.tried % 2 else None
        try:
            bed.attempt(next(kills), done, at_start)
        except (ClientError, EOFError) as problem:
            done.complaints.append(f"the client could not even connect: {problem}")
    return done


def kill_worker(daemon: Daemon, after_s: float) -> bool:
    """kill -9 the importer's worker at a moment from now; tell whether it was there to be hit."""
    pid = wait_for("a worker", daemon.worker_pid)
    deadline = time.monotonic() + after_s
    while time.monotonic() < deadline:
        pass  # a sleep would be too coarse for the moment that is meant
    if not is_alive(pid):
        return False
    os.kill(pid, signal.SIGKILL)
    return True
