"""Plays systemd for a daemon: keeps the sockets that it is given, and passes them to its next life.

Owns NOTIFY_SOCKET and the store of descriptors as sd_notify(3) and sd_listen_fds(3) describe them;
nothing else of systemd. A socket goes from the store when the daemon says so, or hangs up on it.
"""

from __future__ import annotations

import select
import socket
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from tests.daemon import LOOK_EVERY_S, TILLDROP, Daemon

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

MESSAGE_MOST_BYTES = 4096
FIRST_PASSED = 3
# What systemd does between fork and exec: the sockets get the numbers from 3 on.
STAGE = """
import fcntl, os, sys
count = int(sys.argv[1])
high = [fcntl.fcntl(int(word), fcntl.F_DUPFD, 100) for word in sys.argv[2:2 + count]]
for place, descriptor in enumerate(high):
    os.dup2(descriptor, 3 + place)
    os.close(descriptor)
os.closerange(3 + count, 100)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2 + count], sys.argv[2 + count:])
"""


@dataclass(slots=True)
class Store:
    """One service's store, from `with` on."""

    path: Path
    kept: list[tuple[str, socket.socket]] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    _ends: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Begin to listen."""
        told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        told.bind(str(self.path))
        told.settimeout(LOOK_EVERY_S)
        self._threads = [threading.Thread(target=self._listen, args=(told,))]
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, met: BaseException | None, at: TracebackType | None
    ) -> None:
        """Close what is kept."""
        self._ends.set()
        self._threads[0].join()
        for _, sock in self.kept:
            sock.close()

    def names(self) -> list[str]:
        """The names of what is kept."""
        self._look_for_hangups()
        return sorted(name for name, _ in self.kept)

    def environment(self) -> dict[str, str]:
        """What the daemon is told, but for its own number."""
        names = ":".join(name for name, _ in self.kept)
        found = {"NOTIFY_SOCKET": str(self.path)}
        if self.kept:
            found |= {"LISTEN_FDS": str(len(self.kept)), "LISTEN_FDNAMES": names}
        return found

    def launch(self, daemon: Daemon) -> None:
        """Start the daemon with what is kept, and do not wait."""
        self._look_for_hangups()
        numbers = [sock.fileno() for _, sock in self.kept]
        words = (str(len(numbers)), *(str(number) for number in numbers))
        run = (str(TILLDROP), "--home", str(daemon.home), "run")
        daemon.command = (sys.executable, "-IS", "-c", STAGE, *words, *run)
        daemon.launch(self.environment(), pass_fds=numbers)

    def _listen(self, told: socket.socket) -> None:
        with told:
            while not self._ends.is_set():
                try:
                    text, passed, _, _ = socket.recv_fds(told, MESSAGE_MOST_BYTES, 8)
                except TimeoutError:
                    continue
                self._hear(dict(line.split("=", 1) for line in text.decode().splitlines()), passed)
                self.heard.append(text.decode())

    def _hear(self, said: dict[str, str], passed: list[int]) -> None:
        name = said.get("FDNAME", "stored")
        if said.get("FDSTOREREMOVE") == "1":
            for each in [each for each in self.kept if each[0] == name]:
                self.kept.remove(each)
                each[1].close()
        elif said.get("FDSTORE") == "1":
            self.kept += [(name, socket.socket(fileno=number)) for number in passed]

    def _look_for_hangups(self) -> None:
        looking = select.poll()
        for _, sock in self.kept:
            looking.register(sock, 0)
        gone = {number for number, _ in looking.poll(0)}
        for each in [each for each in self.kept if each[1].fileno() in gone]:
            self.kept.remove(each)
            each[1].close()
