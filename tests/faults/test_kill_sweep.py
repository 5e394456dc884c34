"""Nothing acknowledged is lost, nothing is doubled, nothing broken is imported.

The short sweep of `make test`; `make faults` runs the long one. The same harness must catch
each planted bug, else its silence would mean nothing.
"""

from __future__ import annotations

import random
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.clients import Account, Paramiko
from tests.daemon import Daemon, sales, wait_for
from tests.faults.kill_sweep import (
    Bed,
    Kill,
    Sweep,
    kill_worker,
    sweep,
    traced,
    watch_order,
)
from tests.faults.strace_log import complaints, read
from tilldrop.delivery import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import paramiko

SWEEP_S = 30.0
SWEEP_SEED = 20260314
FIRED_AT_LEAST = 4  # on a machine busy with other tests; alone about 20
WORKER_KILLS = 4
BIG_ROWS = 60_000

pytestmark = pytest.mark.xdist_group("faults")


@pytest.fixture
def make_bed(tmp_path: Path, host_keys: Path) -> Iterator[MakeBed]:
    """Beds whose daemons are gone when the test is over."""
    maker = MakeBed(tmp_path, host_keys)
    yield maker
    for bed in maker.made:
        bed.daemon.kill()


class MakeBed:
    """Makes a bed with a planted bug."""

    def __init__(self, folder: Path, host_keys: Path) -> None:
        self._folder = folder
        self._host_keys = host_keys
        self.made: list[Bed] = []

    def __call__(self, bug: str = "none") -> Bed:
        bed = Bed(self._folder / str(len(self.made)), self._host_keys, bug)
        self.made.append(bed)
        return bed


def test_no_kill_at_any_system_call_loses_or_doubles_an_upload(make_bed: MakeBed) -> None:
    done = sweep(make_bed(), SWEEP_SEED, time.monotonic() + SWEEP_S)
    assert done.complaints == [], done.told()
    assert done.fired.total() >= FIRED_AT_LEAST, done.told()
    assert done.acknowledged > 0, done.told()


def test_sweep_catches_an_acknowledgement_before_the_commit(make_bed: MakeBed) -> None:
    bed = make_bed("acknowledged-before-commit")
    bed.daemon.start()
    done = Sweep()
    # The first commits of a try begin its uploads; one of the later ones is the late one.
    for when in range(2, 10):
        bed.attempt(Kill("fsync", when), done)
        if done.complaints:
            break
    said = "was acknowledged and is in the ledger 0 times"
    assert any(said in complaint for complaint in done.complaints), done


def sock_of(sftp: paramiko.SFTPClient) -> socket.socket:
    """The TCP connection beneath a session."""
    channel = sftp.get_channel()
    assert channel is not None
    sock = channel.get_transport().sock
    assert isinstance(sock, socket.socket)
    return sock


def order_complaints(bed: Bed) -> list[str]:
    """Upload one file under strace and judge the order of its acknowledgement."""
    daemon = bed.daemon.start()
    log = daemon.home / "order.log"
    with Paramiko(Account(daemon, key=bed.key)).session() as sftp:
        port = sock_of(sftp).getsockname()[1]
        with traced(daemon.pid, watch_order(), log):
            sent = bed.upload_one(sftp)
            acknowledged_at = time.time()
            taken = (State.ARRIVED, State.IMPORTING, State.IMPORTED)
            delivery = daemon.wait_for_state(sent.name, *taken)
            # The rename comes after the commit, and the trace must still hold it.
            received = daemon.paths.spool / "receiving" / delivery.id
            wait_for("its rename", lambda: not received.exists())
    return complaints(read(log.read_text(errors="replace")), port, acknowledged_at)


def test_every_step_is_on_disk_before_the_reply(make_bed: MakeBed) -> None:
    assert order_complaints(make_bed()) == []


@pytest.mark.parametrize(
    ("bug", "said"),
    [
        ("never-synced", "never: the file is on disk"),
        ("acknowledged-before-sync", "the reply went out before the file is on disk"),
        ("acknowledged-before-commit", "the reply went out before the ledger is on disk"),
        ("committed-after-rename", "the rename came before the ledger is on disk"),
    ],
)
def test_order_checker_catches_planted_bugs(make_bed: MakeBed, bug: str, said: str) -> None:
    assert said in order_complaints(make_bed(bug))


def vanish(bed: Bed) -> State:
    """Lose the connection in the middle of an upload; return what became of it."""
    daemon = bed.daemon.start()
    with Paramiko(Account(daemon, key=bed.key)).session() as sftp:
        file = sftp.open("sales.csv", "wb", bufsize=0)
        file.write(sales(1, 3).encode())
        sock_of(sftp).close()
    ended = (State.BROKEN, State.IMPORTED, State.REJECTED)
    return daemon.wait_for_state("sales.csv", *ended).state


def test_a_vanished_client_proves_no_end(make_bed: MakeBed) -> None:
    assert vanish(make_bed()) is State.BROKEN


def test_a_daemon_that_trusts_every_close_is_caught(make_bed: MakeBed) -> None:
    assert vanish(make_bed("close-trusted")) is not State.BROKEN


def test_a_killed_worker_costs_time_and_nothing_else(daemon: Daemon) -> None:
    moments = random.Random(SWEEP_SEED)
    hit = 0
    with Paramiko(Account(daemon)).session() as sftp:
        for number in range(WORKER_KILLS):
            name = f"sales-{number}.csv"
            with sftp.open(name, "wb") as file:
                file.set_pipelined(pipelined=True)
                file.write(sales(1, BIG_ROWS, store=f"s{number}").encode())
            hit += kill_worker(daemon, moments.uniform(0, 0.4))
            delivery = daemon.wait_for_state(name, State.IMPORTED, State.HELD, within_s=60)
            assert delivery.state is State.IMPORTED
            rows = daemon.rows(
                "SELECT count(*), sum(total_minor) FROM transactions WHERE location_id = ?",
                f"s{number}",
            )
            assert rows == [(BIG_ROWS, BIG_ROWS * 100)]
    assert hit > 0


def test_a_file_that_kills_the_worker_three_times_is_held_and_the_rest_goes_on(
    daemon: Daemon,
) -> None:
    with Paramiko(Account(daemon)).session() as sftp:
        with sftp.open("killer.csv", "wb") as file:
            file.set_pipelined(pipelined=True)
            file.write(sales(1, 200_000, store="k").encode())

        def held() -> bool:
            (delivery,) = daemon.deliveries("killer.csv")
            if delivery.state is State.IMPORTING:
                kill_worker(daemon, 0)
            return delivery.state in (State.HELD, State.IMPORTED)

        wait_for("the delivery to be held", held, 60)
        (delivery,) = daemon.deliveries("killer.csv")
        assert delivery.state is State.HELD
        with sftp.open("good.csv", "wb") as file:
            file.write(sales(1, 5, store="g").encode())
    daemon.wait_for_state("good.csv", State.IMPORTED)
    assert daemon.rows("SELECT count(*) FROM transactions WHERE location_id = 'k'") == [(0,)]
