"""The real worker under its supervisor: killed, stopped, grown, orphaned."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog

import tilldrop
from tests.daemon import children
from tests.unit.jobs import Place, sales
from tilldrop.config import ImporterSettings
from tilldrop.errors import WorkerLost
from tilldrop.importer.supervisor import Supervisor
from tilldrop.rows import Counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MANY = 300_000  # rows: about a second of work
KILLS = 6
PATIENCE_S = 20.0


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.make(tmp_path)


@pytest.fixture(scope="module")
def many() -> str:
    return sales(MANY)


@contextmanager
def supervised(place: Place, settings: ImporterSettings | None = None) -> Iterator[Supervisor]:
    supervisor = Supervisor(place.lock, settings or ImporterSettings())
    try:
        supervisor.start()
        yield supervisor
    finally:
        supervisor.stop()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)


def pid_of(supervisor: Supervisor) -> int:
    """Return the worker's pid, once there is one."""
    until(lambda: supervisor.pid is not None)
    assert supervisor.pid is not None
    return supervisor.pid


def is_gone(pid: int) -> bool:
    """Tell whether a process and its threads have ended, though nobody may have reaped it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "Z" and len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
    except FileNotFoundError:
        return True


def is_worker(pid: int) -> bool:
    """Tell whether a process has become a worker.

    Before that it is a copy of this one which the thread that makes it waits for: who stops it
    then stops both.
    """
    with suppress(FileNotFoundError):
        return b"tilldrop.importer.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def test_jobs_are_answered_by_one_warm_worker(place: Place) -> None:
    with supervised(place) as supervisor:
        pid = supervisor.pid
        assert supervisor.run(place.job(sales(3))).counts.inserted == 3
        assert supervisor.run(place.job(sales(3), seq=2)).counts.unchanged == 3
        assert supervisor.pid == pid


def test_callers_at_the_same_time_take_turns(place: Place) -> None:
    with supervised(place) as supervisor, ThreadPoolExecutor(8) as callers:
        jobs = [place.job(sales(3), seq=seq, customer=f"c{seq}") for seq in range(1, 17)]
        reports = list(callers.map(supervisor.run, jobs))
    assert [report.delivery for report in reports] == [job.delivery for job in jobs]


def test_worker_killed_in_the_middle_of_a_job_is_replaced(place: Place, many: str) -> None:
    with supervised(place) as supervisor, ThreadPoolExecutor(1) as caller:
        pid = pid_of(supervisor)
        answer = caller.submit(supervisor.run, place.job(many))
        until((place.temp / "run").exists)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerLost, match="SIGKILL"):
            answer.result(PATIENCE_S)
        assert place.booked() == 0
        assert supervisor.run(place.job(sales(3))).counts.inserted == 3
        assert supervisor.pid != pid


def test_worker_that_died_idle_costs_no_job(place: Place) -> None:
    with supervised(place) as supervisor, structlog.testing.capture_logs() as events:
        pid = pid_of(supervisor)
        os.kill(pid, signal.SIGKILL)
        until(lambda: is_gone(pid))
        assert supervisor.run(place.job(sales(3))).counts.inserted == 3
    lost = [event for event in events if event["event"] == "worker.lost"]
    assert [event["why"] for event in lost] == ["it was ended by SIGKILL while idle"]


def test_worker_that_hangs_is_killed_and_replaced(place: Place) -> None:
    with supervised(place, ImporterSettings(timeout_s=1)) as supervisor:
        pid = pid_of(supervisor)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(WorkerLost, match="no answer within 1 s"):
            supervisor.run(place.job(sales(3)))
        assert is_gone(pid)
        assert supervisor.run(place.job(sales(3))).counts.inserted == 3


def test_worker_that_grows_past_its_memory_is_killed_and_replaced(place: Place, many: str) -> None:
    with supervised(place) as supervisor:
        statm = Path(f"/proc/{supervisor.pid}/statm").read_text()
    warm_bytes = int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")
    settings = ImporterSettings(memory_bytes=warm_bytes + 32 * 1024**2)
    with supervised(place, settings) as supervisor:
        assert supervisor.run(place.job(sales(3))).counts.inserted == 3
        with pytest.raises(WorkerLost, match="MiB of memory"):
            supervisor.run(place.job(many, seq=2))
        assert supervisor.run(place.job(sales(4), seq=3)).counts.inserted == 1


def test_bug_in_the_worker_is_told_with_its_traceback_and_kills_nobody(place: Place) -> None:
    with supervised(place) as supervisor, structlog.testing.capture_logs() as events:
        pid = supervisor.pid
        job = place.job(sales(3))
        Path(job.path).unlink()
        with pytest.raises(WorkerLost, match="FileNotFoundError"):
            supervisor.run(job)
        assert supervisor.pid == pid
        assert supervisor.run(place.job(sales(3))).counts.inserted == 3
    (failed,) = (event for event in events if event["event"] == "worker.failed")
    assert failed["delivery"] == "d1"
    assert "Traceback" in failed["trace"]


@pytest.mark.parametrize("seed", range(KILLS))
def test_import_killed_anywhere_is_whole_or_not_there_and_is_done_once_when_repeated(
    place: Place, many: str, seed: int
) -> None:
    job = place.job(many)
    with supervised(place) as supervisor, ThreadPoolExecutor(1) as caller:
        answer = caller.submit(supervisor.run, job)
        wait_s = random.Random(seed).uniform(0.05, 1.6)
        pid = pid_of(supervisor)
        killer = threading.Timer(wait_s, os.kill, (pid, signal.SIGKILL))
        killer.start()
        answer.exception(PATIENCE_S)
        killer.join()
        until(lambda: is_gone(pid))
        assert place.booked() in (0, MANY)
        report = supervisor.run(job)
    assert report.counts == Counts(read=MANY, transactions=MANY, inserted=MANY)
    assert place.booked() == MANY
    assert place.read("SELECT delivery, run FROM deliveries") == [("d1", 1)]
    assert place.read("PRAGMA integrity_check") == [("ok",)]


PARENT = """
import sys
from pathlib import Path
from tilldrop.config import ImporterSettings
from tilldrop.importer.supervisor import Supervisor
supervisor = Supervisor(Path(sys.argv[1]), ImporterSettings())
supervisor.start()
print(supervisor.pid, flush=True)
sys.stdin.read()
"""


def test_worker_dies_with_a_killed_daemon_and_frees_the_lock(place: Place) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(place.lock)],
        env={"PYTHONPATH": str(Path(tilldrop.__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        while not (line := parent.stdout.readline()).strip().isdigit():
            assert line, "the parent ended"
        parent.kill()
    until(lambda: is_gone(int(line)))
    with supervised(place) as supervisor:
        assert supervisor.run(place.job(sales(3))).counts.inserted == 3


def test_second_supervisor_on_the_same_lock_says_why_it_does_not_start(place: Place) -> None:
    with supervised(place) as first:
        second = Supervisor(place.lock, ImporterSettings())
        with pytest.raises(WorkerLost, match="another worker holds the lock"):
            second.start()
        second.stop()
        assert first.run(place.job(sales(3))).counts.inserted == 3


def test_worker_that_cannot_start_is_tried_ever_more_rarely(place: Place) -> None:
    supervisor = Supervisor(place.root / "no such folder" / "lock", ImporterSettings())
    with structlog.testing.capture_logs() as events:
        with pytest.raises(WorkerLost, match="ended with status 1"):
            supervisor.start()
        until(lambda: len([e for e in events if e["event"] == "worker.lost"]) == 3)
        supervisor.stop()
    said = [event["text"] for event in events if event["event"] == "worker.said"]
    assert any("No such file or directory" in text for text in said)


def test_stop_lets_the_job_in_hand_finish(place: Place, many: str) -> None:
    supervisor = Supervisor(place.lock, ImporterSettings())
    supervisor.start()
    with ThreadPoolExecutor(1) as caller:
        answer = caller.submit(supervisor.run, place.job(many))
        until((place.temp / "run").exists)
        supervisor.stop()
        assert answer.result(0).counts.inserted == MANY


def test_stopped_supervisor_leaves_no_worker_and_takes_no_job(place: Place) -> None:
    supervisor = Supervisor(place.lock, ImporterSettings())
    supervisor.start()
    pid = pid_of(supervisor)
    supervisor.stop()
    assert is_gone(pid)
    assert supervisor.pid is None
    with pytest.raises(WorkerLost, match="stopping"):
        supervisor.run(place.job(sales(3)))
    supervisor.stop()


def test_hung_worker_does_not_hold_up_the_stop(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilldrop.importer.supervisor.STOP_WITHIN_S", 0.2)
    supervisor = Supervisor(place.lock, ImporterSettings())
    supervisor.start()
    pid = pid_of(supervisor)
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as caller:
        answer = caller.submit(supervisor.run, place.job(sales(3)))
        supervisor.stop()
        with pytest.raises(WorkerLost):
            answer.result(PATIENCE_S)
    assert is_gone(pid)


def test_worker_that_hangs_while_it_starts_does_not_hold_up_the_stop(place: Place) -> None:
    with supervised(place) as supervisor, ThreadPoolExecutor(2) as threads:
        first = pid_of(supervisor)
        os.kill(first, signal.SIGKILL)
        until(lambda: is_gone(first))
        job = threads.submit(supervisor.run, place.job(sales(5)))
        until(lambda: [pid for pid in children(os.getpid()) if is_worker(pid)])
        (starting,) = (pid for pid in children(os.getpid()) if is_worker(pid))
        os.kill(starting, signal.SIGSTOP)
        threads.submit(supervisor.stop).result(PATIENCE_S)
        assert is_gone(starting)
        with pytest.raises(WorkerLost, match="stopping"):
            job.result(PATIENCE_S)


def test_a_task_that_can_wait_stands_aside_for_an_import(place: Place, many: str) -> None:
    before = {"": "2020-01-01T00:00:00+00:00"}
    task = {"task": "expire", "what": "versions", "before": before}
    task["data_path"] = str(place.data_db)
    with supervised(place) as supervisor, ThreadPoolExecutor(1) as caller:
        answer = caller.submit(supervisor.run, place.job(many))
        until((place.temp / "run").exists)
        assert supervisor.try_task(task, 0.0) is None
        assert answer.result(PATIENCE_S).outcome == "imported"
        assert supervisor.try_task(task, PATIENCE_S) == {"dropped": 0, "after": None}
