"""One target under the coverage-guided engine: `python -m tests.fuzz.guided TARGET FOUND FLAG...`.

Owns the engine (Atheris, on libFuzzer), which traces every branch of `tilldrop`. FOUND: the folder
for what it finds; the flags are libFuzzer's. It is started by `python -m tests.fuzz`, which keeps
the corpus and reads the figures. Ends at the first finding. Never part of `make test`.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import atheris

with atheris.instrument_imports(include=["tilldrop"]):
    from tests.fuzz.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fuzz.target import Target

OWN_SHARE = 0.7  # of the mutations; the engine knows what moved a comparison, the target its form
MEMORY = Path("/dev/shm")  # targets sync what they write, which is not what is looked for here


def main(words: list[str]) -> None:
    """Run until the time is over or something is found."""
    target = TARGETS[words[0]]
    home = MEMORY if MEMORY.is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="tilldrop-fuzz-", dir=home) as folder,
        target.begin(Path(folder)) as one,
    ):
        flags = [sys.argv[0], *words[2:]]
        tried = keeping(one, Path(words[1]))
        if target.mutate is None:
            atheris.Setup(flags, tried)
        else:
            atheris.Setup(flags, tried, custom_mutator=mutator(target))
        atheris.Fuzz()


def keeping(one: Callable[[bytes], None], found: Path) -> Callable[[bytes], None]:
    """Return what keeps the input that raises something, and ends there.

    The engine does so too, if threads and destructors let the interpreter come to its end.
    """

    def tried(raw: bytes) -> None:
        try:
            one(raw)
        except BaseException:  # noqa: BLE001  all that a target raises is a finding
            traceback.print_exc()
            sys.stderr.flush()
            name = hashlib.sha256(raw).hexdigest()[:24]
            (found / f"crash-{name}").write_bytes(raw)
            os._exit(1)

    return tried


def mutator(target: Target) -> object:
    """Return what makes the next input of a known one."""

    def mutate(raw: bytes, most_bytes: int, seed: int) -> bytes:
        dice = random.Random(seed)
        assert target.mutate is not None
        if dice.random() < OWN_SHARE:
            for _ in range(dice.choice((1, 1, 2, 3, 6))):
                raw = target.mutate(dice, raw)
            return raw[:most_bytes]
        found: bytes = atheris.Mutate(raw, most_bytes)
        return found

    return mutate


if __name__ == "__main__":
    main(sys.argv[1:])
