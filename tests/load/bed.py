"""A daemon with many customers, and the parts of the load beside it.

Owns the home, the processes of the load, and what is measured of them: memory, descriptors and
processor time, as /proc tells. The load is niced, for real clients have machines of their own; not
so the part that takes the time, or it would tell how long it waited for a processor itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.clients import Account
from tests.daemon import MAIN_TOML, PASSWORD, Daemon, add_customer, make_home, make_key
from tilldrop import passwords

FTP_TOML = '\n[ftp]\nenabled = true\nlisten = "127.0.0.1"\nport = 0\n'
ROOT = Path(__file__).parents[2]
NICELY = ("nice", "-n", "10")
TAKES_TIME = frozenset({"probe"})
LOOK_EVERY_S = 0.5
END_WITHIN_S = 180.0
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def lay_out(folder: Path, host_keys: Path, customers: int, toml: str = "") -> Daemon:
    """Make a home with customers c0, c1 and so on, all with one key and the common password."""
    home = make_home(folder / "home", host_keys, MAIN_TOML + FTP_TOML + toml)
    add_customer(home, "c0")
    key = make_key(home, "c0")
    hashed = passwords.made(PASSWORD) + "\n"
    for name in names(customers)[1:]:
        settings = home / "config" / "customers"
        (settings / f"{name}.toml").write_text((settings / "c0.toml").read_text())
        (home / "keys" / "customers" / f"{name}.pub").write_text(
            key.with_suffix(".pub").read_text()
        )
        secret = home / "keys" / "customers" / f"{name}.password"
        secret.write_text(hashed)
        secret.chmod(0o600)
    return Daemon(home)


def names(count: int) -> list[str]:
    """Return the customers' names."""
    return [f"c{number}" for number in range(count)]


class Running:
    """A process with parts of the load. orders: of each its name and what it is told."""

    def __init__(self, *orders: tuple[str, dict[str, Any]]) -> None:
        self.parts = ", ".join(part for part, _ in orders)
        nicely = () if {part for part, _ in orders} <= TAKES_TIME else NICELY
        self._process = subprocess.Popen(
            (*nicely, sys.executable, "-m", "tests.load.generate", json.dumps(orders)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def wait_until_ready(self) -> Running:
        """Wait until all are at work."""
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert said, f"{self.parts} ended before it began"
        return self

    def end(self) -> dict[str, dict[str, Any]]:
        """Let them come to their end and return what each has to say."""
        said, _ = self._process.communicate(timeout=END_WITHIN_S)
        assert said, f"{self.parts} ended with {self._process.returncode} and said nothing"
        found: dict[str, dict[str, Any]] = json.loads(said)
        return found

    def kill(self) -> None:
        """End it at once, if it is there still."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


class Bulk:
    """A client in C that sends one file: OpenSSH's by SFTP, curl by FTP."""

    def __init__(self, daemon: Daemon, customer: str, path: Path, door: str = "sftp") -> None:
        client = _curl if door == "ftp" else _openssh
        self._process = subprocess.Popen(
            NICELY + client(daemon, customer, path),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdin is not None
        if door == "sftp":
            self._process.stdin.write(f"put {path}\n")
        self._process.stdin.close()

    def is_under_way(self) -> bool:
        """Tell whether it has not ended."""
        return self._process.poll() is None

    def wait(self, within_s: float) -> None:
        """Wait for its end, which must be a good one."""
        assert self._process.wait(within_s) == 0, "the bulk upload failed"

    def kill(self) -> None:
        """End it at once, if it is there still."""
        if self.is_under_way():
            self._process.kill()
            self._process.wait()


def _openssh(daemon: Daemon, customer: str, _path: Path) -> tuple[str, ...]:
    account = Account(daemon, customer, key=daemon.home / "c0-ed25519")
    return ("sftp", "-q", "-b", "-", *account.ssh_options(), f"{customer}@127.0.0.1")


def _curl(daemon: Daemon, customer: str, path: Path) -> tuple[str, ...]:
    where = f"ftp://127.0.0.1:{daemon.status()['doors']['ftp']['port']}/{path.name}"
    return ("curl", "-s", "-T", str(path), "-u", f"{customer}:{PASSWORD}", where)


@dataclass(slots=True)
class Peaks:
    """The most that was seen."""

    daemon_mb: float = 0.0
    worker_mb: float = 0.0
    descriptors: int = 0


class Watching:
    """Looks at the daemon every LOOK_EVERY_S from a thread."""

    def __init__(self, daemon: Daemon) -> None:
        self.peaks = Peaks()
        self._daemon = daemon
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look_on(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            peaks, pid = self.peaks, self._daemon.pid
            peaks.daemon_mb = max(peaks.daemon_mb, resident_mb(pid))
            peaks.descriptors = max(peaks.descriptors, descriptors(pid))
            for child in _worker(pid):
                peaks.worker_mb = max(peaks.worker_mb, resident_mb(child))


def resident_mb(pid: int) -> float:
    """Return how much memory a process has; 0 if it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def descriptors(pid: int) -> int:
    """Return how many descriptors a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def cpu_s(pid: int) -> float:
    """Return the processor time of a process, without its children's."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS_A_SECOND


def _worker(pid: int) -> list[int]:
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        try:
            found += [int(word) for word in (thread / "children").read_text().split()]
        except OSError:
            continue  # the thread has ended
    return found
