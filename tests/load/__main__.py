"""`make load`: everything at once against one daemon, and what becomes of a legitimate login.

usage: python -m tests.load [--sessions N] [--uploads N] [--guesses A-SECOND] [--bulk-mb N]
[--rows N] [--strangers A-SECOND] [--seconds N] [--fair]; 0 leaves a part out. Ends with 1 if
anything that was acknowledged is missing or there twice. Load and daemon share the machine: the
load is niced, and what it takes of the processors is told.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.figures import percentile, record
from tests.daemon import Daemon, sales, wait_for
from tests.load import fairness
from tests.load.accounts import Acknowledged, complaints
from tests.load.bed import Bulk, Running, Watching, cpu_s, descriptors, lay_out, names
from tilldrop import control, hostkeys

if TYPE_CHECKING:
    from collections.abc import Callable

CUSTOMERS = 60
PROBE_ADDRESS = "127.0.99.1"
GUESSES_FROM = 250
STRANGERS_FROM = 5000
UPLOAD_TAKES_S = 8.0
PENALTIES_BITE_AFTER_S = 10.0
BULK_WITHIN_S = 600.0
IDLE_WITHIN_S = 1200.0
SPARE_DESCRIPTORS = 48  # each of up to 14 threads that read the ledger keeps up to three
BULKY, MILLION = "c1", "c2"  # customers who send nothing else


@dataclass(slots=True)
class Outcome:
    """What a run came to. logins: way -> milliseconds, -1 for one that failed."""

    seconds: float = 0.0
    logins: dict[str, list[float]] = field(default_factory=dict)
    said: dict[str, dict[str, Any]] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    acknowledged: Acknowledged = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


def run(
    daemon: Daemon,
    wanted: argparse.Namespace,
    folder: Path,
    until: Callable[[], object] = lambda: True,
) -> Outcome:
    """Put the load on a daemon that runs, take it off again, and look what is there.

    until: what has to be seen, besides, before it is taken off.
    """
    base = descriptors(daemon.pid)
    outcome = Outcome()
    with ExitStack() as stack, Watching(daemon) as watching:
        began, cpu_before = time.monotonic(), cpu_s(daemon.pid)
        bulk, parts = _begin(daemon, wanted, folder, stack)
        _wait(wanted, bulk)
        wait_for("what the load is to bring about", until, BULK_WITHIN_S)
        outcome.figures["loop"] = daemon.status()["loop"]
        penalties = control.ask(daemon.paths, "guard-list")["penalties"]
        outcome.figures["sources_shut_out"] = sum(one["is_refused"] for one in penalties)
        for running in reversed(parts):
            outcome.said |= running.end()
        outcome.seconds = time.monotonic() - began
        outcome.figures["daemon_cpu_s"] = round(cpu_s(daemon.pid) - cpu_before, 1)
        daemon.wait_until_idle(IDLE_WITHIN_S)
        outcome.figures["idle_after_s"] = round(time.monotonic() - began - outcome.seconds, 1)
    _judge(daemon, wanted, outcome)
    peaks = watching.peaks
    outcome.figures |= {
        "daemon_mb": peaks.daemon_mb,
        "worker_mb": peaks.worker_mb,
        "descriptors_most": peaks.descriptors,
        "descriptors_before": base,
        "descriptors_after": _settled_descriptors(daemon, base),
        "loop_in_all": daemon.status()["loop"],
    }
    return outcome


def _begin(
    daemon: Daemon, wanted: argparse.Namespace, folder: Path, stack: ExitStack
) -> tuple[list[Bulk], list[Running]]:
    """Start the parts that are wanted, those who have no business here last."""
    doors = daemon.status()["doors"]
    order: dict[str, Any] = {
        "sftp": doors["sftp"]["port"],
        "ftp": doors["ftp"]["port"],
        "key": str(daemon.home / "c0-ed25519"),
        "customers": names(wanted.customers)[3:],
    }
    running: list[Running] = []

    def begin(*orders: tuple[str, dict[str, Any]]) -> None:
        asked = [(part, order | told) for part, told in orders if told.get("count", told)]
        # Apart, so that none is held up by another; together where that costs too much.
        for group in [asked] if wanted.together else [[one] for one in asked]:
            running.append(Running(*group))
            stack.callback(running[-1].kill)
            running[-1].wait_until_ready()

    begin(
        ("sessions", {"count": wanted.sessions}),
        ("uploads", {"count": wanted.uploads, "takes_s": wanted.upload_s}),
    )
    bulk = _begin_bulk(daemon, wanted, folder, stack)
    begin(
        ("probe", {"every_s": wanted.probe_s, "source": PROBE_ADDRESS, "customers": ["c0"]}),
        ("guesses", {"count": wanted.guesses, "sources": wanted.guess_sources}),
        ("strangers", {"count": wanted.strangers, "sources": STRANGERS_FROM}),
    )
    return bulk, running


def _begin_bulk(
    daemon: Daemon, wanted: argparse.Namespace, folder: Path, stack: ExitStack
) -> list[Bulk]:
    """Start the large upload, and the one whose rows are many."""
    files: dict[str, Path] = {}
    if wanted.bulk_mb:
        files[BULKY] = folder / "large.bin"
        with files[BULKY].open("wb") as file:
            file.truncate(wanted.bulk_mb * 1024**2)
    if wanted.rows:
        files[MILLION] = folder / "million.csv"
        files[MILLION].write_text(sales(0, wanted.rows, "million"))
    before = daemon.status()["doors"]["sftp"]["sessions"]
    found = [Bulk(daemon, customer, path) for customer, path in files.items()]
    for bulk in found:
        stack.callback(bulk.kill)

    def are_in() -> bool:
        are_over = not any(bulk.is_under_way() for bulk in found)
        return are_over or daemon.status()["doors"]["sftp"]["sessions"] >= before + len(found)

    wait_for("the bulk uploads to be in", are_in)
    return found


def _wait(wanted: argparse.Namespace, bulk: list[Bulk]) -> None:
    """Wait for the time that is wanted, and for the bulk uploads."""
    began = time.monotonic()
    for one in bulk:
        one.wait(BULK_WITHIN_S)
    if (took_s := time.monotonic() - began) < wanted.seconds:
        time.sleep(wanted.seconds - took_s)


def _judge(daemon: Daemon, wanted: argparse.Namespace, outcome: Outcome) -> None:
    """Fill in what clients saw, and whether everything is there."""
    sent = outcome.said.get("uploads", {})
    outcome.acknowledged = [tuple(each) for each in sent.get("acknowledged", [])]
    if wanted.rows:
        outcome.acknowledged.append((MILLION, "million.csv", "million", wanted.rows))
    outcome.complaints += complaints(daemon, outcome.acknowledged)
    outcome.complaints += [f"an upload failed: {text}" for text in sent.get("failed", [])]
    if wanted.bulk_mb:
        (large,) = daemon.deliveries("large.bin", BULKY)
        if large.size_bytes != wanted.bulk_mb * 1024**2:
            outcome.complaints.append(f"the large upload has {large.size_bytes} bytes")
    for way, at_s, took_ms in outcome.said["probe"]["logins"]:
        if at_s >= wanted.bite_s:
            outcome.logins.setdefault(way, []).append(took_ms)


def _settled_descriptors(daemon: Daemon, base: int) -> int:
    """Return how many descriptors are open once those of the sessions are closed."""
    found = 0

    def settled() -> bool:
        nonlocal found
        found = descriptors(daemon.pid)
        return found <= base + SPARE_DESCRIPTORS

    try:
        wait_for("descriptors to be closed", settled, 30)
    except AssertionError:
        return found
    return found


def tell(outcome: Outcome) -> str:
    """Say it in lines."""
    lines = [f"{outcome.seconds:.0f} s of load; {len(outcome.acknowledged)} uploads acknowledged"]
    for way, took in outcome.logins.items():
        good = [ms for ms in took if ms >= 0] or [0.0]
        lines.append(
            f"login by {way}: {len(took)} times, {len(took) - len(good)} failed,"
            f" p50 {percentile(good, 0.5):.0f} ms, p99 {percentile(good, 0.99):.0f} ms,"
            f" longest {max(good):.0f} ms"
        )
    for part, said in outcome.said.items():
        kept = {
            key: value if not isinstance(value, list) else value[:3]
            for key, value in said.items()
            if key not in ("acknowledged", "logins")
        }
        lines.append(f"{part}: {kept}")
    lines += [f"{name}: {figure}" for name, figure in outcome.figures.items()]
    return "\n".join(lines + [f"COMPLAINT: {each}" for each in outcome.complaints[:20]])


def arguments(words: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.load")
    for name, most in (
        *(("sessions", 1000), ("uploads", 200), ("guesses", 100), ("bulk-mb", 2048)),
        *(("rows", 1_000_000), ("strangers", 0), ("customers", CUSTOMERS)),
        ("guess-sources", GUESSES_FROM),
    ):
        parser.add_argument(f"--{name}", type=int, default=most)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--upload-s", type=float, default=UPLOAD_TAKES_S)
    parser.add_argument("--probe-s", type=float, default=0.5)
    parser.add_argument("--bite-s", type=float, default=PENALTIES_BITE_AFTER_S)
    parser.add_argument("--together", action="store_true", help="few processes for the load")
    parser.add_argument("--fair", action="store_true", help="measure fair sharing alone")
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    """Run it; return 1 if something was lost."""
    wanted = arguments(words)
    with tempfile.TemporaryDirectory(prefix="tilldrop-load-") as name:
        folder = Path(name)
        hostkeys.ensure(folder / "keys")
        daemon = lay_out(folder, folder / "keys", wanted.customers).start()
        try:
            if wanted.fair:
                fairness.measure(daemon, folder)
                return 0
            outcome = run(daemon, wanted, folder)
        finally:
            daemon.stop()
    sys.stdout.write(tell(outcome) + "\n")
    record("load", f"{len(outcome.complaints)} complaints", **vars(wanted), **outcome.figures)
    return int(bool(outcome.complaints))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
