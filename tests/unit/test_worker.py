"""A job's way to its report, in this process and in the real child."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import pytest

import tilldrop
from tests.unit.jobs import FEED, HEADER, Place, locked_elsewhere, sales
from tilldrop.errors import DataBusy
from tilldrop.importer import careful, fast, run
from tilldrop.importer.worker import EXIT_LOCKED, Worker, run_job
from tilldrop.rows import Counts, Job, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from duckdb import DuckDBPyConnection


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.make(tmp_path)


def test_good_file_becomes_rows_and_a_report(place: Place) -> None:
    content = sales(3)
    report = run_job(place.job(content))
    assert report == Report(
        delivery="d1",
        run=1,
        outcome="imported",
        feed="sales",
        fingerprint="f",
        sha256=hashlib.sha256(content.encode()).hexdigest(),
        size_bytes=len(content),
        counts=Counts(read=3, transactions=3, inserted=3),
        total_minor=300,
        currency="EUR",
        sold_from="2026-01-05T13:08:00+01:00",
        sold_to="2026-01-05T13:08:00+01:00",
        lane="careful",
        took_ms=report.took_ms,
    )
    assert place.read("SELECT transaction_id, total_minor, tender, line FROM transactions") == [
        ("0", 100, "card", 2),
        ("1", 100, "card", 3),
        ("2", 100, "card", 4),
    ]


def test_committed_run_is_not_done_again(place: Place) -> None:
    job = place.job(sales(3))
    report = run_job(job)
    Path(job.path).unlink()
    assert run_job(job) == report


def test_next_run_of_a_delivery_is_done(place: Place) -> None:
    run_job(place.job(sales(3)))
    report = run_job(place.job(sales(4), run=2))
    assert report.counts == Counts(read=4, transactions=4, inserted=1, unchanged=3)


def test_same_bytes_again_are_a_duplicate_with_a_report_of_its_own(place: Place) -> None:
    first = run_job(place.job(sales(3)))
    job = place.job(sales(3), seq=2, same_as=first.sha256)
    report = run_job(job)
    assert (report.outcome, report.reason) == ("duplicate", "same-again")
    assert report.counts == Counts()
    assert place.read("SELECT DISTINCT delivery FROM transactions") == [("d1",)]
    assert run_job(job) == report


def test_other_bytes_are_no_duplicate(place: Place) -> None:
    first = run_job(place.job(sales(3)))
    assert run_job(place.job(sales(4), seq=2, same_as=first.sha256)).outcome == "imported"


def test_file_that_no_feed_takes_is_unclaimed_and_hashed(place: Place) -> None:
    report = run_job(place.job(b"\0\1anything", feed=None, name="notes.txt", fingerprint=None))
    assert (report.outcome, report.reason, report.reason_seen) == (
        *("unclaimed", "no-feed", "notes.txt"),
    )
    assert (report.sha256, report.size_bytes) == (
        hashlib.sha256(b"\0\1anything").hexdigest(),
        10,
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "file-empty"),
        (HEADER.encode(), "no-records"),
        (b"Store,No,When\n1,1,2026-01-05 13:08\n", "header-lacks"),
        (sales(2).encode() + b"1,7\0,2026-01-05 13:08,1.00,card\n", "nul-bytes"),
        (sales(2).encode() + b'1,"7,2026-01-05 13:08,1.00,card\n', "quote-unclosed"),
        (b"PK\3\4" + bytes(1000), "unpack-failed"),
        (b"%PDF" + bytes(1000), "not-text"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_file_wrong_as_a_whole_is_rejected_and_nothing_booked(
    place: Place, content: bytes, reason: str
) -> None:
    report = run_job(place.job(content))
    assert (report.outcome, report.reason) == ("rejected", reason)
    assert [fault.code for fault in report.faults] == [reason]
    assert (report.sha256, report.size_bytes) == (
        hashlib.sha256(content).hexdigest(),
        len(content),
    )
    assert place.booked() == 0
    assert place.read("SELECT outcome FROM deliveries") == [("rejected",)]


def test_faults_up_to_the_agreed_share_leave_the_good_rows_imported(place: Place) -> None:
    report = run_job(place.job(sales(10, faulty=1)))
    assert report.outcome == "imported"
    assert report.counts == Counts(read=10, rejected=1, transactions=9, inserted=9)
    assert [(fault.code, fault.line) for fault in report.faults] == [("number-unreadable", 2)]
    assert place.read("SELECT line, code, record FROM rejected_rows") == [
        (2, "number-unreadable", "1,0,2026-01-05 13:08,?,card")
    ]


def test_faults_past_the_agreed_share_reject_the_whole_file(place: Place) -> None:
    report = run_job(place.job(sales(1000, faulty=101)))
    assert (report.outcome, report.reason, report.reason_seen) == (
        *("rejected", "too-many-faults", "10.1 %"),
    )
    assert report.fault_count == 101
    assert report.counts == Counts(read=1000, rejected=101)
    assert place.booked() == 0
    assert place.read("SELECT * FROM rejected_rows") == []


def test_share_just_reached_is_not_past_it(place: Place) -> None:
    # 29 of 100 is 0.29, though 0.29 * 100 is less than 29 in binary.
    feed = replace(FEED, max_fault_share=0.29)
    assert run_job(place.job(sales(100, faulty=29), feed=feed)).outcome == "imported"


@pytest.mark.parametrize(
    ("card_data", "outcome", "kept"), [("refuse", "rejected", 0), ("mask", "imported", 1)]
)
def test_card_number_in_a_faulty_row_is_stored_nowhere(
    place: Place, card_data: str, outcome: str, kept: int
) -> None:
    record = "1,x,2026-01-05 13:08,4111 1111 1111 1111,card"
    report = run_job(place.job(sales(20) + record + "\n", card_data=card_data))
    assert report.outcome == outcome
    assert place.read("SELECT count(*) FROM rejected_rows") == [(kept,)]
    everything = b"".join(path.read_bytes() for path in place.root.glob("data.db*"))
    assert b"4111 1111" not in everything


def losing(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return a lane that loses a row, as a reader once did."""

    def stage(con: DuckDBPyConnection, *rest: object) -> object:
        staged = real(con, *rest)
        con.execute("CREATE TEMP TABLE fewer AS FROM staged WHERE line <> 3")
        con.execute("CREATE OR REPLACE TEMP VIEW staged AS FROM fewer")
        return staged

    return stage


def test_records_lost_by_the_fast_lane_are_booked_by_the_careful_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "SMALL_BYTES", -1)
    monkeypatch.setattr(fast, "stage", losing(fast.stage))
    report = run_job(place.job(sales(5)))
    assert report.lane == "careful"
    assert report.counts == Counts(read=5, transactions=5, inserted=5)
    assert place.booked() == 5


def test_records_lost_by_both_lanes_reject_the_file(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "SMALL_BYTES", -1)
    monkeypatch.setattr(fast, "stage", losing(fast.stage))
    monkeypatch.setattr(careful, "stage", losing(careful.stage))
    report = run_job(place.job(sales(5)))
    assert (report.outcome, report.reason) == ("rejected", "counts-disagree")
    assert place.booked() == 0


def test_job_leaves_no_temporary_file_and_clears_those_of_a_killed_worker(place: Place) -> None:
    (place.temp / "run").mkdir()
    (place.temp / "run" / "left.csv").write_text("from a killed worker")
    run_job(place.job(sales(3).replace("\n", "\r\n")))
    assert [path for path in place.temp.rglob("*") if path.is_file()] == []


def test_locked_data_db_is_said_and_the_job_can_be_done_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilldrop.importer.store_connection.BUSY_TIMEOUT_MS", 50)
    job = place.job(sales(3))
    worker = Worker()
    with locked_elsewhere(place.data_db), pytest.raises(DataBusy):
        worker.run(job)
    assert worker.run(job).outcome == "imported"
    worker.close()


def test_warm_worker_keeps_nothing_of_one_job_for_the_next(place: Place) -> None:
    worker = Worker()
    worker.run(place.job(sales(10, faulty=1)))
    report = worker.run(place.job(sales(2), seq=2, customer="beta"))
    worker.close()
    assert report.counts == Counts(read=2, transactions=2, inserted=2)
    assert place.booked("beta") == 2
    assert place.read("SELECT DISTINCT delivery FROM rejected_rows") == [("d1",)]


@dataclass
class Child:
    """The real child, spoken to as the supervisor does."""

    process: subprocess.Popen[bytes]

    @property
    def stdin(self) -> IO[bytes]:
        return cast("IO[bytes]", self.process.stdin)

    def hear(self) -> dict[str, Any]:
        line = cast("IO[bytes]", self.process.stdout).readline()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, job: Job) -> dict[str, Any]:
        self.stdin.write(job.to_json().encode() + b"\n")
        self.stdin.flush()
        return self.hear()


PLAIN = ("-m", "tilldrop.importer.worker")


@contextmanager
def child(lock: Path, *code: str, **environment: str) -> Iterator[Child]:
    root = str(Path(tilldrop.__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, *(code or PLAIN), str(lock)],
        env={"PYTHONPATH": root, "LANG": "C.UTF-8", **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield Child(process)
        finally:
            process.kill()


def patched(lines: str) -> tuple[str, str]:
    """Return arguments that run the child with something changed in it."""
    head = "import sys\nfrom tilldrop.importer import engine, run, store_connection, worker\n"
    return "-c", f"{head}{lines}\nsys.exit(worker.main(sys.argv[1:]))"


def test_child_says_it_is_ready_then_answers_each_job_and_ends_with_its_stdin(
    place: Place,
) -> None:
    with child(place.lock) as one:
        assert one.hear() == {"ready": one.process.pid}
        first = one.ask(place.job(sales(3)))
        report = Report.from_json(json.dumps(first["report"]))
        assert report.counts == Counts(read=3, transactions=3, inserted=3)
        assert one.ask(place.job(sales(3), seq=2))["report"]["counts"]["unchanged"] == 3
        rest, said = one.process.communicate(timeout=10)
        assert (rest, said, one.process.returncode) == (b"", b"", 0)


def test_bug_in_one_job_leaves_the_next_unharmed(place: Place) -> None:
    with child(place.lock) as one:
        one.hear()
        job = place.job(sales(3))
        crash = one.ask(replace(job, path=str(place.root / "arrived" / "gone")))["crash"]
        assert "FileNotFoundError" in crash
        assert "Traceback" in crash
        assert one.ask(job)["report"]["outcome"] == "imported"


def test_child_says_that_data_db_is_busy(place: Place) -> None:
    with child(place.lock, *patched("store_connection.BUSY_TIMEOUT_MS = 50")) as one:
        one.hear()
        with locked_elsewhere(place.data_db):
            assert one.ask(place.job(sales(3))) == {"error": "data-busy"}
        assert one.ask(place.job(sales(3)))["report"]["outcome"] == "imported"


def test_what_a_library_prints_does_not_get_into_the_pipe(place: Place) -> None:
    noisy = (
        "import os\nrun.SMALL_BYTES = -1\nreal = engine.connect\n"
        "def connect(terms):\n"
        "    print('printed', flush=True)\n"
        "    os.write(1, b'written')\n"
        "    return real(terms)\n"
        "engine.connect = connect"
    )
    with child(place.lock, *patched(noisy)) as one:
        one.hear()
        assert one.ask(place.job(sales(3)))["report"]["outcome"] == "imported"
        rest, said = one.process.communicate(timeout=10)
        assert (rest, said) == (b"", b"printed\nwritten")


def test_child_has_one_sqlite_and_none_of_the_daemon_s_libraries(place: Place) -> None:
    """The list of imports is the interpreter's own, of a child that has done a job."""
    with child(place.lock, PYTHONPROFILEIMPORTTIME="1") as one:
        one.hear()
        assert one.ask(place.job(sales(10, faulty=1)))["report"]["outcome"] == "imported"
        maps = Path(f"/proc/{one.process.pid}/maps").read_text()
        _, said = one.process.communicate(timeout=10)
    imported = {line.rpartition(b"|")[2].strip().decode() for line in said.splitlines()}
    assert "tilldrop.importer.store" in imported
    unwanted = {"sqlite3", "pysqlite3", "_sqlite3", "sqlite_utils", "asyncssh", "structlog"}
    assert unwanted & {name.partition(".")[0] for name in imported} == set()
    libraries = {line.split("/")[-1] for line in maps.splitlines() if line.endswith(".so")}
    assert {name for name in libraries if "sqlite" in name} == {"libadbc_driver_sqlite.so"}


def test_second_worker_on_the_same_lock_does_not_start(place: Place) -> None:
    with child(place.lock) as one:
        one.hear()
        with child(place.lock, *patched("worker.LOCK_WAIT_S = 0.1")) as other:
            assert other.process.wait(timeout=20) == EXIT_LOCKED


def test_worker_waits_for_a_killed_one_to_let_go(place: Place) -> None:
    with child(place.lock) as one:
        one.hear()
        with child(place.lock) as other:
            one.process.kill()
            assert other.hear() == {"ready": other.process.pid}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_to_the_whole_group_does_not_end_the_worker(place: Place, number: int) -> None:
    with child(place.lock) as one:
        one.hear()
        os.kill(one.process.pid, number)
        assert one.ask(place.job(sales(3)))["report"]["outcome"] == "imported"
