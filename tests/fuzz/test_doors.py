"""A few seconds of fuzzing both doors; `python -m tests.fuzz.doors SECONDS` takes longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz.doors import daemon_in, fuzz

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 1  # behind one turn of each sort
SEED = 20260314


def test_no_rubbish_makes_a_door_fail(tmp_path: Path) -> None:
    with daemon_in(tmp_path) as daemon:
        done = fuzz(daemon, SECONDS, SEED)
    assert len(done) == 8, done
