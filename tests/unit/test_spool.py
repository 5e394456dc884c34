from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tilldrop.errors import SpoolFailed, SpoolFull, SpoolSplit
from tilldrop.spool import Spool

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", reserve_bytes=0)


def fill(spool: Spool, delivery_id: str, content: bytes = b"bytes") -> None:
    descriptor = spool.open_new(delivery_id)
    os.write(descriptor, content)
    os.close(descriptor)


def test_a_file_goes_from_receiving_to_arrived_to_kept_and_back(spool: Spool) -> None:
    fill(spool, "d1")
    spool.accept("d1")
    assert spool.is_arrived("d1")
    spool.keep("d1")
    assert not spool.is_arrived("d1")
    spool.return_to_arrived("d1")
    assert spool.path_of("d1") == spool.path_arrived("d1")


def test_a_move_that_was_done_may_be_done_again(spool: Spool) -> None:
    fill(spool, "d1")
    spool.accept("d1")
    spool.accept("d1")
    assert spool.is_arrived("d1")


def test_missing_bytes_are_said(spool: Spool) -> None:
    with pytest.raises(SpoolFailed, match="bytes of d1 are missing"):
        spool.accept("d1")


def test_files_are_private(spool: Spool) -> None:
    fill(spool, "d1")
    assert (spool.receiving / "d1").stat().st_mode & 0o777 == 0o600
    assert spool.receiving.stat().st_mode & 0o777 == 0o700


def test_an_id_is_never_used_twice(spool: Spool) -> None:
    fill(spool, "d1")
    with pytest.raises(SpoolFailed):
        spool.open_new("d1")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_folder_that_is_a_mount_of_its_own_is_refused(tmp_path: Path) -> None:
    arrived = Spool(tmp_path / "spool", reserve_bytes=0).arrived
    mounted = subprocess.run(("mount", "--bind", arrived, arrived), check=False)
    if mounted.returncode:
        pytest.skip("mount is not permitted here")
    try:
        with pytest.raises(SpoolSplit):
            Spool(tmp_path / "spool", reserve_bytes=0)
    finally:
        subprocess.run(("umount", arrived), check=True)


def test_the_reserve_is_not_used_up(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path)
    spool = Spool(tmp_path / "spool", reserve_bytes=free.f_bavail * free.f_frsize * 2)
    with pytest.raises(SpoolFull):
        spool.check_room()


def test_a_copy_has_the_same_bytes(spool: Spool) -> None:
    fill(spool, "old", b"x" * 100_000)
    spool.accept("old")
    descriptor = spool.open_new("new")
    with pytest.raises(SpoolFailed):
        spool.copy_into("new-never-used", descriptor)
    assert spool.copy_into("old", descriptor) == 100_000
    os.close(descriptor)
    assert (spool.receiving / "new").read_bytes() == b"x" * 100_000
