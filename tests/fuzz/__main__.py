"""The coverage-guided fuzzer: `python -m tests.fuzz [SECONDS [TARGET...]]`, or `make fuzz`.

Owns the corpus below `.fuzz/`, which survives: what a run learned is where the next begins. Each
target has a process of its own, one after the other, and SECONDS for itself. A finding ends its
target, is named with the command that repeats it, and makes the exit status 1. `--again TARGET
FILE` runs one input without the engine, and shows the traceback.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fuzz.target import cases
from tests.fuzz.targets import TARGETS

if TYPE_CHECKING:
    from tests.fuzz.target import Target

KEPT = Path(".fuzz")
SECONDS = 600
MEMORY_MB = 2048
GRACE_S = 300  # to read what is in the corpus already
_FIGURES = {
    "executions": re.compile(r"(?:^#|_executed_units: +)(\d+)", re.MULTILINE),
    "edges": re.compile(r" cov: (\d+) "),
    "memory_mb": re.compile(r"(?:peak_rss_mb: +| rss: )(\d+)"),
}


@dataclass(frozen=True)
class Ran:
    """How a target's run went. found: inputs that it did not stand."""

    name: str
    executions: int
    edges: int
    memory_mb: int
    corpus: int
    found: tuple[Path, ...]

    def told(self) -> str:
        """Return a line of the table."""
        return (
            f"{self.name:<12}{self.executions:>12,}{self.edges:>8,}{self.corpus:>9,}"
            f"{self.memory_mb:>7,} MB  {len(self.found) or '-'}"
        )


def run(target: Target, seconds: int) -> Ran:
    """Run a target in a process of its own."""
    folder = KEPT / target.name
    corpus, found = folder / "corpus", folder / "found"
    for each in (corpus, found):
        each.mkdir(parents=True, exist_ok=True)
    _plant(target, corpus)
    before = set(found.iterdir())
    flags = (
        *(str(corpus), f"-artifact_prefix={found}/", f"-max_total_time={seconds}"),
        *(f"-max_len={target.most_bytes}", f"-timeout={target.within_s}"),
        *(f"-rss_limit_mb={MEMORY_MB}", "-print_final_stats=1", "-len_control=0"),
    )
    command = [sys.executable, "-m", "tests.fuzz.guided", target.name, str(found), *flags]
    log = folder / "log"
    with log.open("wb") as file:
        ended = subprocess.run(
            command, stdout=file, stderr=file, timeout=seconds + GRACE_S, check=False
        )
    said = log.read_text(errors="replace")
    new = sorted(set(found.iterdir()) - before)
    if ended.returncode and not new:
        new = [log]
    figures = {name: _last(pattern, said) for name, pattern in _FIGURES.items()}
    return Ran(target.name, **figures, corpus=len(list(corpus.iterdir())), found=tuple(new))


def _plant(target: Target, corpus: Path) -> None:
    """Put the seeds, and what was found before, into the corpus."""
    for seed in (*target.seeds(), *cases(target.name).values()):
        name = hashlib.sha256(seed).hexdigest()[:24]
        (corpus / name).write_bytes(seed[: target.most_bytes])


def _last(pattern: re.Pattern[str], said: str) -> int:
    found = pattern.findall(said)
    return int(found[-1]) if found else 0


def again(name: str, file: Path) -> None:
    """Run one input; whatever it raises is raised."""
    with (
        tempfile.TemporaryDirectory(prefix="tilldrop-fuzz-") as folder,
        TARGETS[name].begin(Path(folder)) as one,
    ):
        one(file.read_bytes())


def main(words: list[str]) -> int:
    """Run the targets that were named, or all. Returns the exit status."""
    if words[:1] == ["--again"]:
        again(words[1], Path(words[2]))
        return 0
    if find_spec("atheris") is None:
        sys.stderr.write("The fuzzer needs Atheris: pip install --group fuzz\n")
        return 2
    seconds = int(words[0]) if words else SECONDS
    sys.stdout.write(f"{'target':<12}{'executions':>12}{'edges':>8}{'corpus':>9}{'memory':>10}\n")
    status = 0
    for name in words[1:] or TARGETS:
        ran = run(TARGETS[name], seconds)
        sys.stdout.write(ran.told() + "\n")
        for file in ran.found:
            sys.stdout.write(f"  found: python -m tests.fuzz --again {name} {file}\n")
            status = 1
        sys.stdout.flush()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
