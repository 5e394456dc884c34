"""Uploads against OpenSSH's server: 512 MB in one file, and 500 files of 20 KB.

The same client, machine, cipher and minutes; the two servers take turns. Ours syncs, commits,
renames and syncs again before each answer; OpenSSH's does none of that.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from tests.bench import sshd
from tests.bench.figures import record
from tests.clients import Account
from tests.daemon import Daemon, make_home, make_key
from tilldrop import hostkeys

BIG_BYTES = 512 * 1024**2
SMALL_FILES = 500
SMALL_BYTES = 20 * 1024
ROUNDS = 5


def main() -> None:
    """Run both benches and record their ratios."""
    with tempfile.TemporaryDirectory(prefix="tilldrop-bench-") as name:
        folder = Path(name)
        hostkeys.ensure(folder / "keys")
        daemon = Daemon(make_home(folder / "home", folder / "keys"))
        key = make_key(daemon.home, "acme")
        daemon.start()
        try:
            with sshd.running(folder / "sshd") as server:
                _bench(folder, daemon, key, server)
        finally:
            daemon.stop()


def _bench(folder: Path, daemon: Daemon, key: Path, server: sshd.Server) -> None:
    ours = (*Account(daemon, key=key).ssh_options(), "acme@127.0.0.1")
    theirs = (*server.options, f"{server.user}@127.0.0.1")
    for bench, batch in (("sftp-512mb", _big(folder)), ("sftp-500-files", _small(folder))):
        took: dict[str, list[float]] = {"ours": [], "openssh": []}
        for _ in range(ROUNDS):
            theirs_here = f"cd {server.files}\n{batch}"
            took["openssh"].append(_timed(theirs, theirs_here))
            took["ours"].append(_timed(ours, batch))
            daemon.wait_until_idle()
            for file in server.files.iterdir():
                file.unlink()
        medians = {name: statistics.median(seconds) for name, seconds in took.items()}
        ratio = medians["openssh"] / medians["ours"]
        told = (
            f"{ratio:.2f} times OpenSSH's speed"
            f" (median of {ROUNDS}: {medians['ours']:.2f} s, OpenSSH {medians['openssh']:.2f} s)"
        )
        record(
            bench,
            told,
            ratio=round(ratio, 3),
            ours_s=round(medians["ours"], 3),
            openssh_s=round(medians["openssh"], 3),
            rounds=ROUNDS,
        )


def _big(folder: Path) -> str:
    path = folder / "big.bin"
    block = os.urandom(1024**2)
    with path.open("wb") as file:
        for _ in range(BIG_BYTES // len(block)):
            file.write(block)
    return f"put {path}\n"


def _small(folder: Path) -> str:
    path = folder / "small.bin"
    path.write_bytes(os.urandom(SMALL_BYTES))
    return "".join(f"put {path} small-{number}.bin\n" for number in range(SMALL_FILES))


def _timed(login: tuple[str, ...], batch: str) -> float:
    """Return how many seconds one session takes."""
    began = time.monotonic()
    subprocess.run(
        ("sftp", "-q", "-b", "-", *login),
        input=batch,
        text=True,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.monotonic() - began


if __name__ == "__main__":
    main()
