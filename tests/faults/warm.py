"""Starts the real daemon often and cheaply, under the tracer: its imports are done once.

Owns a launcher process that has imported all of Tilldrop and forks. A fork becomes the command
`tilldrop` with the words it is given: `cli.main()` with its own process id, descriptors and
threads. The daemon's worker is started by the real supervisor; only the start of a new Python
interpreter is answered by a fork too, of a process that stands by and has imported the worker's
modules. The worker is the daemon's own child, with the pipes, folder and environment it is given.
What each start would work out anew is had once as well (`costly`). Nothing of this is in the
product. Whatever ends the launcher ends all that it started.

The launcher is told a line of JSON: {"run": [words], "bug", "who", "home", "log",
"faults"} starts; {"arm": faults} counts anew (with SIGUSR1, while something runs). It answers
with a line each, and with {"ended": status} when what it started has ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.faults.costly import Costly
from tests.faults.tracer import Count, Hit, Place, Tracer, report_calls, seize

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
ANSWER_S = 60.0
LINE_MOST_BYTES = 1 << 20
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
MODULES = (
    "tilldrop.cli",
    "tilldrop.service",
    "tilldrop.importer.worker",
    "tests.faults.seeded",
    "asyncssh",
    "encodings.idna",
    "zoneinfo",
)
WORKER = ["-P", "-m", "tilldrop.importer.worker"]


# -- the harness's side --------------------------------------------------------------------------


class Warm:
    """A launcher. One thing runs at a time; what it did is in `hits` and `counts`."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._launcher = subprocess.Popen(
                (sys.executable, "-m", "tests.faults.warm", str(theirs.fileno())),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
        self._socket.settimeout(ANSWER_S)
        self._unread = b""
        self._ended: int | None = None
        self.hits: list[Hit] = []
        self.counts: list[Count] = []

    def run(
        self,
        words: Sequence[str],
        bug: str,
        home: Path,
        log: Path,
        faults: dict[Place, str],
        who: str = "daemon",
    ) -> Running:
        """Start the command under the tracer; counting begins at its first call.

        who: what places call the process itself.
        """
        self._ended = None
        self.hits = []
        where = {"home": str(home), "log": str(log)}
        self._say(run=list(words), bug=bug, who=who, faults=_plain(faults), **where)
        return Running(self, self._answer("pid")["pid"])

    def arm(self, faults: dict[Place, str]) -> list[Hit]:
        """Count anew; let the calls at these places go wrong. Returns what was hit before.

        `counts` is then what was counted before.
        """
        self._say(arm=_plain(faults))
        self._answer("armed")
        return self.hits

    def ended(self, within_s: float) -> int | None:
        """Return the exit code, as subprocess does, once it has ended; None if not in time."""
        deadline = time.monotonic() + within_s
        while self._ended is None:
            self._socket.settimeout(max(0.0, deadline - time.monotonic()) or 1e-6)
            try:
                self._hear()
            except (TimeoutError, BlockingIOError):
                return None
            finally:
                self._socket.settimeout(ANSWER_S)
        return self._ended

    def close(self) -> None:
        """End the launcher and all that it started."""
        self._launcher.kill()
        self._launcher.wait()
        self._socket.close()

    def _say(self, **request: object) -> None:
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        if "run" not in request and self._ended is None:
            self._launcher.send_signal(signal.SIGUSR1)

    def _answer(self, key: str) -> dict[str, Any]:
        while key not in (answer := self._hear()):
            pass
        return answer

    def _hear(self) -> dict[str, Any]:
        while b"\n" not in self._unread:  # what came is kept if the rest does not come in time
            if not (part := self._socket.recv(LINE_MOST_BYTES)):
                raise EOFError("the launcher has gone")
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if "hits" in answer:
            self.hits = [Hit(Place(*place), path, did) for place, path, did in answer["hits"]]
            self.counts = [(who, call, file, n) for who, call, file, n in answer["counts"]]
        if "ended" in answer:
            self._ended = os.waitstatus_to_exitcode(answer["ended"])
        return answer


class Running:
    """What subprocess.Popen is to a child, to what a launcher started."""

    def __init__(self, warm: Warm, pid: int) -> None:
        self._warm = warm
        self.pid = pid

    def poll(self) -> int | None:
        """Return its exit code, None as long as it runs."""
        return self._warm.ended(0)

    def wait(self, timeout: float) -> int:
        """Return its exit code once it has ended. Raises TimeoutExpired."""
        code = self._warm.ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("tilldrop", timeout)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9 it."""
        self.send_signal(signal.SIGKILL)


def _plain(faults: dict[Place, str]) -> list[tuple[object, ...]]:
    return [(*asdict(place).values(), did) for place, did in faults.items()]


def _faults(plain: list[list[Any]]) -> dict[Place, str]:
    return {Place(*place): did for *place, did in plain}


# -- the launcher's side -------------------------------------------------------------------------


class Launcher:
    """Forks and traces, one thing at a time."""

    def __init__(self, told: socket.socket) -> None:
        self._told = told
        self._lines = told.makefile("rb")
        self._costly = Costly()
        self._tracer: Tracer | None = None  # of what runs
        self._last = Tracer("")

    def serve(self) -> None:
        """Do as told until nobody is there to tell."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, lambda *_: self._between())
        for line in self._lines:
            request = json.loads(line)
            if "run" in request:
                self._run(request)
            else:
                self._do(request, self._last)

    def _between(self) -> None:
        """Do what is told while something is traced."""
        if self._tracer is not None:
            self._do(json.loads(self._lines.readline()), self._tracer)

    def _do(self, request: dict[str, Any], tracer: Tracer) -> None:
        seen = _seen(tracer)
        tracer.arm(_faults(request["arm"]))
        self._say(armed=True, **seen)

    def _run(self, request: dict[str, Any]) -> None:
        tracer = Tracer(request["home"])
        tracer.arm(_faults(request["faults"]))
        self._costly.load(Path(request["home"]))
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(writing)
            os.read(reading, 1)
            os.close(reading)
            self._lines.close()
            self._told.close()
            become(request)
        os.close(reading)
        seize(pid)
        self._say(pid=pid)
        self._tracer = self._last = tracer
        os.write(writing, b"!")
        os.close(writing)
        status = tracer.follow(pid, request["who"])
        self._tracer = None
        self._say(ended=status, **_seen(tracer))

    def _say(self, **answer: object) -> None:
        self._told.sendall(json.dumps(answer).encode() + b"\n")


def _seen(tracer: Tracer) -> dict[str, Any]:
    hits = [(list(asdict(hit.place).values()), hit.path, hit.did) for hit in tracer.hits]
    counts = [[*kind, count] for kind, count in tracer.counts.items()]
    return {"hits": hits, "counts": counts}


def become(request: dict[str, Any]) -> None:
    """Be the command `tilldrop` from now on, with a bug planted or "none"."""
    code: object = 1
    try:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        report_calls()
        stand_by()
        sys.argv = ["tilldrop", *request["run"]]
        seeded = importlib.import_module("tests.faults.seeded")
        seeded.SEEDS[request["bug"]]()
        importlib.import_module("tilldrop.cli").main()
        code = 0
    except SystemExit as end:
        code = end.code
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


def stand_by() -> None:
    """Fork the process of which workers are forked, and let `subprocess` know of it."""
    prctl(PR_SET_CHILD_SUBREAPER)
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        _name("warm")
        _fork_workers(theirs)
        os._exit(0)
    theirs.close()
    original = subprocess._fork_exec  # type: ignore[attr-defined]

    def fork_exec(args: Sequence[Any], *rest: Any) -> int:
        if list(args[1:4]) != WORKER:
            return int(original(args, *rest))
        _, _, _, folder, environment, stdin, _, _, stdout, _, stderr = rest[:11]
        said = {"args": list(args[4:]), "folder": folder}
        said["environment"] = [os.fsdecode(one) for one in environment]
        socket.send_fds(ours, [json.dumps(said).encode()], [stdin, stdout, stderr])
        return int(ours.recv(32))

    subprocess._fork_exec = fork_exec  # type: ignore[attr-defined]


def _fork_workers(asked: socket.socket) -> None:
    """Fork a worker at each request; it becomes the daemon's child, not this process's."""
    while True:
        request, descriptors, _, _ = socket.recv_fds(asked, LINE_MOST_BYTES, 3)
        if not request:
            return
        reading, writing = os.pipe()
        between = os.fork()
        if between == 0:
            worker = os.fork()
            if worker:
                asked.send(str(worker).encode())
                os._exit(0)
            os.close(writing)
            os.read(reading, 1)  # until its parent is the daemon
            os.close(reading)
            asked.close()
            _be_worker(json.loads(request), descriptors)
        os.close(reading)
        os.waitpid(between, 0)
        os.close(writing)
        for descriptor in descriptors:
            os.close(descriptor)


def _be_worker(request: dict[str, Any], descriptors: list[int]) -> None:
    _name("td-worker")
    for place, descriptor in enumerate(descriptors):
        os.dup2(descriptor, place)
        os.close(descriptor)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(dict(pair.split("=", 1) for pair in request["environment"]))
    code = 1
    try:
        code = importlib.import_module("tilldrop.importer.worker").main(request["args"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _name(name: str) -> None:
    Path("/proc/self/comm").write_text(name)


def prctl(option: int, value: int = 1) -> None:
    """Set one thing of this process."""
    ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


if __name__ == "__main__":
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for name in MODULES:
        importlib.import_module(name)
    gc.freeze()
    Launcher(socket.socket(fileno=int(sys.argv[1]))).serve()
