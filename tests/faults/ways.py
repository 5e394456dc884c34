"""The ways in, and what an operator does: each way is driven while something goes wrong.

Owns what a client or an operator does on each way and what it remembers of the answers. A way is
prepared on a daemon that nothing is done to, and then driven until it is through or the daemon is
gone; then it raises one of GONE. What was asked and not answered it leaves in `bed.owed`.
"""

from __future__ import annotations

import ftplib
import io
import shutil
import socket
import struct
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import paramiko

from tests.clients import Account, ClientError, Paramiko
from tests.daemon import CUSTOMER_TOML, HEADER, LOOK_EVERY_S, PASSWORD, sales, wait_for
from tests.faults.bed import INBOX, UPLOADS_A_TRY
from tilldrop import control, home_files
from tilldrop.delivery import State
from tilldrop.errors import CustomerBusy, MoveRefused, NotRunning

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.bed import Bed

# In these ways a client says that the server has gone, or has refused.
GONE = (OSError, EOFError, paramiko.SSHException, ClientError, NotRunning, ftplib.Error)
WAY_S = 60
BEGIN_S = 3
HALF = 100
LIVE_ROWS = 3
FTP_TIMEOUT_S = 20
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: a reset instead of an end
SHOPPERS_TOML = (
    CUSTOMER_TOML
    + """
[[feeds]]
name = "shoppers"
files = "*.txt"
table = "shoppers"
history = true
map.shopper_id = "Card"
map.name = "Name"
map.email = "Mail"
"""
)
SANDBOX_TOML = 'mode = "sandbox"\n' + CUSTOMER_TOML
SHOPPERS = "Card,Name,Mail\nC-1,Ada,ada@example.net\nC-2,Bob,bob@example.net\n"


class StillBusyError(Exception):
    """What was sent is not imported yet."""


# In these ways a wait for the daemon ends.
STUCK = (StillBusyError, AssertionError, subprocess.TimeoutExpired)


def wait_over(bed: Bed) -> None:
    """Wait until all is imported. Raises NotRunning if the daemon ends, StillBusyError."""
    deadline = time.monotonic() + bed.patience_s
    while not bed.is_idle():
        if not bed.is_up():
            raise NotRunning("it has ended")
        if time.monotonic() > deadline:
            raise StillBusyError
        time.sleep(LOOK_EVERY_S)


# -- doors -----------------------------------------------------------------------------------------


def sftp(bed: Bed) -> None:
    """Upload plainly, by a rename from a temporary name, and cut to size."""
    with Paramiko(Account(bed.daemon, key=bed.key)).session() as session:
        for _ in range(UPLOADS_A_TRY):
            bed.upload_one(session)
    wait_over(bed)


def ftp(bed: Bed) -> None:
    """STOR; STOR that breaks off and goes on by REST; STOR that breaks off and goes on by APPE."""
    with _ftp_client(bed) as client:
        whole, by_rest, by_appe = (bed.next_file() for _ in range(3))
        client.storbinary(f"STOR {whole.name}", io.BytesIO(whole.content))
        whole.acknowledged = True
        by_rest.resumable = by_appe.resumable = True
        for sent in (by_rest, by_appe):
            _break_off(bed, client, sent.name, sent.content[:HALF])
        there = client.size(by_rest.name) or 0
        left = io.BytesIO(by_rest.content[there:])
        client.storbinary(f"STOR {by_rest.name}", left, rest=there)
        by_rest.acknowledged = True
        there = client.size(by_appe.name) or 0
        client.storbinary(f"APPE {by_appe.name}", io.BytesIO(by_appe.content[there:]))
        by_appe.acknowledged = True
    wait_over(bed)


def _ftp_client(bed: Bed) -> ftplib.FTP:
    client = ftplib.FTP()
    port = bed.daemon.status()["doors"]["ftp"]["port"]
    client.connect("127.0.0.1", port, timeout=FTP_TIMEOUT_S)
    try:
        client.login("acme", PASSWORD)
    except BaseException:
        client.close()
        raise
    return client


def _break_off(bed: Bed, client: ftplib.FTP, name: str, part: bytes) -> None:
    """Reset the data connection once the server has begun the upload."""
    with client.transfercmd(f"STOR {name}") as connection:
        connection.sendall(part)
        with suppress(AssertionError):  # its row met an error, and will never be there
            wait_for("the upload to begin", lambda: _has_begun(bed, name), BEGIN_S)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    try:
        client.voidresp()
    except ftplib.error_temp:
        return
    raise ftplib.error_reply(f"{name} broke off and was answered positively")


def _has_begun(bed: Bed, name: str) -> bool:
    if not bed.is_up():
        raise NotRunning("it has ended")
    return bool(bed.daemon.deliveries(name))


def folder(bed: Bed) -> None:
    """Put files into the folder door; that one is gone from there is its acknowledgement."""
    inbox = bed.daemon.home / INBOX
    for _ in range(2):
        sent = bed.next_file()
        sent.resumable = True
        beside = bed.daemon.home / f"{sent.name}.part"
        beside.write_bytes(sent.content)
        sent.acknowledged = True  # the original stays until the delivery is safe
        beside.rename(inbox / sent.name)
    wait_over(bed)


# -- what an operator does ---------------------------------------------------------------------


def _imported(bed: Bed) -> int:
    """Upload a file and have it imported; return its number."""
    number = len(bed.sent)
    with Paramiko(Account(bed.daemon, key=bed.key)).session() as session:
        bed.upload_one(session)
    wait_over(bed)
    return number


def prepare_corrections(bed: Bed) -> None:
    """Have two files to correct."""
    bed.marked = [_imported(bed), _imported(bed)]


def corrections(bed: Bed) -> None:
    """Replay one delivery, take back another."""
    replayed, undone = (bed.sent[number] for number in bed.marked)
    ids = [bed.daemon.deliveries(sent.name)[0].id for sent in (replayed, undone)]
    undone.taken_back = None

    def replay() -> None:
        replayed.replays += 1
        control.ask(bed.daemon.paths, "replay", ids=[ids[0]])

    def undo() -> None:
        try:
            control.ask(bed.daemon.paths, "undo", id=ids[1])
        except MoveRefused:  # it was done, and its answer was lost
            assert bed.daemon.deliveries(undone.name)[0].state is State.REJECTED
        undone.taken_back = True

    bed.owed.append(undo)
    replay()
    undo()
    bed.owed.remove(undo)
    wait_over(bed)


def prepare_removal(bed: Bed) -> None:
    """Have a customer of its own to be removed, and a shopper to be erased."""
    name = f"gone{len(bed.removed)}"
    home = bed.daemon.home
    (home / "config" / "customers" / f"{name}.toml").write_text(SHOPPERS_TOML)
    shutil.copy(home / "keys/customers/acme.pub", home / f"keys/customers/{name}.pub")
    control.ask(bed.daemon.paths, "reload")
    with Paramiko(Account(bed.daemon, name, key=bed.key)).session() as session:
        for file_name, text in (
            ("shoppers.txt", SHOPPERS),
            ("sales.csv", HEADER + "12,1,2026-03-14,10:30,1.00\n"),
        ):
            with session.open(file_name, "wb") as file:
                file.write(text.encode())
    wait_over(bed)
    bed.removed.append(name)


def removal(bed: Bed) -> None:
    """Erase a shopper, then remove its customer."""
    name = bed.removed[-1]
    paths = bed.daemon.paths
    (shoppers,) = bed.daemon.deliveries("shoppers.txt", name)

    def erase() -> None:
        asked = {"shopper": "C-1", "texts": ["C-1", "ada@example.net"], "drop": [shoppers.id]}
        control.ask(paths, "shopper-erase", customer=name, **asked)
        check_erased(bed, name)

    def remove() -> None:
        (bed.daemon.home / "config" / "customers" / f"{name}.toml").unlink(missing_ok=True)
        (bed.daemon.home / "keys" / "customers" / f"{name}.pub").unlink(missing_ok=True)
        control.ask(paths, "reload")
        _until(lambda: control.ask(paths, "customer-forget", customer=name))
        check_removed(bed, name, shoppers.id)

    bed.owed += [erase, remove]
    erase()
    bed.owed.remove(erase)
    remove()
    bed.owed.remove(remove)


def _until(work: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAY_S
    while True:
        try:
            work()
        except (CustomerBusy, MoveRefused):
            if time.monotonic() > deadline:
                raise
        else:
            return


def check_erased(bed: Bed, name: str) -> None:
    """Note if a shopper of a customer is still there."""
    rows = bed.daemon.rows("SELECT shopper_id FROM shoppers WHERE customer = ?", name)
    if rows != [("C-2",)]:
        bed.said.append(f"shopper C-1 of {name} was erased, and there are {rows}")


def check_removed(bed: Bed, name: str, delivery: str) -> None:
    """Note if something of a customer is still there."""
    left = [
        table
        for table in ("transactions", "shoppers", "deliveries")
        if bed.daemon.rows(f"SELECT 1 FROM {table} WHERE customer = ?", name)
    ]
    if bed.daemon.deliveries(customer=name):
        left.append("the ledger")
    if any(bed.daemon.paths.spool.glob(f"*/{delivery}")):
        left.append("the spool")
    if left:
        bed.said.append(f"{name} was removed and is still in {', '.join(left)}")


def prepare_live(bed: Bed) -> None:
    """Have a customer in sandbox, with a file imported there."""
    name = f"live{len(bed.lives)}"
    home = bed.daemon.home
    (home / "config" / "customers" / f"{name}.toml").write_text(
        'mode = "sandbox"\n' + CUSTOMER_TOML
    )
    shutil.copy(home / "keys/customers/acme.pub", home / f"keys/customers/{name}.pub")
    control.ask(bed.daemon.paths, "reload")
    with (
        Paramiko(Account(bed.daemon, name, key=bed.key)).session() as session,
        session.open("sales.csv", "wb") as file,
    ):
        file.write(sales(1, LIVE_ROWS, name).encode())
    wait_over(bed)
    if (found := _booked_as(bed, name)) != (0, LIVE_ROWS):
        bed.said.append(f"{name} is in sandbox, and of its rows live, in sandbox are {found}")
    bed.lives.append(name)


def go_live(bed: Bed) -> None:
    """Take a customer out of the sandbox, and what it had sent with it."""
    name = bed.lives[-1]
    home, paths = bed.daemon.home, bed.daemon.paths

    def go() -> None:
        home_files.write_customer(home, name, home_files.customer_live(home, name))
        control.ask(paths, "reload")
        _until(lambda: control.ask(paths, "replay", customer=name))
        wait_over(bed)
        check_live(bed, name)

    bed.owed.append(go)
    go()
    bed.owed.remove(go)


def check_live(bed: Bed, name: str) -> None:
    """Note if a customer's rows are not live."""
    if (found := _booked_as(bed, name)) != (LIVE_ROWS, 0):
        bed.said.append(f"{name} went live, and of its rows live, in sandbox are {found}")


def _booked_as(bed: Bed, name: str) -> tuple[int, ...]:
    """Count the rows of a customer in data.db and in sandbox.db."""
    sql = "SELECT 1 FROM transactions WHERE customer = ?"
    databases = (bed.daemon.paths.data, bed.daemon.paths.sandbox)
    return tuple(len(bed.daemon.rows(sql, name, database=one)) for one in databases)


WAYS: dict[str, tuple[Callable[[Bed], None], Callable[[Bed], None]]] = {
    "sftp": (lambda _: None, sftp),
    "ftp": (lambda _: None, ftp),
    "folder": (lambda _: None, folder),
    "corrections": (prepare_corrections, corrections),
    "removal": (prepare_removal, removal),
    "go-live": (prepare_live, go_live),
}
