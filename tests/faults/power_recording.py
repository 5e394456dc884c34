"""A daemon's life on a disk that remembers, to be cut at any moment.

Owns the clients, the importer's work and the operator's commands of a recording, and the note of
each positive answer with the place in the disk's log at which it was heard.
"""

from __future__ import annotations

import ftplib
import io
import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import paramiko

from tests.clients import HOST, Account, ClientError, Paramiko
from tests.daemon import MAIN_TOML, PASSWORD, sales, tilldrop
from tests.faults.bed import Bed
from tests.faults.power_disk import make_image, recorded
from tests.faults.promises import Sent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.power_disk import RecordedDisk
    from tests.faults.warm import Warm

POWER_TOML = f"{MAIN_TOML}\n[ftp]\nenabled = true\nlisten = '{HOST}'\nport = 0\n"
ROWS = (5, 5, 5, 2_000)  # of the files that come by FTP, in turn
LIFE_S = 120
# How clients say that the server has gone, or refuses.
GONE = (OSError, EOFError, paramiko.SSHException, ClientError, ftplib.Error)
BACKUP = "backup"
WRITTEN = ("home/config", "home/keys", BACKUP)  # what commands write into, on the disk


@dataclass(frozen=True, slots=True)
class Written:
    """What a command had changed when it ended well, and how long the log was then.

    files: path on the disk -> content; None: it is gone.
    """

    command: str
    at: int
    files: dict[str, bytes | None]


@dataclass(slots=True)
class Recording:
    """What happened. begins, ends: between which lengths of its log it may be cut."""

    image: Path
    log: Path
    begins: int = 0
    ends: int = 0
    sent: list[Sent] = field(default_factory=list)
    acknowledged: dict[str, int] = field(default_factory=dict)
    written: list[Written] = field(default_factory=list)

    def remembered(self, at: int) -> list[Sent]:
        """What clients remember if the power goes there."""
        never = self.ends + 1
        return [
            replace(one, acknowledged=self.acknowledged.get(one.name, never) <= at)
            for one in self.sent
        ]


@dataclass(slots=True)
class Life:
    """One daemon on a recorded disk, and who is busy with it."""

    bed: Bed
    disk: RecordedDisk
    recording: Recording

    def live(self, uploads: int) -> None:
        """Upload through both doors at once: so many by each."""
        clients = [
            threading.Thread(target=self._until_it_goes, args=(way, uploads))
            for way in (self._by_sftp, self._by_ftp)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join(LIFE_S)
            assert not client.is_alive(), "a client hangs"

    def _until_it_goes(self, work: Callable[[int], None], uploads: int) -> None:
        with suppress(*GONE):
            work(uploads)

    def _by_sftp(self, uploads: int) -> None:
        with Paramiko(Account(self.bed.daemon, key=self.bed.key)).session() as sftp:
            for _ in range(uploads):
                self._note(self.bed.upload_one(sftp))

    def _by_ftp(self, uploads: int) -> None:
        port = self.bed.daemon.status()["doors"]["ftp"]["port"]
        with ftplib.FTP() as ftp:
            ftp.connect(HOST, port, LIFE_S)
            ftp.login("acme", PASSWORD)
            for _ in range(uploads):
                number = len(self.recording.sent)
                store = f"f{number}"
                content = sales(1, ROWS[number % len(ROWS)], store).encode()
                sent = Sent(f"till-{number}.csv", content, store)
                self.recording.sent.append(sent)
                name = f"{sent.name}.part" if number % 2 else sent.name
                ftp.storbinary(f"STOR {name}", io.BytesIO(content))
                if name != sent.name:
                    ftp.rename(name, sent.name)
                self._note(sent)

    def _note(self, sent: Sent) -> None:
        self.recording.acknowledged[sent.name] = self.disk.position()

    def operate(self) -> None:
        """Add customers, change them, remove one, take a backup."""
        zone = ("--zone", "Europe/Paris", "--currency", "EUR")
        key = str(self.bed.key.with_suffix(".pub"))
        self._command("customer", "add", "beta", *zone, "--key", key)
        self._command("customer", "add", "gamma", *zone, "--generate-password")
        self._command("customer", "passwd", "gamma", "--generate-password")
        self._command("customer", "disable", "gamma")
        self._command("backup", str(self.disk.folder / BACKUP))
        self._command("customer", "remove", "beta", "--yes")

    def _command(self, *words: str) -> None:
        before = configured(self.disk.folder)
        ended = tilldrop(self.bed.daemon.home, *words)
        assert ended.returncode == 0, ended.stderr
        at, after = self.disk.position(), configured(self.disk.folder)
        changed: dict[str, bytes | None] = {
            name: text for name, text in after.items() if before.get(name) != text
        }
        changed |= dict.fromkeys(before.keys() - after.keys())
        assert changed, words
        self.recording.written.append(Written(" ".join(words[:3]), at, changed))


def record(
    folder: Path,
    keys: Path,
    uploads: int,
    bug: str = "none",
    options: str = "",
    warm: Warm | None = None,
    *,
    long: bool,
) -> Recording | None:
    """Record a life; None if this machine cannot. long: with commands, a stop and a new start."""
    folder.mkdir(parents=True)
    image = folder / "image"
    if not make_image(image):
        return None
    with recorded(folder / "life", image, options) as disk:
        if disk is None:
            return None
        bed = Bed(disk.folder, keys, bug, POWER_TOML, warm)
        disk.settle()
        recording = Recording(image, disk.log, disk.position())
        life = Life(bed, disk, recording)
        try:
            bed.daemon.start()
            life.live(uploads)
            if long:
                life.operate()
                bed.daemon.stop()
                bed.daemon.start()
                life.live(uploads)
            recording.ends = disk.position()
        finally:
            bed.daemon.kill()
        recording.sent += bed.sent
        return recording


def configured(folder: Path) -> dict[str, bytes]:
    """Read all that commands write on a disk: path -> content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for part in WRITTEN
        for path in (folder / part).rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
