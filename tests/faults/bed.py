"""A home with its daemon, and everything that was uploaded to it.

Owns the home of a sweep, on which its tries follow one another, so that damage done early is
still found late. The daemon is started by its command, or many times cheaply by a launcher, under
the tracer (`warm`). Every upload is remembered before it is begun.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from paramiko.sftp import CMD_CLOSE

from tests.daemon import MAIN_TOML, Daemon, make_home, make_key, sales, wait_for
from tests.faults.promises import Sent, complaints
from tilldrop.delivery import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import paramiko

    from tests.faults.tracer import Place
    from tests.faults.warm import Warm

LAUNCHER = Path(__file__).with_name("seeded.py")
INBOX = "inbox"
# Every door is open, nothing waits longer than it must, and the guard lets a client that was
# killed a hundred times come back.
BED_TOML = (
    MAIN_TOML
    + f"""
[guard]
allow = ["127.0.0.0/8"]

[ftp]
enabled = true
listen = "127.0.0.1"
port = 0
tls = "off"

[[folders]]
path = "{INBOX}"
customer = "acme"
quiet_s = 0.1
after = "delete"
"""
)
ROWS = 5
CHUNK_BYTES = 64
UPLOADS_A_TRY = 3
SETTLE_S = 60
RSA_BITS = 2048  # the least that is taken; 3072 take a fifth of a second to load, at every start


@dataclass(slots=True)
class WarmDaemon(Daemon):
    """A daemon that a launcher starts. armed: what goes wrong from its first call on."""

    warm: Warm | None = None
    bug: str = "none"
    armed: dict[Place, str] = field(default_factory=dict)

    def launch(self, told: dict[str, str] | None = None, pass_fds: Sequence[int] = ()) -> Daemon:
        """Start it and do not wait. It is told nothing, and gets no descriptor."""
        assert not told
        assert not pass_fds
        assert self.warm is not None
        words = ("--home", str(self.home), "run")
        running = self.warm.run(words, self.bug, self.home, self.log, self.armed)
        self.process = cast("subprocess.Popen[bytes]", running)
        return self


class Bed:
    """A home with its daemon. warm: the launcher to start it with; it stays the caller's."""

    def __init__(
        self,
        folder: Path,
        host_keys: Path,
        bug: str = "none",
        main_toml: str = MAIN_TOML,
        warm: Warm | None = None,
    ) -> None:
        self.folder = folder
        home = make_home(folder / "home", host_keys, main_toml)
        (home / INBOX).mkdir()
        command = (sys.executable, str(LAUNCHER), bug, "--home", str(home), "run")
        self.daemon = (
            WarmDaemon(home, warm=warm, bug=bug) if warm is not None else Daemon(home, command)
        )
        self.key = make_key(home, "acme")
        self.sent: list[Sent] = []
        # What was asked of the daemon and not answered: an operator would say it again.
        self.owed: list[Callable[[], None]] = []
        self.patience_s: float = SETTLE_S  # until what was sent must be imported
        self.said: list[str] = []  # what a way itself found wrong
        self.marked: list[int] = []
        self.removed: list[str] = []
        self.lives: list[str] = []

    # -- the daemon ------------------------------------------------------------------------------

    def start(self, armed: dict[Place, str] | None = None) -> int | None:
        """Start the daemon; return its exit code if it ended instead, as it may if armed."""
        daemon = self.daemon
        assert isinstance(daemon, WarmDaemon)
        daemon.armed = armed or {}
        daemon.launch()
        try:
            daemon.wait_until_up()
        except AssertionError:
            if not armed or (daemon.process and daemon.process.poll() is None):
                raise
            return daemon.wait_until_ended()
        return None

    def is_up(self) -> bool:
        """Tell whether its process is there."""
        process = self.daemon.process
        return process is not None and process.poll() is None

    def is_idle(self) -> bool:
        """Tell whether nothing is received, imported, or waits for it."""
        counts = self.daemon.ledger().count_by_state()
        busy = (State.RECEIVING, State.ARRIVED, State.IMPORTING)
        paths = self.daemon.paths
        return (
            not any(counts.get(state) for state in busy)
            and not any((paths.spool / "arrived").iterdir())
            and not any((self.daemon.home / INBOX).iterdir())
        )

    def check(self) -> list[str]:
        """Wait until the daemon is idle, say again what got no answer, and check every upload."""
        wait_for("every import to be over, files put away", self.is_idle, SETTLE_S)
        while self.owed:
            self.owed[0]()
            self.owed.pop(0)
        wait_for("what was said again to be done", self.is_idle, SETTLE_S)
        wait_for("what is too old to be dropped", self._has_swept, SETTLE_S)
        said, self.said = self.said, []
        return said + complaints(self.daemon, self.sent)

    def _has_swept(self) -> bool:
        """Tell whether the daemon's first look after its start is over, where it has work."""
        aged = [one for one in self.sent if one.aged]
        kept = {path.name for path in (self.daemon.paths.spool / "kept").iterdir()}
        return not any(
            delivery.id in kept for one in aged for delivery in self.daemon.deliveries(one.name)
        )

    def end(self) -> None:
        """Kill the daemon and remove the home."""
        if self.is_up():
            self.daemon.kill()
        for reader in self.daemon.readers:
            reader.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- uploads ---------------------------------------------------------------------------------

    def next_file(self, rows: int = ROWS) -> Sent:
        """Make up the next file to send, and remember it."""
        number = len(self.sent)
        store = f"s{number}"
        sent = Sent(f"sales-{number}.csv", sales(1, rows, store).encode(), store)
        self.sent.append(sent)
        return sent

    def upload_one(self, sftp: paramiko.SFTPClient) -> Sent:
        """Upload the next file in small writes.

        Every third is finished by a rename from a temporary name, every third is cut to size.
        """
        way = len(self.sent) % UPLOADS_A_TRY
        sent = self.next_file()
        name = f"{sent.name}.part" if way == 1 else sent.name
        with sftp.open(name, "wb", bufsize=0) as file:
            for start in range(0, len(sent.content), CHUNK_BYTES):
                file.write(sent.content[start : start + CHUNK_BYTES])
            if way == 2:
                file.write(b"too much")
                file.truncate(len(sent.content))
            close(sftp, file)
        if way == 1:
            sftp.rename(name, sent.name)
        sent.acknowledged = True
        return sent


def small_host_keys(folder: Path) -> Path:
    """Make host keys that are loaded quickly, as a `keys/` folder to copy."""
    folder.mkdir(parents=True)
    for kind, bits in (("ed25519", ()), ("rsa", ("-b", str(RSA_BITS)))):
        path = folder / f"ssh_host_{kind}_key"
        words = ("ssh-keygen", "-q", "-t", kind, *bits, "-N", "", "-C", "", "-f", str(path))
        subprocess.run(words, check=True)
    return folder


def close(sftp: paramiko.SFTPClient, file: paramiko.SFTPFile) -> None:
    """Close and hear the answer: paramiko's own close() hides a refusal."""
    forget(file)
    sftp._request(CMD_CLOSE, file.handle)  # type: ignore[attr-defined]


def forget(file: paramiko.SFTPFile) -> None:
    """Let paramiko send no CLOSE of its own."""
    file._closed = True  # type: ignore[attr-defined]
