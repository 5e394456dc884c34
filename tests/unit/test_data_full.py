"""A full disk beneath data.db: nothing is booked, it is said, and the job can be repeated."""

from __future__ import annotations

import errno
import os
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import duckdb
import pytest

from tests.unit.jobs import Place, sales
from tests.unit.spine import spine
from tests.unit.test_worker import child, patched
from tilldrop.config import ImporterSettings
from tilldrop.errors import BytesUnreadable, DataFull, DataUnavailable
from tilldrop.importer import databases, store_connection
from tilldrop.importer import run as run_module
from tilldrop.importer.supervisor import Supervisor
from tilldrop.importer.worker import Worker, run_job
from tilldrop.rows import Counts

if TYPE_CHECKING:
    from pathlib import Path

SMALL = "max_page_count = 60"  # pages: what SQLite says then is what it says on a full disk
MANY = 20_000


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.make(tmp_path)


def test_full_data_db_books_nothing_and_the_job_can_be_done_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = place.job(sales(MANY))
    with monkeypatch.context() as full:
        full.setattr(store_connection, "SETTINGS", (*store_connection.SETTINGS, SMALL))
        with pytest.raises(DataFull):
            run_job(job)
    assert place.booked() == 0
    assert run_job(job).counts == Counts(read=MANY, transactions=MANY, inserted=MANY)


def test_child_says_that_data_db_is_full_and_goes_on(place: Place) -> None:
    with child(place.lock, *patched(f"store_connection.SETTINGS += ('{SMALL}',)")) as one:
        one.hear()
        assert one.ask(place.job(sales(MANY))) == {"error": "data-full"}
        assert one.ask(place.job(sales(3), seq=2))["report"]["outcome"] == "imported"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        duckdb.IOException('IO Error: Could not write file "x": No space left on device'),
    ],
    ids=["temporary file", "quota", "spilled by the engine"],
)
def test_no_room_for_temporary_files_is_a_full_disk_too(
    place: Place, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: object) -> None:
        raise error

    job, worker = place.job(sales(3)), Worker()
    with monkeypatch.context() as full:
        full.setattr(run_module, "judge", refuse)
        with pytest.raises(DataFull):
            worker.run(job)
    assert worker.run(job).counts.inserted == 3
    worker.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_start_on_a_full_disk_is_tried_again(tmp_path: Path) -> None:
    mount = ("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path)
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("mount is not permitted here")
    try:
        (tmp_path.parent / "spine").mkdir()
        with spine(tmp_path.parent / "spine") as base:
            config = replace(base.config, paths=replace(base.config.paths, state=tmp_path))
        with pytest.raises(DataUnavailable) as full:
            databases.prepare(config)
        assert full.value.exit_code == 75  # which systemd does not take for the end
    finally:
        subprocess.run(("umount", tmp_path), check=True)


def test_another_error_of_the_disk_is_none(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(run_module, "judge", refuse)
    with pytest.raises(BytesUnreadable, match="Input/output"):
        run_job(place.job(sales(3)))


def test_supervisor_tells_a_full_disk_from_a_crash(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = Supervisor(place.lock, ImporterSettings())
    supervisor.start()
    try:
        pid = supervisor.pid
        child_of = supervisor._child
        assert child_of is not None
        with monkeypatch.context() as full:
            full.setattr(child_of, "ask", lambda *_: {"error": "data-full"})
            with pytest.raises(DataFull):
                supervisor.run(place.job(sales(3)))
        assert supervisor.run(place.job(sales(3))).counts.inserted == 3
        assert supervisor.pid == pid
    finally:
        supervisor.stop()
