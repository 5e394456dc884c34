"""`make faults`: the long runs, one after the other, each for its share of the time.

usage: python -m tests.faults [SECONDS] [SEED]. Writes a line per part; `--write` puts them into
the marked place of docs/promises.md.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.error_sweep import ERROR_TOML, error_sweep
from tests.faults.kill_sweep import Bed, sweep
from tests.faults.scenes import SCENES, play
from tilldrop import hostkeys, journal

SECONDS = 900.0
SHARE_OF_KILLS, SHARE_OF_ERRORS = 0.5, 0.35  # the rest: scenes, over and over
PROMISES = Path(__file__).parents[2] / "docs" / "promises.md"
FIGURES = re.compile(r"(<!-- figures -->\n).*?(<!-- end of figures -->)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Part:
    """What one part did. complaints: promises broken."""

    name: str
    told: str
    complaints: list[str]


def kills(folder: Path, keys: Path, seed: int, seconds: float) -> Part:
    """kill -9 at each system call."""
    bed = Bed(folder, keys)
    try:
        done = sweep(bed, seed, time.monotonic() + seconds)
    finally:
        bed.daemon.kill()
    return Part("kills", done.told(), done.complaints)


def errors(folder: Path, keys: Path, seed: int, seconds: float) -> Part:
    """Errors of system calls."""
    bed = Bed(folder, keys, "none", ERROR_TOML)
    try:
        done = error_sweep(bed, seed, time.monotonic() + seconds)
    finally:
        bed.daemon.kill()
    return Part("errors of system calls", done.told(), done.complaints)


def scenes(folder: Path, keys: Path, seconds: float) -> Part:
    """Faults that last for a while: each scene at least once, then over again."""
    until = time.monotonic() + seconds
    played, fired, complaints = Counter[str](), Counter[str](), list[str]()
    rounds = 0
    while rounds == 0 or (time.monotonic() < until and not complaints):
        for name in SCENES:
            scene = play(name, folder / f"{rounds}-{name.replace(' ', '-')}", keys)
            if scene is None:
                sys.stdout.write(f"{name}: skipped, this user may not mount a small disk\n")
                continue
            played[name] += 1
            fired[name] += scene.fired
            complaints += [f"{name}: {complaint}" for complaint in scene.complaints]
        rounds += 1
    told = ", ".join(f"{name} {played[name]} times, met {fired[name]} times" for name in played)
    return Part("faults that last", f"{told}; {len(complaints)} complaints", complaints)


def write_figures(parts: list[Part], seconds: float, seed: int) -> None:
    """Put the figures into docs/promises.md."""
    day = datetime.now(UTC).date().isoformat()
    lines = [f"Run of {day}, {seconds:g} s, seed {seed}:\n"]
    lines += [f"- {part.name}: {part.told}" for part in parts]
    figures = "\n".join(lines)
    text = PROMISES.read_text(encoding="utf-8")
    PROMISES.write_text(FIGURES.sub(lambda f: f"{f[1]}{figures}\n{f[2]}", text), encoding="utf-8")


def main(words: list[str]) -> int:
    """Run all parts; return 1 if a promise was broken."""
    numbers = [word for word in words if word != "--write"]
    seconds = float(numbers[0]) if numbers else SECONDS
    seed = int(numbers[1]) if len(numbers) > 1 else int(time.time())
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tilldrop-faults-") as name:
        folder = Path(name)
        keys = folder / "keys"
        journal.configure("auto", "warning")
        hostkeys.ensure(keys)
        parts = [
            kills(folder / "kills", keys, seed, seconds * SHARE_OF_KILLS),
            errors(folder / "errors", keys, seed, seconds * SHARE_OF_ERRORS),
        ]
        left_s = began + seconds - time.monotonic()
        parts.append(scenes(folder / "scenes", keys, left_s))
    for part in parts:
        sys.stdout.write(f"{part.name}: {part.told}\n")
        sys.stdout.writelines(f"  {complaint}\n" for complaint in part.complaints)
    sys.stdout.write(f"seed {seed}\n")
    if "--write" in words:
        write_figures(parts, seconds, seed)
    return int(any(part.complaints for part in parts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
