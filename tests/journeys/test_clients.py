"""A file's whole journey, driven by the programs that customers really use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.clients import Account, Client, ClientError, OpenSshSftp, Paramiko, Rclone, Scp
from tests.daemon import Daemon, make_key, sales
from tilldrop.delivery import FINISHED, Delivery, State

if TYPE_CHECKING:
    from pathlib import Path

MakeClient = Callable[[Daemon], Client]


def by_password(kind: Callable[[Account], Client]) -> MakeClient:
    return lambda daemon: kind(Account(daemon))


def by_key(kind: Callable[[Account], Client]) -> MakeClient:
    return lambda daemon: kind(Account(daemon, key=make_key(daemon.home, "acme")))


CLIENTS = [
    pytest.param(by_password(OpenSshSftp), id="sftp-password"),
    pytest.param(by_key(OpenSshSftp), id="sftp-key"),
    pytest.param(by_key(Scp), id="scp"),
    pytest.param(by_password(Paramiko), id="paramiko"),
    pytest.param(by_password(Rclone), id="rclone"),
]


def deliver(daemon: Daemon, client: Client, folder: Path, name: str, text: str) -> Delivery:
    """Upload a file and wait for what becomes of it."""
    before = len(daemon.deliveries(name))
    local = folder / name
    local.write_text(text)
    client.put(local, name)
    assert len(daemon.deliveries(name)) == before + 1
    return daemon.wait_for_state(name, *FINISHED)


def receipt(client: Client, delivery: Delivery) -> str:
    """Read a delivery's receipt as its customer does."""
    name = f"{delivery.name}.{delivery.id}.txt"
    assert name in client.listing("receipts")
    return client.read(f"receipts/{name}").decode()


def booked(daemon: Daemon) -> list[tuple[str, str, int]]:
    return daemon.rows(
        "SELECT location_id, transaction_id, total_minor FROM transactions ORDER BY 1, 2"
    )


@pytest.mark.parametrize("make_client", CLIENTS)
def test_file_becomes_rows_receipt_and_correction(
    daemon: Daemon, tmp_path: Path, make_client: MakeClient
) -> None:
    client = make_client(daemon)
    first = deliver(daemon, client, tmp_path, "sales.csv", sales(1, 3))
    assert first.state is State.IMPORTED
    assert booked(daemon) == [("12", "1", 100), ("12", "2", 100), ("12", "3", 100)]
    assert receipt(client, first).startswith("ACCEPTED\n")
    assert client.read("sales.csv").decode() == sales(1, 3)

    again = deliver(daemon, client, tmp_path, "sales.csv", sales(1, 3))
    assert again.state is State.DUPLICATE
    assert receipt(client, again).startswith("DUPLICATE\n")

    corrected = deliver(daemon, client, tmp_path, "sales.csv", sales(2, 3, cents=250))
    assert corrected.state is State.IMPORTED
    assert booked(daemon) == [
        ("12", "1", 100),
        ("12", "2", 250),
        ("12", "3", 250),
        ("12", "4", 250),
    ]
    told = receipt(client, corrected)
    assert "booked new          1" in told
    assert "booked changed      2" in told

    refused = deliver(daemon, client, tmp_path, "sales.csv", "Shop,Id\n1,2\n")
    assert refused.state is State.REJECTED
    assert receipt(client, refused).startswith("REFUSED\n")
    assert len(booked(daemon)) == 4


def test_a_wrong_file_between_two_equal_ones_is_put_right(daemon: Daemon, tmp_path: Path) -> None:
    client = OpenSshSftp(Account(daemon))
    right, wrong = sales(1, 2), sales(1, 2, cents=999)
    states = [
        deliver(daemon, client, tmp_path, "sales.csv", text).state for text in (right, wrong, right)
    ]
    assert states == [State.IMPORTED] * 3
    assert booked(daemon) == [("12", "1", 100), ("12", "2", 100)]


def test_a_name_that_no_feed_takes_is_unclaimed(daemon: Daemon, tmp_path: Path) -> None:
    client = OpenSshSftp(Account(daemon))
    delivery = deliver(daemon, client, tmp_path, "notes.doc", "hello\n")
    assert delivery.state is State.UNCLAIMED
    assert receipt(client, delivery).startswith("NOT EXPECTED\n")


def test_an_upload_under_a_temporary_name_is_taken_at_its_rename(
    daemon: Daemon, tmp_path: Path
) -> None:
    client = OpenSshSftp(Account(daemon))
    local = tmp_path / "x"
    local.write_text(sales(1, 2))
    client.batch(f"put {local} sales.csv.filepart")
    assert daemon.wait_for_state("sales.csv.filepart", State.WAITING)
    assert booked(daemon) == []
    client.batch("rename sales.csv.filepart sales.csv")
    daemon.wait_for_state("sales.csv", State.IMPORTED)
    assert len(booked(daemon)) == 2


def test_delivered_files_can_be_neither_renamed_nor_deleted(daemon: Daemon, tmp_path: Path) -> None:
    client = OpenSshSftp(Account(daemon))
    deliver(daemon, client, tmp_path, "sales.csv", sales(1, 2))
    for command in ("rm sales.csv", "rename sales.csv other.csv", "mkdir there"):
        with pytest.raises(ClientError):
            client.batch(command)
    assert client.listing(".") == ["receipts", "sales.csv"]


def test_a_client_that_vanishes_leaves_a_broken_upload_and_no_rows(daemon: Daemon) -> None:
    with Paramiko(Account(daemon)).session() as sftp:
        file = sftp.open("sales.csv", "wb", bufsize=0)
        file.write(sales(1, 3).encode())
        channel = sftp.get_channel()
        assert channel is not None
        channel.get_transport().sock.close()  # no CLOSE, no goodbye
    broken = daemon.wait_for_state("sales.csv", State.BROKEN)
    assert broken.size_bytes == len(sales(1, 3))
    assert booked(daemon) == []


@pytest.mark.parametrize(
    ("customer", "password"),
    [
        pytest.param("acme", "wrong-password", id="wrong-password"),
        pytest.param("nobody", "ahoy-there", id="unknown-customer"),
    ],
)
def test_who_may_not_log_in_is_refused(daemon: Daemon, customer: str, password: str) -> None:
    client = OpenSshSftp(Account(daemon, customer, password=password))
    with pytest.raises(ClientError, match="Permission denied"):
        client.batch("ls")


def test_watchdog_alone_makes_imports_begin(daemon: Daemon, tmp_path: Path) -> None:
    # The home's scan_interval_s is 0: no scan runs that could hide a deaf watchdog.
    client = OpenSshSftp(Account(daemon))
    for number in range(5):
        delivery = deliver(daemon, client, tmp_path, f"s{number}.csv", sales(number * 10, 3))
        moves = [(move.after, move.cause) for move in daemon.ledger().moves(delivery.id)]
        assert moves == [
            (State.RECEIVING, "begin"),
            (State.ARRIVED, "close"),
            (State.IMPORTING, "watchdog"),
            (State.IMPORTED, "report"),
        ]
