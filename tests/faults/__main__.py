"""`make faults`: the long runs, part after part, each for its share of the time.

usage: python -m tests.faults [SECONDS] [SEED] [--part NAME]... [--jobs COUNT] [--write]

Writes what each part did; `--write` puts it into the table of figures in docs/promises.md, where
the rows of parts that did not run stay as they are. A part is a function in PARTS: it gets a
folder of its own, host keys, a seed and its seconds, and returns an Outcome.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.atlas import VAIN_MOST
from tests.faults.bed import small_host_keys
from tests.faults.course import Sweep, side_by_side
from tests.faults.error_sweep import ErrorSweep
from tests.faults.kill_sweep import KillSweep
from tests.faults.power import power
from tests.faults.scenes import SCENES, play
from tests.faults.verb_sweep import VerbSweep
from tilldrop import journal_lines

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 900.0
PROMISES = Path(__file__).parents[2] / "docs" / "promises.md"
FIGURES = re.compile(r"(<!-- figures -->\n)(.*?)(<!-- end of figures -->)", re.DOTALL)
HEAD = """\
| part | run | what was fired | uploads | promises broken |
|---|---|---|---|---|
"""
# Memory that acts as a disk: syncs cost nothing there, and a kill cannot tell the difference.
FAST_DISK = Path("/dev/shm")


@dataclass(slots=True)
class Outcome:
    """What one part did: cells of its row. complaints: promises broken."""

    fired: str
    uploads: str = ""
    complaints: list[str] = field(default_factory=list)
    more: list[str] = field(default_factory=list)  # for the terminal alone


@dataclass(frozen=True, slots=True)
class Order:
    """What a part is told. jobs: how many sweeps at a time."""

    folder: Path
    keys: Path
    seed: int
    seconds: float
    jobs: int


def kills(order: Order) -> Outcome:
    """kill -9 at each system call."""
    done = side_by_side(KillSweep, order.folder, order.keys, order.seed, order.seconds, order.jobs)
    at_start = sum(count for name, count in done.fired.items() if name.endswith(" at start"))
    return _told(done, f"{at_start} of them while starting again")


def kills_of_commands(order: Order) -> Outcome:
    """kill -9 of commands, and errors of their calls."""
    done = side_by_side(VerbSweep, order.folder, order.keys, order.seed, order.seconds, order.jobs)
    return _told(done, "each said again")


def errors(order: Order) -> Outcome:
    """Errors of system calls."""
    done = side_by_side(ErrorSweep, order.folder, order.keys, order.seed, order.seconds, order.jobs)
    kinds = sorted({name.rpartition(" ")[2] for name in done.fired})
    after = f"{done.ended} ends of the daemon, {done.restarts} restarts to put things right"
    return _told(done, f"{', '.join(kinds)}; {after}")


def power_loss(order: Order) -> Outcome:
    """Power that fails."""
    done = power(order.folder, order.keys, order.seed, order.seconds)
    return Outcome(done.told(), "", done.complaints)


def scenes(order: Order) -> Outcome:
    """Faults that last for a while: each scene at least once, then over again."""
    until = time.monotonic() + order.seconds
    fired, complaints = Counter[str](), list[str]()
    rounds = 0
    while rounds == 0 or (time.monotonic() < until and not complaints):
        for name in SCENES:
            scene = play(name, order.folder / f"{rounds}-{name.replace(' ', '-')}", order.keys)
            if scene is None:
                sys.stdout.write(f"{name}: skipped, this user may not mount a small disk\n")
                continue
            fired[name] += scene.fired
            complaints += [f"{name}: {complaint}" for complaint in scene.complaints]
        rounds += 1
    told = ", ".join(f"{name} met {count} times" for name, count in fired.items())
    return Outcome(f"{rounds} rounds: {told}", "", complaints)


# name -> its share of the time, and what it does.
PARTS: dict[str, tuple[float, Callable[[Order], Outcome]]] = {
    "kills": (0.4, kills),
    "kills and errors of commands": (0.05, kills_of_commands),
    "errors of system calls": (0.25, errors),
    "power loss": (0.2, power_loss),
    "faults that last": (0.1, scenes),
}


def _told(done: Sweep, aside: str) -> Outcome:
    reach = done.reach()
    calls = ", ".join(sorted({name.split()[1] for name in done.fired}))
    who = Counter[str]()
    for name, count in done.fired.items():
        who[name.split()[0]] += count
    ways = sorted(way for way, atlas in done.atlases.items() if atlas.passes)
    fired = (
        f"{done.fired.total()} in {done.tried} tries"
        f" ({', '.join(f'{name} {count}' for name, count in sorted(who.items()))}; {aside});"
        f" {reach.met} of {reach.always} places ({reach.given_up} of the others tried"
        f" {VAIN_MOST} times) and {reach.kinds_met} of {reach.kinds} kinds of call that every pass"
        f" of {', '.join(ways)} makes: {calls}"
    )
    missed = [
        f"not met, {way}, in {tries} tries: {place.kind} {place.number}"
        for way, atlas in done.atlases.items()
        for place, tries in atlas.missed()
        if tries
    ]
    uploads = f"{done.uploads}, {done.acknowledged} of them acknowledged, in {done.homes} homes"
    counts = [f"{name} {count}" for name, count in sorted(done.fired.items())]
    return Outcome(fired, uploads, done.complaints, [", ".join(counts), *missed])


# -- figures -------------------------------------------------------------------------------------


def write_figures(rows: dict[str, str], page: Path = PROMISES) -> None:
    """Put rows into the table of docs/promises.md; those of other parts stay."""
    text = page.read_text(encoding="utf-8")
    rows = {**figures(text), **rows}
    table = HEAD + "".join(f"{rows[name]}\n" for name in PARTS if name in rows)
    page.write_text(FIGURES.sub(lambda found: found[1] + table + found[3], text), encoding="utf-8")


def figures(text: str) -> dict[str, str]:
    """Return the rows of the table of figures, by part."""
    found = FIGURES.search(text)
    assert found is not None
    lines = [line for line in found[2].splitlines() if line + "\n" not in HEAD]
    return {line.split("|")[1].strip(): line for line in lines if line.startswith("| ")}


def as_row(name: str, outcome: Outcome, seconds: float, seed: int) -> str:
    """Write a row of the table."""
    day = datetime.now(UTC).date().isoformat()
    run = f"{day}, {seconds:.0f} s, seed {seed}, {os.cpu_count()} cores, {platform.system()}"
    cells = (name, run, outcome.fired, outcome.uploads or "", str(len(outcome.complaints)))
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Run the parts; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser("python -m tests.faults")
    parser.add_argument("seconds", type=float, nargs="?", default=SECONDS)
    parser.add_argument("seed", type=int, nargs="?", default=int(time.time()))
    parser.add_argument("--part", action="append", choices=list(PARTS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", action="store_true")
    told = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # else nobody clears away
    parts = {name: PARTS[name] for name in told.part or PARTS}
    whole = sum(share for share, _ in parts.values())
    place = str(FAST_DISK) if os.access(FAST_DISK, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="tilldrop-faults-", dir=place))
    journal_lines.configure("auto", "warning")
    rows, broken = {}, False
    try:
        keys = small_host_keys(folder / "keys")
        for name, (share, part) in parts.items():
            seconds = told.seconds * share / whole
            order = Order(folder / name.replace(" ", "-"), keys, told.seed, seconds, told.jobs)
            outcome = part(order)
            rows[name] = as_row(name, outcome, seconds, told.seed)
            sys.stdout.write("\n".join((rows[name], *outcome.more, *outcome.complaints, "")))
            broken = broken or bool(outcome.complaints)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if told.write:
        write_figures(rows)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
