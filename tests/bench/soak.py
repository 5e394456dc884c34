"""Many small deliveries through both doors at once; nothing that the daemon holds may grow.

`python -m tests.bench.soak COUNT [SECONDS]`: COUNT deliveries, or as many as are acknowledged in
SECONDS, half by SFTP, half by FTP, six sessions a door. In twelve steps the daemon and its worker
are looked at; at the end every acknowledged delivery must be imported, and a line is laid through
the samples to tell what grows. Figures go to var/bench.jsonl; the exit status is 1 if any grew.
"""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.figures import percentile, record
from tests.bench.senders import Ftp, Sftp
from tests.clients import Account
from tests.daemon import MAIN_TOML, Daemon, make_home, make_key, sales
from tilldrop import hostkeys
from tilldrop.delivery import State
from tilldrop.ledger_reading import QUEUED

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from tests.bench.senders import Sender

ENDLESS = "[limits]\nmax_uploads_a_day = 0\n"  # no real customer sends so much in a day
FTP_TOML = '\n[ftp]\nenabled = true\nlisten = "127.0.0.1"\nport = 0\n'
SOAK_TOML = MAIN_TOML.replace("[limits]\n", ENDLESS) + FTP_TOML
SESSIONS_A_DOOR = 6  # so that commits are shared, as they are when customers are many
RECONNECT_EVERY = 500  # as customers come and go
NAMES = 20  # of each session, so that names are overwritten, and listings stay what they are
STEPS = 12
WARM_STEPS = 2  # caches fill, allocators find their size
LOOK_EVERY_S = 0.25
LOOKS = 10  # of which the least counts, at a process that has more for a moment
IMPORTS_A_SECOND_LEAST = 5  # the wait for the last import, on a busy machine
# How much a figure may be larger at the end of the line through its samples than at its
# beginning. Times depend on what else the machine does.
MOST_GROWTH = {
    "daemon_mb": 0.10,
    "worker_mb": 0.10,
    "descriptors": 0.10,
    "threads": 0.10,
    "ledger_bytes_each": 0.10,
    "audit_bytes_each": 0.10,
    "data_bytes_each": 0.10,
    "acknowledged_p50_ms": 0.50,
}
# The share of what a delivery leaves there that comes with its import: what waits is not yet whole.
LEFT_BY_IMPORT = {"ledger": 0.7, "audit": 0.5, "data": 1.0}


@dataclass(frozen=True, slots=True)
class Sample:
    """What the daemon and its worker hold after `done` deliveries.

    The times are of the uploads since the sample before, from opening to acknowledgement.
    waiting: acknowledged, but not imported yet. wal_mb: of all logs of the databases.
    """

    done: int
    waiting: int
    daemon_mb: float
    worker_mb: float
    descriptors: int
    threads: int
    ledger_mb: float
    audit_mb: float
    data_mb: float
    wal_mb: float
    acknowledged_p50_ms: float
    acknowledged_p99_ms: float

    def told(self) -> str:
        """Write one line."""
        return (
            f"{self.done:>7} deliveries, {self.waiting} waiting: daemon {self.daemon_mb:.0f} MB,"
            f" worker {self.worker_mb:.0f} MB, {self.descriptors} descriptors, {self.threads}"
            f" threads, ledger {self.ledger_mb:.1f} MB, audit {self.audit_mb:.1f} MB, data"
            f" {self.data_mb:.1f} MB, logs {self.wal_mb:.1f} MB; acknowledged in"
            f" {self.acknowledged_p50_ms:.1f} ms (p50), {self.acknowledged_p99_ms:.1f} ms (p99)"
        )


@dataclass(slots=True)
class Outcome:
    """What a soak came to. growth: figure -> share by which it grew.

    cpu_ms_each: who -> processor time of a delivery; the senders' is not the daemon's doing.
    """

    samples: list[Sample]
    deliveries: int
    rows: int
    seconds: float
    restarts: int
    growth: dict[str, float] = field(default_factory=dict)
    cpu_ms_each: dict[str, float] = field(default_factory=dict)

    def grown(self) -> list[str]:
        """Return the figures that grew more than they may."""
        return [name for name, share in self.growth.items() if share > MOST_GROWTH[name]]

    def verdict(self) -> str:
        """Write one line a figure."""
        return "\n".join(
            f"  {name}: {'GROWS' if name in self.grown() else 'flat'} ({share:+.1%}, at most"
            f" {MOST_GROWTH[name]:.0%})"
            for name, share in self.growth.items()
        )


@dataclass(slots=True)
class Progress:
    """The uploads acknowledged so far. ends_at: when no more is sent, `time.monotonic()`."""

    ends_at: float
    count: int = 0
    took_ms: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, began: float) -> None:
        """One more."""
        with self.lock:
            self.count += 1
            self.took_ms.append(1000 * (time.monotonic() - began))

    def take_times(self) -> list[float]:
        """Return how long those since the last call took."""
        with self.lock:
            taken, self.took_ms = self.took_ms, []
            return taken


def main(count: int, seconds: float) -> int:
    """Run the soak and record it; returns the exit status."""
    with tempfile.TemporaryDirectory(prefix="tilldrop-soak-") as name:
        folder = Path(name)
        hostkeys.ensure(folder / "keys")
        daemon = Daemon(make_home(folder / "home", folder / "keys", SOAK_TOML)).start()
        try:
            outcome = soak(daemon, count, seconds, told=True)
        finally:
            for refused in daemon.events("request.refused")[-3:]:
                sys.stderr.write(f"{refused}\n")
            daemon.stop()
    last = outcome.samples[-1]
    record(
        "soak",
        f"{outcome.deliveries} deliveries in {outcome.seconds:.0f} s, all imported,"
        f" {outcome.deliveries / outcome.seconds:.0f} a second; processor time of each in ms:"
        f" {outcome.cpu_ms_each}; the worker restarted {outcome.restarts} times; at last"
        f" {last.told().strip()}\n{outcome.verdict()}",
        deliveries=outcome.deliveries,
        seconds=round(outcome.seconds, 1),
        restarts=outcome.restarts,
        **{f"cpu_ms_{who}": took for who, took in outcome.cpu_ms_each.items()},
        **{f"last_{key}": getattr(last, key) for key in Sample.__slots__},
        **{f"growth_{key}": round(share, 4) for key, share in outcome.growth.items()},
    )
    return 1 if outcome.grown() else 0


def soak(daemon: Daemon, count: int, seconds: float = 1e9, *, told: bool = False) -> Outcome:
    """Deliver, wait for the last import, and judge. The daemon's home is of SOAK_TOML."""
    began, cpu_began = time.monotonic(), _cpu_ms(daemon)
    progress = Progress(began + seconds)
    ftp_port = int(daemon.status()["doors"]["ftp"]["port"])
    share = count // (2 * SESSIONS_A_DOOR)
    account = Account(daemon, key=make_key(daemon.home, "acme"))
    kinds: list[Callable[[], Sender]] = [
        lambda: Sftp(account),
        lambda: Ftp(account, ftp_port),
    ] * SESSIONS_A_DOOR

    async def send_all() -> None:
        async with asyncio.TaskGroup() as tasks:
            for number, kind in enumerate(kinds):
                tasks.create_task(_send(kind, number * share, share, progress))

    with ThreadPoolExecutor(1) as thread:
        sending = thread.submit(asyncio.run, send_all())
        samples = _samples(daemon, progress, share * len(kinds), sending, seconds, told=told)
        sending.result()
    assert progress.count == share * len(kinds) or seconds < time.monotonic() - began
    _wait_until_imported(daemon, progress.count)
    ((rows,),) = daemon.rows("SELECT count(*) FROM transactions")
    restarts = len(daemon.events("worker.started")) - 1
    outcome = Outcome(samples, progress.count, rows, time.monotonic() - began, restarts)
    outcome.growth = growth(samples)
    outcome.cpu_ms_each = {
        who: round((took - cpu_began[who]) / progress.count, 2)
        for who, took in _cpu_ms(daemon).items()
    }
    return outcome


def growth(samples: list[Sample]) -> dict[str, float]:
    """Lay a line through the samples of each figure; return by which share its end is higher."""
    warm = samples[WARM_STEPS - 1 :]
    done = [one.done for one in warm]
    found: dict[str, float] = {}
    for name in MOST_GROWTH:
        values = _values(warm, name)
        places = done[-len(values) :]
        if len(set(places)) < 2:
            continue
        slope, start = statistics.linear_regression(places, values)
        first, last = start + slope * places[0], start + slope * places[-1]
        found[name] = last / first - 1 if first > 0 else 0.0
    return found


def _values(samples: list[Sample], name: str) -> list[float]:
    """Return a figure of each sample; of what is kept of each delivery, from one to the next."""
    if not name.endswith("_bytes_each"):
        return [float(getattr(one, name)) for one in samples]
    kept = name.removesuffix("_bytes_each")
    steps = pairwise((one.done - LEFT_BY_IMPORT[kept] * one.waiting, one) for one in samples)
    return [
        1e6 * (getattr(after, f"{kept}_mb") - getattr(before, f"{kept}_mb")) / max(done - begun, 1)
        for (begun, before), (done, after) in steps
    ]


async def _send(kind: Callable[[], Sender], first: int, share: int, progress: Progress) -> None:
    """Upload a share of the files in one session after the other."""
    for start in range(first, first + share, RECONNECT_EVERY):
        async with kind() as sender:
            for number in range(start, min(start + RECONNECT_EVERY, first + share)):
                began = time.monotonic()
                if began > progress.ends_at:
                    return
                await sender.put(f"{first}-{number % NAMES}.csv", sales(number, 1).encode())
                progress.add(began)


def _samples(
    daemon: Daemon,
    progress: Progress,
    wanted: int,
    sending: Future[None],
    seconds: float,
    *,
    told: bool,
) -> list[Sample]:
    """Sample at equal shares of the deliveries, or of the time, whichever comes first."""
    taken = []
    began = time.monotonic()
    for step in range(1, STEPS + 1):
        while (
            progress.count < wanted * step // STEPS
            and time.monotonic() - began < seconds * step / STEPS
            and not sending.done()
        ):
            time.sleep(LOOK_EVERY_S)
        taken.append(_sample(daemon, progress))
        if told:
            sys.stdout.write(f"{taken[-1].told()}\n")
            sys.stdout.flush()
    return taken


def _sample(daemon: Daemon, progress: Progress) -> Sample:
    worker = daemon.worker_pid()
    done = progress.count
    times = progress.take_times() or [0.0]
    logs = daemon.paths.state.glob("*.db-wal")
    return Sample(
        done=done,
        waiting=_waiting(daemon),
        daemon_mb=_resident_mb(daemon.pid),
        worker_mb=_resident_mb(worker) if worker else 0.0,
        descriptors=_count(Path(f"/proc/{daemon.pid}/fd")),
        threads=_count(Path(f"/proc/{daemon.pid}/task")),
        ledger_mb=_megabytes(daemon.paths.ledger),
        audit_mb=_megabytes(daemon.paths.audit),
        data_mb=_megabytes(daemon.paths.data),
        wal_mb=sum(map(_megabytes, logs)),
        acknowledged_p50_ms=round(percentile(times, 0.50), 2),
        acknowledged_p99_ms=round(percentile(times, 0.99), 2),
    )


def _wait_until_imported(daemon: Daemon, wanted: int) -> None:
    deadline = time.monotonic() + 60 + wanted / IMPORTS_A_SECOND_LEAST
    while (waiting := _waiting(daemon)) and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)
    counts = daemon.ledger().count_by_state()
    assert counts == {State.IMPORTED: wanted}, f"of {wanted} acknowledged {waiting} wait: {counts}"


def _waiting(daemon: Daemon) -> int:
    """Count what is not imported yet. To count all of a million costs a second of a core."""
    [(waiting,)] = daemon.ledger().rows(f"SELECT count(*) FROM deliveries WHERE {QUEUED}")
    return int(waiting)


def _cpu_ms(daemon: Daemon) -> dict[str, float]:
    """Return what each has used of the processor so far."""
    own, ended = (
        resource.getrusage(resource.RUSAGE_SELF),
        resource.getrusage(resource.RUSAGE_CHILDREN),
    )
    used = {"senders": 1000 * sum((own.ru_utime, own.ru_stime, ended.ru_utime, ended.ru_stime))}
    for who, pid in (("daemon", daemon.pid), ("worker", daemon.worker_pid())):
        times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        used[who] = 1000 * sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
    return used


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir())


def _megabytes(path: Path) -> float:
    return path.stat().st_size / 1e6 if path.exists() else 0.0


def _resident_mb(pid: int) -> float:
    """Return the least of a few looks: a check of a password has 19 MB for some 20 ms."""
    looks = []
    for _ in range(LOOKS):
        looks.append(int(Path(f"/proc/{pid}/statm").read_text().split()[1]))
        time.sleep(LOOK_EVERY_S / LOOKS)
    return round(min(looks) * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


if __name__ == "__main__":
    given = [float(word) for word in sys.argv[1:]]
    sys.exit(main(int(given[0]) if given else 2_000, given[1] if len(given) > 1 else 1e9))
