"""Keeps one importer's worker alive and gives it jobs, one at a time.

Owns the child process. Promises: a worker that hangs, grows past its memory or dies is replaced
and its job answered by WorkerLost; a worker never outlives this process. Never opens data.db,
never judges a report.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import tilldrop
from tilldrop import journal
from tilldrop.errors import (
    BytesUnreadable,
    DataBusy,
    DataDamaged,
    DataFull,
    DataUnavailable,
    WorkerLost,
)
from tilldrop.importer.jobs import jobs_to_json
from tilldrop.rows import Report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tilldrop.config import ImporterSettings
    from tilldrop.rows import Job

READY_WITHIN_S = 30.0  # it waits up to 5 s for the lock; warming up takes 0.4 s
STOP_WITHIN_S = 5.0
LOOK_EVERY_S = 0.05  # how often memory is read: DuckDB was seen to take 400 MB in a second
BACK_OFF_FIRST_S = 0.1
BACK_OFF_MOST_S = 10.0
CAUSE_MOST_CHARS = 200
SAID_MOST_CHARS = 2000  # of one line on the worker's stderr
READ_BYTES = 1 << 16
WAITS: dict[type[DataUnavailable], str] = {
    DataBusy: "another program keeps data.db locked",
    DataFull: "there is no room for what is to be booked",
    DataDamaged: "data.db or sandbox.db is damaged; restore it from a backup",
    BytesUnreadable: "the system does not give the file's bytes; look at its disk",
    DataUnavailable: "data.db or sandbox.db cannot be read or written; look at its disk and rights",
}
EXIT_LOCKED = 75  # the worker's; its module is not imported here, for it brings DuckDB along


class Supervisor:
    """The worker, the one thread that starts it, and whoever talks to it, in turns.

    The kernel kills the worker when the *thread* that started it ends (PR_SET_PDEATHSIG), so
    it is started in one that lives from start() to stop(). Callers talk to it themselves: beside
    busy doors each change of thread costs a wait for the interpreter.
    """

    def __init__(self, lock_path: Path, settings: ImporterSettings) -> None:
        self._lock_path = lock_path
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, "importer-supervisor")
        self._turn = threading.RLock()  # who holds it may talk to the worker
        self._stopping = threading.Event()
        self._child: _Child | None = None
        self._losses = 0  # in a row
        self._not_before = 0.0

    @property
    def pid(self) -> int | None:
        """The worker's process id; None while there is none."""
        child = self._child
        return None if child is None else child.process.pid

    def start(self) -> None:
        """Start the worker and wait until it is warm. Raises WorkerLost if it does not come up."""
        self._ready_child()

    def run(self, job: Job) -> Report:
        """Import one file; blocks until it is done.

        Raises DataUnavailable, WorkerLost (its text says why).
        Cost: 1 ms beside the work itself.
        """
        return Report.of(self._answered(job.to_json(), job.delivery, "report"))

    def run_all(self, jobs: Sequence[Job]) -> list[Report]:
        """Import several files of one customer and feed; all of them or, as it seems, none.

        Raises DataUnavailable, WorkerLost. Cost: 1 ms beside the work itself.
        """
        answer = self._answered(jobs_to_json(jobs), jobs[0].delivery, "reports")
        return [Report.of(one) for one in answer]

    def task(self, what: dict[str, Any]) -> dict[str, Any]:
        """Have the worker do something else, and wait for it.

        what: {"task": NAME, ...}, as `worker` knows it; returns what is "done".
        Raises DataUnavailable, WorkerLost.
        """
        return dict(self._answered(json.dumps(what), str(what.get("delivery")), "done"))

    def try_task(self, what: dict[str, Any], patience_s: float) -> dict[str, Any] | None:
        """Do a task as `task` does, unless the worker is at something else for so long: None."""
        if not self._turn.acquire(timeout=patience_s):
            return None
        try:
            return self.task(what)
        finally:
            self._turn.release()

    def stop(self) -> None:
        """End the worker: it may finish the job in hand for STOP_WITHIN_S. Idempotent."""
        self._stopping.set()
        try:
            with self._turn:  # who talks to it has noticed
                # In the thread, before that ends: its end would kill the worker.
                self._thread.submit(self._end_child).result()
        except RuntimeError:
            return  # stopped already
        self._thread.shutdown(wait=True)

    def _answered(self, line: str, delivery: str, wanted: str) -> Any:
        """Ask the worker one line and return what it answers under the wanted key."""
        with self._turn:
            if self._stopping.is_set():
                raise WorkerLost("the importer is stopping")
            child = self._ready_child()
            try:
                answer = child.ask(line, self._settings, self._stopping)
            except WorkerLost as lost:
                self._lose(child, str(lost))
                raise
            self._losses = 0
        if wanted in answer:
            return answer[wanted]
        for wait, why in WAITS.items():
            if answer.get("error") == wait.code:
                raise wait(why)
        trace = str(answer.get("crash"))
        journal.worker_failed(child.pid, delivery, trace)
        raise WorkerLost(f"the import failed: {trace.strip().splitlines()[-1][:CAUSE_MOST_CHARS]}")

    def _ready_child(self) -> _Child:
        """Return a living, warm worker."""
        child = self._child
        if child is not None and child.process.poll() is None:
            return child
        try:
            return self._thread.submit(self._start_child).result()
        except RuntimeError as error:  # the executor, after stop()
            raise WorkerLost("the importer is stopping") from error

    # What is below runs in the thread, but for `_lose`.

    def _start_child(self) -> _Child:
        """Start a worker if there is none, and wait until it is warm."""
        if self._child is not None:
            if self._child.process.poll() is None:
                return self._child
            self._lose(self._child, f"it {self._child.ended()} while idle")
        self._stopping.wait(max(0.0, self._not_before - time.monotonic()))
        if self._stopping.is_set():
            raise WorkerLost("the importer is stopping")
        began = time.monotonic()
        child = _Child(self._lock_path)
        try:
            child.wait_ready(self._stopping)
        except WorkerLost as lost:
            self._lose(child, str(lost))
            raise
        journal.worker_started(child.pid, round(1000 * (time.monotonic() - began)))
        self._child = child
        return child

    def _lose(self, child: _Child, why: str) -> None:
        """Clear a worker away; another is started at once, then ever later."""
        if self._child is child:
            self._child = None
        child.kill()
        if self._stopping.is_set():
            return
        journal.worker_lost(child.pid, why)
        wait_s = min(BACK_OFF_FIRST_S * 2.0**self._losses, BACK_OFF_MOST_S)
        self._losses += 1
        self._not_before = time.monotonic() + wait_s
        with suppress(RuntimeError):  # stop() came in between
            self._thread.submit(self._replace_child)

    def _replace_child(self) -> None:
        """Have the next worker warm before the next job comes."""
        with suppress(WorkerLost):  # said, and tried again later
            self._start_child()

    def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()


class _Child:
    """One worker process and its pipes."""

    def __init__(self, lock_path: Path) -> None:
        root = Path(tilldrop.__file__).parents[1]
        self.process = subprocess.Popen(  # noqa: S603  our own interpreter and module
            # -P: the working folder is no place to import from.
            [sys.executable, "-P", "-m", "tilldrop.importer.worker", str(lock_path.absolute())],
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": str(root)},
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self.pid = self.process.pid
        self._stdin = cast("IO[bytes]", self.process.stdin)
        self._stdout = cast("IO[bytes]", self.process.stdout)
        stderr = cast("IO[bytes]", self.process.stderr)
        os.set_blocking(self._stdin.fileno(), False)
        self._unsent = b""
        self._unread = b""
        self._listener = threading.Thread(
            target=_listen, args=(self.pid, stderr), name="worker-stderr", daemon=True
        )
        self._listener.start()

    def wait_ready(self, stopping: threading.Event) -> None:
        """Wait for the worker's first line. Raises WorkerLost."""
        deadline = time.monotonic() + READY_WITHIN_S
        while (answer := self._exchange()) is None:
            if stopping.is_set():  # on a busy machine it may be long in coming
                raise WorkerLost("the importer is stopping")
            if time.monotonic() > deadline:
                raise WorkerLost(f"it was not ready within {READY_WITHIN_S:g} s")
        if "ready" not in answer:
            raise WorkerLost("its first line was not understood")

    def ask(
        self, line: str, settings: ImporterSettings, stopping: threading.Event
    ) -> dict[str, Any]:
        """Send a line and wait for its answer. Raises WorkerLost; then the child must be killed."""
        self._unsent = line.encode() + b"\n"
        deadline = time.monotonic() + settings.timeout_s
        last_call: float | None = None
        while (answer := self._exchange()) is None:
            now = time.monotonic()
            if now > deadline:
                raise WorkerLost(f"it gave no answer within {settings.timeout_s:g} s")
            if (memory_bytes := self._memory_bytes()) > settings.memory_bytes:
                taken, most = memory_bytes >> 20, settings.memory_bytes >> 20
                raise WorkerLost(f"it took {taken} MiB of memory, more than {most} MiB")
            if stopping.is_set():
                last_call = last_call or now + STOP_WITHIN_S
                if now > last_call:
                    raise WorkerLost("the importer is stopping")
        return answer

    def end(self) -> None:
        """Let it end by itself, or kill it."""
        self._stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_WITHIN_S)
        self.kill()

    def kill(self) -> None:
        """Kill it, reap it, close the pipes."""
        self.process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_WITHIN_S)
        self._listener.join(STOP_WITHIN_S)
        self._stdin.close()
        self._stdout.close()

    def ended(self) -> str:
        """Say how the process came to its end."""
        try:
            status = self.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            return "closed its pipe"
        if status < 0:
            return f"was ended by {signal.Signals(-status).name}"
        known = {EXIT_LOCKED: " (another worker holds the lock)"}
        return f"ended with status {status}{known.get(status, '')}"

    def _exchange(self) -> dict[str, Any] | None:
        """Send and receive what can be in LOOK_EVERY_S; return an answer once it is whole."""
        writers = [self._stdin] if self._unsent else []
        readable, writable, _ = select.select([self._stdout], writers, [], LOOK_EVERY_S)
        if writable:
            with suppress(BrokenPipeError):  # the end of its stdout tells more
                self._unsent = self._unsent[os.write(self._stdin.fileno(), self._unsent) :]
        if not readable:
            return None
        part = os.read(self._stdout.fileno(), READ_BYTES)
        if not part:
            raise WorkerLost(f"it {self.ended()}")
        line, end, rest = (self._unread + part).partition(b"\n")
        if not end:
            self._unread = line
            return None
        self._unread = rest
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise WorkerLost("its answer was not understood") from error
        return dict(answer)

    def _memory_bytes(self) -> int:
        """Return what of its memory is resident; 0 if it is gone."""
        try:
            statm = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii")
        except OSError:
            return 0
        return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _listen(pid: int, stderr: IO[bytes]) -> None:
    with stderr:
        for line in stderr:
            text = line.decode("utf-8", "backslashreplace").rstrip()
            journal.worker_said(pid, text[:SAID_MOST_CHARS])
