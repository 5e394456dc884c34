"""What scenes have in common: a bed's uploads, and what must hold once a fault is over.

A scene returns complaints, [] if all promises were kept.
"""

from __future__ import annotations

from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import paramiko

from tests.clients import Account, ClientError, Paramiko
from tests.daemon import MAIN_TOML, sales, wait_for
from tests.faults.bed import Bed, close
from tests.faults.error_sweep import is_tidy
from tests.faults.promises import Sent, complaints
from tilldrop.delivery import State
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCENE_TOML = MAIN_TOML.replace("scan_interval_s = 0 ", "scan_interval_s = 1 ")
SETTLE_S = 30


@dataclass(slots=True)
class Scene:
    """What a scene saw. fired: how often the fault was met by a client or an import."""

    fired: int
    complaints: list[str]


def upload(bed: Bed, rows: int = 5) -> Sent:
    """Upload one file; refused if `acknowledged` is False afterwards."""
    number = len(bed.sent)
    sent = Sent(f"sales-{number}.csv", sales(1, rows, f"s{number}").encode(), f"s{number}")
    bed.sent.append(sent)
    try:
        with (
            Paramiko(Account(bed.daemon, key=bed.key)).session() as sftp,
            sftp.open(sent.name, "wb") as file,
        ):
            file.set_pipelined(pipelined=True)
            file.write(sent.content)
            file.flush()
            close(sftp, file)
    except (OSError, EOFError, paramiko.SSHException, ClientError):
        return sent
    sent.acknowledged = True
    return sent


def settle(bed: Bed) -> list[str]:
    """Wait until the daemon is idle, upload once more, check everything."""
    found: list[str] = []
    process = bed.daemon.process
    assert process is not None
    if process.poll() is not None:
        found.append(f"the daemon ended with {bed.daemon.wait_until_ended()}")
        bed.daemon.start()
    after = upload(bed)
    if not after.acknowledged:
        found.append("an upload after the fault was refused")
    wait_for("the daemon to be idle after the fault", bed.is_idle, SETTLE_S)
    if not is_tidy(bed):  # the next start drops what the ledger could not record
        bed.daemon.stop()
        bed.daemon.start()
    return found + complaints(bed.daemon, bed.sent)


@contextmanager
def locked(database: Path, *, gone: bool = False) -> Iterator[None]:
    """Hold a database's write lock, as another program would. gone: the disk is, at the end."""
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        with suppress(sqlite3.Error) if gone else nullcontext():
            other.execute("ROLLBACK")


def held(bed: Bed) -> list[str]:
    """Complain of what an operator would have to release."""
    held = (one for one in bed.daemon.deliveries() if one.state is State.HELD)
    return [f"{one.name} is held: {one.reason}" for one in held]
