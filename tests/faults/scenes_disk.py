"""Scenes of a disk that is slow, that fails, and that is read-only beneath open databases.

Each lies on a real ext4: whether a device lingers with every write and flush, or the file system
goes read-only with all files open, is the kernel's doing. None where this user may not mount.
"""

from __future__ import annotations

import ftplib
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.clients import HOST, Account, Paramiko
from tests.daemon import PASSWORD, wait_for
from tests.faults.bed import Bed
from tests.faults.power_disk import make_image, recorded
from tests.faults.scene import SCENE_TOML, SETTLE_S, Scene, held, locked, settle, upload
from tests.faults.strace import traced

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.power_disk import RecordedDisk

SLOW_S = (0.05, 0.5)  # what each write and each flush takes
SLOW_UPLOADS = 2
ANSWER_S = 60
FTP_TOML = f"{SCENE_TOML}\n[ftp]\nenabled = true\nlisten = '{HOST}'\nport = 0\ntls = 'off'\n"
# What fails on a read-only file system, of what the daemon and its worker call on open files.
CHANGES = "pwrite64,pwritev,ftruncate,rename,unlink,mkdir,fallocate"


@dataclass(frozen=True, slots=True)
class OnDisk:
    """A bed whose home lies on a disk of its own."""

    bed: Bed
    disk: RecordedDisk


@contextmanager
def on_ext4(folder: Path, keys: Path) -> Iterator[OnDisk | None]:
    """Lay out a home on an ext4 and start its daemon, for a while."""
    folder.mkdir(parents=True, exist_ok=True)
    if not make_image(folder / "image"):
        yield None
        return
    with recorded(folder / "device", folder / "image", "errors=remount-ro") as disk:
        if disk is None:
            yield None
            return
        bed = Bed(disk.folder, keys, "none", FTP_TOML)
        disk.settle()  # what an operator laid out long ago
        bed.daemon.start()
        try:
            yield OnDisk(bed, disk)
        finally:
            with suppress(OSError):
                disk.be_slow(0, 0)
            bed.daemon.kill()


def slow_disk(folder: Path, keys: Path) -> Scene | None:
    """Every write and flush takes up to half a second: others log in and list meanwhile."""
    with on_ext4(folder, keys) as there:
        if there is None:
            return None
        bed = there.bed
        upload(bed)
        wait_for("the daemon to be idle", bed.is_idle, SETTLE_S)
        there.disk.be_slow(*SLOW_S)
        uploads = threading.Thread(target=lambda: [upload(bed) for _ in range(SLOW_UPLOADS)])
        uploads.start()
        served = 0
        while uploads.is_alive():
            under_way = len(bed.sent)
            _log_in_and_list(bed)
            # Still the same upload: they were served while it waited for the disk.
            served += uploads.is_alive() and len(bed.sent) == under_way
        there.disk.be_slow(0, 0)
        refused = [one.name for one in bed.sent if not one.acknowledged]
        found = [f"{name} was refused" for name in refused]
        return Scene(served, found + settle(bed) + held(bed))


def _log_in_and_list(bed: Bed) -> None:
    with Paramiko(Account(bed.daemon, key=bed.key)).session() as sftp:
        sftp.listdir("/")
    with ftplib.FTP() as ftp:
        ftp.connect(HOST, bed.daemon.status()["doors"]["ftp"]["port"], ANSWER_S)
        ftp.login("acme", PASSWORD)
        ftp.nlst()


def failed_disk(folder: Path, keys: Path) -> Scene | None:
    """The file system goes read-only beneath open databases; it is repaired, all starts again."""
    with on_ext4(folder, keys) as there:
        if there is None:
            return None
        bed = there.bed
        upload(bed)
        wait_for("the daemon to be idle", bed.is_idle, SETTLE_S)
        with locked(bed.daemon.paths.data, gone=True):  # so that one is not imported yet
            waiting = upload(bed)
            there.disk.fail()
        found = [] if waiting.acknowledged else ["an upload before the failure was refused"]
        fired = sum(not upload(bed).acknowledged for _ in range(3))
        assert bed.daemon.process is not None
        if bed.daemon.process.poll() is None:
            bed.daemon.stop()
        else:
            bed.daemon.wait_until_ended()
        there.disk.mount_again()
        bed.daemon.start()
        return Scene(fired, found + settle(bed) + held(bed))


def read_only_for_a_while(folder: Path, keys: Path) -> Scene | None:
    """Whatever daemon and worker would change, on spool, ledger and data, is refused; then not."""
    bed = Bed(folder, keys, "none", SCENE_TOML)
    bed.daemon.start()
    try:
        upload(bed)
        wait_for("the daemon to be idle", bed.is_idle, SETTLE_S)
        options = ("-e", f"trace={CHANGES}", "-e", f"inject={CHANGES}:error=EROFS")
        logs = [bed.daemon.home / f"{name}.log" for name in ("daemon", "worker")]
        with ExitStack() as tracers:
            with locked(bed.daemon.paths.data):
                waiting = upload(bed)
                worker = wait_for("a worker", bed.daemon.worker_pid)
                for pid, log in zip((bed.daemon.pid, worker), logs, strict=True):
                    tracers.enter_context(traced(pid, options, log))
            found = [] if waiting.acknowledged else ["an upload before it was refused"]
            refused = sum(not upload(bed).acknowledged for _ in range(3))
        fired = sum(log.read_text(errors="replace").count("(INJECTED)") for log in logs)
        found += [] if refused == 3 else [f"{3 - refused} uploads were not refused"]
        return Scene(fired, found + settle(bed) + held(bed))
    finally:
        bed.daemon.kill()
