"""Nothing acknowledged is lost, nothing is doubled, nothing broken is imported.

The short sweep of `make test`; `make faults` runs the long one. The same harness must catch
each planted bug, else its silence would mean nothing. Owns what the sweeps' tests share: whether
this machine lets a process trace its children.
"""

from __future__ import annotations

import random
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.clients import Account, Paramiko
from tests.daemon import Daemon, is_alive, sales, wait_for
from tests.faults.bed import Bed, small_host_keys
from tests.faults.kill_sweep import KillSweep, kill_worker
from tests.faults.strace import traced, watch_order
from tests.faults.strace_log import complaints, read
from tests.faults.tracer import CAN_TRACE, Place
from tests.faults.verb_sweep import VerbSweep
from tests.faults.warm import Warm
from tilldrop.delivery import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import paramiko

SWEEP_S = 14.0
SWEEP_MOST_S = 90.0  # on a machine busy with other tests
SWEEP_SEED = 20260314
FIRED_AT_LEAST = 15  # alone about 60 within SWEEP_S
COMMANDS = 6
PATIENCE_S = 10.0  # with a planted bug it may never be idle again
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


@pytest.fixture(scope="module")
def small_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Host keys that are loaded quickly."""
    return small_host_keys(tmp_path_factory.mktemp("small") / "keys")


@pytest.fixture
def make_sweep(tmp_path: Path, small_keys: Path) -> Iterator[Callable[[str], KillSweep]]:
    """Sweeps by a planted bug, whose daemons are gone when the test is over."""
    if not CAN_TRACE:
        pytest.skip("the tracer knows the registers of x86-64 alone")
    made: list[KillSweep] = []

    def make(bug: str) -> KillSweep:
        made.append(KillSweep(tmp_path / bug, small_keys, SWEEP_SEED, (), bug))
        return made[-1]

    yield make
    for sweep in made:
        sweep.close()


def test_no_kill_at_any_system_call_loses_or_doubles_an_upload(
    make_sweep: Callable[[str], KillSweep],
) -> None:
    sweep = make_sweep("none")
    began = time.monotonic()
    done = sweep.run(began + SWEEP_S, passes=1)
    while done.fired.total() < FIRED_AT_LEAST and time.monotonic() < began + SWEEP_MOST_S:
        sweep.attempt()
    assert done.complaints == [], done.told()
    assert done.fired.total() >= FIRED_AT_LEAST, done.told()


def test_no_kill_of_a_command_leaves_it_half_done(tmp_path: Path, small_keys: Path) -> None:
    if not CAN_TRACE:
        pytest.skip("the tracer knows the registers of x86-64 alone")
    sweep = VerbSweep(tmp_path, small_keys, SWEEP_SEED)
    try:
        done = sweep.run(time.monotonic(), passes=1)
        for _ in range(COMMANDS):
            sweep.attempt()
    finally:
        sweep.close()
    assert done.complaints == [], done.told()
    assert done.fired.total() > 0, done.told()


@pytest.mark.parametrize(
    ("bug", "place", "said"),
    [
        # The first commits of a try begin its uploads; one of the later ones is the late one.
        (
            "acknowledged-before-commit",
            ("daemon", "fsync", "ledger.db-wal"),
            "was acknowledged and is in the ledger 0 times",
        ),
        ("state-before-rows", ("daemon", "rename", "arrived/*"), "(rows, cents) are (0, 0)"),
    ],
)
def test_sweep_catches_a_planted_bug(
    make_sweep: Callable[[str], KillSweep], bug: str, place: tuple[str, str, str], said: str
) -> None:
    sweep = make_sweep(bug)
    for number in range(1, 10):
        bed = sweep.ready_bed()
        bed.patience_s = PATIENCE_S
        sweep.attempt_at(bed, "sftp", Place(*place, number))
        if any(said in complaint for complaint in sweep.done.complaints):
            return
    pytest.fail(f"{sweep.done.told()} {sweep.done.complaints}")


def test_what_ends_a_launcher_ends_the_daemon_and_its_worker(
    tmp_path: Path, small_keys: Path
) -> None:
    if not CAN_TRACE:
        pytest.skip("the tracer knows the registers of x86-64 alone")
    warm = Warm()
    try:
        bed = Bed(tmp_path, small_keys, warm=warm)
        bed.start()
        pids = [bed.daemon.pid, bed.daemon.worker_pid()]
    finally:
        warm.close()
    wait_for("both to be gone", lambda: not any(pid and is_alive(pid) for pid in pids))


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
