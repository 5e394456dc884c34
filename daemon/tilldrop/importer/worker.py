"""The importer's child process: one job in, one report out, for as long as its parent lives.

Owns the warm connections and the pipe. Promises: one worker a home (a lock), none without its
parent (a death signal and the end of stdin), a bug in one job leaves the next unharmed. Never
imports sqlite3 (see `store`), never touches the ledger.

The pipe: a JSON `Job` a line on stdin; on stdout first {"ready": pid}, then for each job one of
{"report": {...}}, {"error": "data-busy", ...}, the code of a DataUnavailable, {"crash": traceback}.
{"draft": {...}, "each": [{...}, ...]} are several jobs, each of which is the draft with its own
fields, answered by {"reports": [{...}, ...]} or, if nothing of them was done, as a job is. A line
that names a task is no job: {"task": "undo", "data_path", "customer", "delivery",
"arrival_seq", "elsewhere", "ends_replay"} is answered by {"done": {...}}, the fields of
`undo.Undone`, or as a job is. The end of stdin ends the child.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import sys
import time
import traceback
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import duckdb
from adbc_driver_manager import Error as AdbcError
from adbc_driver_sqlite import dbapi

from tilldrop.errors import BytesUnreadable, DataDamaged, DataFull, DataUnavailable
from tilldrop.importer import engine
from tilldrop.importer.booking import Stores
from tilldrop.importer.cards import mask
from tilldrop.importer.erasing import erase_shopper, forget_customer, rewrite
from tilldrop.importer.expiring import expire_refused, expire_versions, shorten_reports
from tilldrop.importer.jobs import jobs_from
from tilldrop.importer.run import run
from tilldrop.importer.store import Store
from tilldrop.importer.store_connection import is_damaged, is_failing, is_full, is_unreadable
from tilldrop.importer.together import NotTogether, run_all
from tilldrop.importer.undo import undo
from tilldrop.rows import Job, Report

if TYPE_CHECKING:
    from collections.abc import Iterator

EXIT_LOCKED = 75  # EX_TEMPFAIL: another worker holds the lock
NICE = 5  # who waits for an answer at a door goes first
EXIT_ORPHANED = 76
LOCK_WAIT_S = 5.0  # a killed worker lets go of its lock when its last write is through
LOCK_RETRY_S = 0.05
PR_SET_PDEATHSIG = 1  # linux/prctl.h
OOM_SCORE = 500  # counts as half of the memory there is: proc(5)


def run_job(job: Job) -> Report:
    """Do one job with connections of its own; see `Worker.run`."""
    with closing(Worker()) as worker:
        report = worker.run(job)
        worker.rest()
        return report


class Worker:
    """Connections that stay warm from job to job: opening them costs 25 ms."""

    def __init__(self) -> None:
        self._terms: engine.Terms | None = None
        self._con: duckdb.DuckDBPyConnection | None = None
        self._has_tables = False
        self._store: Store | None = None
        self._sandbox: Store | None = None
        self._folder: Path | None = None

    def run(self, job: Job) -> Report:
        """Import a delivery and return the committed report; rest() must follow.

        If this run of the delivery is in data.db already, its report is returned.
        Raises DataUnavailable and its kinds (temporary). Any other error is a bug. After
        an error nothing is booked, and the next job gets new connections.
        """
        with self._closed_on_error(job):
            stores = self._open(job)
            return run(job, lambda: self._engine(job), stores, self._empty_folder(job))

    def run_all(self, jobs: list[Job]) -> list[Report]:
        """Import several deliveries as `together.run_all` does, or one by one if that cannot be.

        Raises as `run` does; then what was not committed before is not booked.
        """
        try:
            with self._closed_on_error(jobs[0]):
                stores = self._open(jobs[0])
                return run_all(jobs, stores, lambda: self._empty_folder(jobs[0]))
        except NotTogether:
            return [self._run_by_itself(job) for job in jobs]

    def _run_by_itself(self, job: Job) -> Report:
        report = self.run(job)
        self.rest()
        return report

    @contextmanager
    def _closed_on_error(self, job: Job) -> Iterator[None]:
        with _trouble_told(Path(job.data_path).parent, Path(job.temp_dir)):
            try:
                yield
            except BaseException:
                self.close()
                raise

    def rest(self) -> None:
        """Do what can wait until the report is out: clear away what the job left."""
        if self._folder is not None and any(self._folder.iterdir()):
            shutil.rmtree(self._folder)
            self._folder = None
        if self._con is not None and self._has_tables:
            engine.drop_all(self._con)
            self._has_tables = False
        stores = (self._store, self._sandbox)
        rested = [store.rest() for store in stores if store is not None]
        if any(rested):
            # What a large job leaves in the allocator would count against the next one's
            # memory: 90 MB after half a million rows.
            ctypes.CDLL(None).malloc_trim(0)

    def close(self) -> None:
        """Close what is open, remove what is left."""
        stores, con = (self._store, self._sandbox), self._con
        self._store = self._sandbox = self._con = self._terms = None
        for store in stores:
            if store is not None:
                store.close()
        if con is not None:
            con.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _open(self, job: Job) -> Stores:
        data_path = Path(job.data_path)
        if self._store is not None and not self._store.is_at(data_path):
            self.close()
        if self._store is None:
            self._store = Store(data_path)
        return Stores(self._store, self._open_sandbox(job))

    def _empty_folder(self, job: Job) -> Path:
        """Return the private folder of a run, without what another one left there."""
        folder = Path(job.temp_dir) / "run"
        if folder != self._folder or any(folder.iterdir()):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        self._folder = folder
        return folder

    def _engine(self, job: Job) -> duckdb.DuckDBPyConnection:
        """Return the DuckDB that files are read with; small ones do without."""
        terms = engine.Terms.of(job)
        if self._con is not None and self._terms != terms:
            self._con.close()
            self._con = None
        if self._con is None:
            self._con, self._terms = engine.connect(terms), terms
        self._has_tables = True
        return self._con

    def _open_sandbox(self, job: Job) -> Store | None:
        # A replay begins and ends in both databases, also with a job whose rows are all live.
        wanted = job.sandbox_path or str(job.replay.get("sandbox_path", ""))
        path = Path(wanted)
        if not wanted:
            return None
        if self._sandbox is not None and not self._sandbox.is_at(path):
            self._sandbox.close()
            self._sandbox = None
        if self._sandbox is None:
            self._sandbox = Store(path)
        return self._sandbox


@contextmanager
def _trouble_told(*folders: Path) -> Iterator[None]:
    """Turn what libraries say of files and disks into DataUnavailable and its kinds."""
    try:
        yield
    except BaseException as error:
        if is_full(error, folders):
            raise DataFull(str(error)) from error
        if is_damaged(error):
            raise DataDamaged(str(error)) from error
        if is_failing(error):
            raise DataUnavailable(str(error)) from error
        if is_unreadable(error):
            raise BytesUnreadable(str(error)) from error
        raise


def do_task(task: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked beside jobs, with connections of its own.

    task: as the pipe has it. Returns what is answered as done. Raises DataUnavailable.
    """
    path = Path(task["data_path"])
    with _trouble_told(path.parent), closing(Store(path)) as store:
        customer = task.get("customer", "")
        match task["task"]:
            case "undo":
                named = (customer, task["delivery"], task["arrival_seq"])
                more = {"elsewhere": task["elsewhere"], "ends_replay": task["ends_replay"]}
                done = asdict(undo(store, *named, **more))
            case "customer-forget":
                done = {"rows": forget_customer(store, customer)}
                done["rewritten"] = rewrite(store.connection)
            case "shopper-erase":
                named = (customer, task["shopper"], task["texts"])
                done = {"erased": erase_shopper(store, *named)}
                done["rewritten"] = rewrite(store.connection)
            case "expire":
                done = _expire(store, task)
            case unknown:
                raise ValueError(unknown)
        store.rest()
    return done


def _expire(store: Store, task: dict[str, Any]) -> dict[str, Any]:
    match task["what"]:
        case "refused":
            return asdict(expire_refused(store, task["before"], task["after"]))
        case "versions":
            return asdict(expire_versions(store, task["before"]))
        case "reports":
            return {"dropped": shorten_reports(store, task["deliveries"]), "after": None}
        case unknown:
            raise ValueError(unknown)


def main(arguments: list[str]) -> int:
    """Run the child. arguments: the lock's path. Returns its exit status."""
    pipe = _take_stdout()
    # Ctrl-C and a service manager signal the whole group; this process ends by its stdin.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if not _tie_to_parent():
        return EXIT_ORPHANED
    _stand_back()
    with Path(arguments[0]).open("ab") as lock:
        if not _take_lock(lock):
            return EXIT_LOCKED
        _warm_up()
        _say(pipe, json.dumps({"ready": os.getpid()}))
        _serve(pipe)
    return 0


def _take_stdout() -> BinaryIO:
    """Keep stdout for the pipe; whatever a library prints goes to stderr."""
    sys.stdout.flush()
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return pipe


def _tie_to_parent() -> bool:
    """Die when the parent does. Returns False if it is dead already.

    The signal comes when the parent's *thread* that started this process ends: prctl(2).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    poll = select.poll()
    poll.register(0, 0)
    return not any(event & select.POLLHUP for _, event in poll.poll(0))


def _stand_back() -> None:
    """Be behind the daemon with its sessions: for a processor, and when memory runs out."""
    with suppress(OSError):  # a container or a unit may forbid it
        os.nice(NICE)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE), encoding="ascii")


def _take_lock(lock: BinaryIO) -> bool:
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(LOCK_RETRY_S)
        else:
            return True


def _warm_up() -> None:
    """Make both libraries load what they load on first use."""
    with (
        duckdb.connect() as con,
        closing(dbapi.connect(":memory:", autocommit=True)) as sqlite,
        closing(sqlite.cursor()) as cursor,
    ):
        cursor.execute("SELECT ?", con.sql("SELECT 1"))
        con.from_arrow(cursor.fetch_arrow()).fetchall()


def _serve(pipe: BinaryIO) -> None:
    with closing(Worker()) as worker:
        for line in sys.stdin.buffer:
            _say(pipe, _answer(worker, line))
            try:
                worker.rest()
            except (AdbcError, duckdb.Error, OSError):
                traceback.print_exc()  # the report is out; the next job starts afresh
                worker.close()


def _answer(worker: Worker, line: bytes) -> str:
    try:
        plain = json.loads(line)
        if "task" in plain:
            done = do_task(plain)
            if plain["task"] != "expire":
                worker.close()  # its stores remember who was erased
            return json.dumps({"done": done})
        if "each" in plain:
            reports = ",".join(each.to_json() for each in worker.run_all(jobs_from(plain)))
            return f'{{"reports":[{reports}]}}'
        report = worker.run(Job(**plain))
    except DataUnavailable as wait:
        return json.dumps({"error": wait.code})
    except Exception:  # noqa: BLE001  the edge of a unit of work; the parent logs it
        # A library's message may quote the file.
        return json.dumps({"crash": mask(traceback.format_exc())})
    return f'{{"report":{report.to_json()}}}'


def _say(pipe: BinaryIO, line: str) -> None:
    pipe.write(line.encode() + b"\n")
    pipe.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
