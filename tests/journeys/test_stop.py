"""An orderly stop: nothing new begins, what is in hand gets its grace, nothing is lost."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.clients import HOST, Account, Paramiko
from tests.daemon import MAIN_TOML, Daemon, sales, wait_for
from tests.journeys.test_reload import SlowUpload, main_toml
from tilldrop.delivery import State

if TYPE_CHECKING:
    from pathlib import Path

GRACE_S = 5  # in MAIN_TOML
# Longer than the worker needs to be warm, shorter than the grace.
ROWS = 300_000


def is_refused(port: int) -> bool:
    """Tell whether nobody listens there any more."""
    with socket.socket() as calling:
        return calling.connect_ex((HOST, port)) != 0


@pytest.mark.timeout(120)
def test_an_upload_in_progress_is_acknowledged_and_imported_after_the_start(
    daemon: Daemon, tmp_path: Path
) -> None:
    with closing(SlowUpload(daemon, tmp_path)) as upload:
        os.kill(daemon.pid, signal.SIGTERM)
        wait_for("the door to close", lambda: is_refused(daemon.port))
        assert upload.finish() == 0
        assert daemon.wait_until_ended() == 0
        daemon.start()
        delivery = daemon.wait_for_state("big.csv", State.IMPORTED, within_s=60)
        assert delivery.size_bytes == len(upload.content)


@pytest.mark.timeout(120)
def test_an_upload_that_does_not_end_is_broken_off_and_can_be_resumed(
    idle_daemon: Daemon, tmp_path: Path
) -> None:
    daemon = idle_daemon
    main_toml(daemon, MAIN_TOML.replace(f"stop_grace_s = {GRACE_S}", "stop_grace_s = 1"))
    daemon.start()
    with closing(SlowUpload(daemon, tmp_path)) as upload:
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began >= 1
    daemon.start()
    (broken,) = daemon.deliveries("big.csv")
    assert broken.state is State.BROKEN
    assert 0 < broken.size_bytes < len(upload.content)
    with Paramiko(Account(daemon)).session() as session:
        kept = session.stat("big.csv").st_size or 0
        with session.open("big.csv", "r+") as file:
            file.seek(kept)
            file.write(upload.content.encode()[kept:])
    assert daemon.wait_for_state("big.csv", State.IMPORTED, within_s=60).id == broken.id


@pytest.mark.timeout(120)
def test_the_import_in_hand_finishes(daemon: Daemon, tmp_path: Path) -> None:
    local = tmp_path / "sales.csv"
    local.write_text(sales(1, ROWS))
    Paramiko(Account(daemon)).put(local, "sales.csv")
    daemon.wait_for_state("sales.csv", State.IMPORTING)
    reader = daemon.ledger()
    assert daemon.stop() == 0
    reader = daemon.ledger()
    (delivery,) = reader.find(name="sales.csv")
    assert delivery.state is State.IMPORTED
    assert [move.after for move in reader.moves(delivery.id)][-2:] == [
        State.IMPORTING,
        State.IMPORTED,
    ]
    assert daemon.rows("SELECT count(*) FROM transactions") == [(ROWS,)]
    reader.close()


@pytest.mark.timeout(120)
def test_what_waits_behind_the_import_in_hand_is_imported_once_after_the_start(
    daemon: Daemon, tmp_path: Path
) -> None:
    client = Paramiko(Account(daemon))
    for number in range(3):
        local = tmp_path / f"sales-{number}.csv"
        local.write_text(sales(1 + number * ROWS // 3, ROWS // 3))
        client.put(local, local.name)
    daemon.wait_for_state("sales-0.csv", State.IMPORTING, State.IMPORTED)
    assert daemon.stop() == 0
    daemon.start()
    daemon.wait_until_idle()
    for number in range(3):
        (delivery,) = daemon.deliveries(f"sales-{number}.csv")
        assert (delivery.state, delivery.run) == (State.IMPORTED, 1)
    assert daemon.rows("SELECT count(*) FROM transactions") == [(ROWS,)]


@pytest.mark.timeout(120)
def test_a_file_that_the_folder_door_copies_is_taken_or_left_whole(
    idle_daemon: Daemon, tmp_path: Path
) -> None:
    daemon, folder = idle_daemon, tmp_path / "export"
    folder.mkdir()
    added = f'\n[[folders]]\npath = "{folder}"\ncustomer = "acme"\nquiet_s = 0.1\nafter = "move"\n'
    main_toml(daemon, MAIN_TOML + added)
    daemon.start()
    content = sales(1, ROWS)
    (folder / "sales.csv").write_text(content)
    wait_for("the copy to begin", lambda: daemon.deliveries("sales.csv"))
    assert daemon.stop() == 0
    daemon.start()
    delivery = daemon.wait_for_state("sales.csv", State.IMPORTED, within_s=60)
    assert delivery.size_bytes == len(content)
    moved = folder / "delivered" / "sales.csv"
    wait_for("the original to go", moved.exists)
    assert moved.read_text() == content
    accepted = [d for d in daemon.deliveries() if d.state is State.IMPORTED]
    assert len(accepted) == 1
