"""Nothing that was acknowledged is lost when the power goes.

The short run of `make test`; `make faults` makes hundreds of images. The same harness must catch
each planted bug, else its silence would mean nothing.
"""

from __future__ import annotations

import random
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.faults import power_disk
from tests.faults.bed import small_host_keys
from tests.faults.power import Cutter, PowerRun, about_files
from tests.faults.power_device import ENTRY, FLUSH, WRITE
from tests.faults.power_disk import crash_image
from tests.faults.power_recording import Recording, Written, record
from tests.faults.warm import Warm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEED = 20260314
UPLOADS = 3  # by each door
SECTOR = power_disk.SECTOR_BYTES

pytestmark = pytest.mark.xdist_group("faults")


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    """A launcher: the daemon starts in a third of the time."""
    with closing(Warm()) as launcher:
        yield launcher


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_host_keys(tmp_path_factory.mktemp("small") / "keys")


def recording_of(folder: Path, keys: Path, warm: Warm, bug: str = "none") -> Recording:
    """Record a short life, or skip."""
    made = record(folder / "recording", keys, UPLOADS, bug, "", warm, long=False)
    if made is None:
        pytest.skip("this user may not mount a disk of its own (FUSE, a loop device, mkfs.ext4)")
    assert len(made.acknowledged) == 2 * UPLOADS
    return made


def test_power_loss_at_an_answer_and_in_the_start_after_it_loses_nothing(
    tmp_path: Path, keys: Path, warm: Warm
) -> None:
    recording = recording_of(tmp_path, keys, warm)
    run = PowerRun()
    cutter = Cutter(recording, tmp_path, random.Random(SEED), run, warm)
    cutter.attempt(max(recording.acknowledged.values()), again=True)
    assert run.complaints == []
    assert (run.images, run.again, run.unmounted) == (2, 1, 0)
    assert run.answers > UPLOADS


@pytest.mark.parametrize(
    ("bug", "said"),
    [
        ("never-synced", "the bytes kept are not the bytes sent"),
        ("ledger-never-synced", "ledger.db knows no delivery, and"),
    ],
)
def test_power_loss_shows_what_was_never_synced(
    tmp_path: Path, keys: Path, warm: Warm, bug: str, said: str
) -> None:
    recording = recording_of(tmp_path, keys, warm, bug)
    run = PowerRun()
    cutter = Cutter(recording, tmp_path, random.Random(SEED), run, warm)
    cutter.attempt(max(recording.acknowledged.values()), again=False)
    assert any(said in complaint for complaint in run.complaints), run.told()


# -- the disk ----------------------------------------------------------------------------------


def log_of(*steps: tuple[int, bytes] | None) -> bytes:
    """Write a log: (sector, bytes) is a write, None a flush."""
    text = b""
    for step in steps:
        if step is None:
            text += ENTRY.pack(FLUSH, 0, 0)
        else:
            sector, content = step
            text += ENTRY.pack(WRITE, sector * SECTOR, len(content)) + content
    return text


def images(folder: Path, text: bytes, at: int | None = None, tries: int = 60) -> set[bytes]:
    """Return what may be on a disk of four sectors after a power loss there."""
    (folder / "image").write_bytes(b"." * 4 * SECTOR)
    (folder / "log").write_bytes(text)
    found = set()
    for seed in range(tries):
        target = folder / "crashed"
        place = len(text) if at is None else at
        crash_image(folder / "image", folder / "log", place, random.Random(seed), target)
        content = target.read_bytes()
        found.add(bytes(content[start] for start in range(0, len(content), SECTOR)))
    return found


A, B, AB = b"a" * SECTOR, b"b" * SECTOR, b"a" * SECTOR + b"b" * SECTOR


def test_flushed_write_is_always_there(tmp_path: Path) -> None:
    assert images(tmp_path, log_of((0, A), None)) == {b"a..."}


def test_write_behind_the_last_flush_is_there_or_not_or_in_part(tmp_path: Path) -> None:
    found = images(tmp_path, log_of((0, A), None, (2, AB)))
    assert found == {b"a...", b"a.ab", b"a.a.", b"a..b"}


def test_later_write_may_be_there_without_an_earlier_one(tmp_path: Path) -> None:
    found = images(tmp_path, log_of((0, A), (1, B)))
    assert b".b.." in found


def test_nothing_is_there_that_came_after_the_power_went(tmp_path: Path) -> None:
    text = log_of((0, A), None, (1, B), None)
    assert images(tmp_path, text, len(log_of((0, A), None))) == {b"a..."}
    assert images(tmp_path, text, len(text) - 1) == {b"a...", b"ab.."}  # no flush yet


# -- what commands write -----------------------------------------------------------------------


def test_file_must_be_as_the_last_answered_command_or_a_later_one_left_it(tmp_path: Path) -> None:
    recording = Recording(tmp_path, tmp_path, 0, 100)
    recording.written = [
        Written("customer add", 10, {"a": b"first"}),
        Written("customer disable", 20, {"a": b"second"}),
        Written("customer remove", 30, {"a": None}),
    ]

    def is_fine(at: int, there: dict[str, bytes]) -> bool:
        return list(about_files(recording, at, there)) == []

    assert is_fine(5, {})
    assert is_fine(10, {"a": b"first"})
    assert is_fine(10, {"a": b"second"})
    assert not is_fine(10, {"a": b"fir"})
    assert not is_fine(20, {"a": b"first"})
    assert is_fine(20, {})
    assert not is_fine(30, {"a": b"second"})
