"""No error of a system call loses, doubles or breaks an upload, and none stops the daemon for good.

The short sweep of `make test`; `make faults` runs the long one. The same harness must catch each
planted bug, else its silence would mean nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.bed import small_host_keys
from tests.faults.error_sweep import ErrorSweep
from tests.faults.tracer import CAN_TRACE, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SWEEP_S = 10.0
SWEEP_MOST_S = 90.0  # on a machine busy with other tests
SWEEP_SEED = 20260314
INJECTED_AT_LEAST = 5  # alone about 20 within SWEEP_S

pytestmark = pytest.mark.xdist_group("faults")


@pytest.fixture
def make_sweep(tmp_path: Path) -> Iterator[Callable[[str], ErrorSweep]]:
    """Sweeps by a planted bug, whose daemons are gone when the test is over."""
    if not CAN_TRACE:
        pytest.skip("the tracer knows the registers of x86-64 alone")
    made: list[ErrorSweep] = []
    keys = small_host_keys(tmp_path / "keys")

    def make(bug: str) -> ErrorSweep:
        made.append(ErrorSweep(tmp_path / bug, keys, SWEEP_SEED, (), bug))
        return made[-1]

    yield make
    for sweep in made:
        sweep.close()


def test_no_error_of_a_system_call_loses_or_doubles_an_upload(
    make_sweep: Callable[[str], ErrorSweep],
) -> None:
    sweep = make_sweep("none")
    began = time.monotonic()
    done = sweep.run(began + SWEEP_S, passes=1)
    while done.fired.total() < INJECTED_AT_LEAST and time.monotonic() < began + SWEEP_MOST_S:
        sweep.attempt()
    assert done.complaints == [], done.told()
    assert done.fired.total() >= INJECTED_AT_LEAST, done.told()


@pytest.mark.parametrize(
    ("bug", "file", "said"),
    [
        ("sync-error-ignored", "receiving/*", "was acknowledged, and this failed: "),
        ("commit-error-ignored", "ledger.db-wal", "was acknowledged and is in the ledger 0 times"),
    ],
)
def test_sweep_catches_an_error_that_is_ignored(
    make_sweep: Callable[[str], ErrorSweep], bug: str, file: str, said: str
) -> None:
    sweep = make_sweep(bug)
    for number in range(1, 10):
        place = Place("daemon", "fsync", file, number)
        sweep.attempt_at(sweep.ready_bed(), "sftp", place, "EIO")
        if any(said in complaint for complaint in sweep.done.complaints):
            return
    pytest.fail(f"{sweep.done.told()} {sweep.done.complaints}")


def test_ledger_that_could_not_be_read_once_is_not_taken_for_damaged(
    make_sweep: Callable[[str], ErrorSweep],
) -> None:
    """SQLite calls it damage when the disk fails to give a page."""
    sweep = make_sweep("none")
    bed = sweep.ready_bed()
    for number in range(12, 20):
        place = Place("daemon", "pread64", "ledger.db-wal", number)
        sweep.attempt_at(bed, "sftp", place, "EIO")
    assert sweep.done.complaints == []
    assert sweep.done.fired.total() > 0
    assert "database-damaged" not in bed.daemon.log.read_text()


def test_file_that_the_disk_does_not_give_once_counts_as_no_crash(
    make_sweep: Callable[[str], ErrorSweep],
) -> None:
    """Its third crash would leave it to an operator, and it is not the file's fault."""
    sweep = make_sweep("none")
    bed = sweep.ready_bed()
    for call in ("openat", "read"):
        sweep.attempt_at(bed, "folder", Place("worker", call, "arrived/*", 1), "EIO")
    assert sweep.done.complaints == []
    assert sweep.done.fired.total() == 2
    assert bed.daemon.events("worker.failed") == []
    assert all(one.attempts == 0 for one in bed.daemon.deliveries())
    assert [event["why"] for event in bed.daemon.events("import.put_off")] == [
        "the system does not give the file's bytes; look at its disk"
    ] * 2
