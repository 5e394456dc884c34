"""Stops a process and all its descendants at the system calls of the path, and lets one go wrong.

Owns a seccomp filter, which makes the kernel report those calls and no others, and the ptrace(2)
loop that hears of them. A call is named by who makes it, its name and the file it is about, and
numbered among its like since the last `arm`, over all threads of that process; so a place on the
path is the same in every run. At a place that is armed the process is killed before the call is
made, or the call is answered with an error and not made. Knows nothing of Tilldrop but the names
of its files. x86-64 alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import re
import signal
import struct
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

CAN_TRACE = platform.machine() == "x86_64"
# What changes anything outside the process or tells somebody something, and what the databases
# read and lock. Number -> name, where its descriptor or path stands, and where its length.
_FD, _PATH, _AT = "descriptor", "path", "path after a folder"
CALLS: dict[int, tuple[str, str]] = {
    0: ("read", _FD),
    1: ("write", _FD),
    17: ("pread64", _FD),
    18: ("pwrite64", _FD),
    20: ("writev", _FD),
    40: ("sendfile", _FD),
    44: ("sendto", _FD),
    46: ("sendmsg", _FD),
    72: ("fcntl", _FD),
    73: ("flock", _FD),
    74: ("fsync", _FD),
    75: ("fdatasync", _FD),
    76: ("truncate", _PATH),
    77: ("ftruncate", _FD),
    82: ("rename", _PATH),
    83: ("mkdir", _PATH),
    84: ("rmdir", _PATH),
    86: ("link", _PATH),
    87: ("unlink", _PATH),
    90: ("chmod", _PATH),
    91: ("fchmod", _FD),
    257: ("openat", _AT),
    258: ("mkdirat", _AT),
    263: ("unlinkat", _AT),
    264: ("renameat", _AT),
    265: ("linkat", _AT),
    280: ("utimensat", _AT),
    285: ("fallocate", _FD),
    316: ("renameat2", _AT),
    326: ("copy_file_range", _FD),
}
SENDS = frozenset({"sendto", "sendmsg", "write", "writev", "sendfile"})
UNLOCK = "fcntl unlock"
LOCKS = (5, 6, 7, 36, 37, 38)  # F_GETLK, F_SETLK, F_SETLKW and those of open files
WAKE_BYTES = 8  # so much wakes a thread; more is meant for somebody

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_RET_TRACE, _RET_ALLOW = 0x7FF00000, 0x7FFF0000
_LOAD, _JUMP_EQUAL, _JUMP_GREATER, _RETURN = 0x20, 0x15, 0x25, 0x06
_JUMPS = (_JUMP_EQUAL, _JUMP_GREATER)
_NR_AT, _SECOND_AT, _THIRD_AT = 0, 24, 32  # struct seccomp_data; of arguments, the lower half
_SENDTO, _FCNTL = 44, 72

_SEIZE, _CONT, _GETREGS, _SETREGS, _LISTEN = 0x4206, 7, 12, 13, 0x4208
_PEEKDATA = 2
_OPTIONS = 0x2 | 0x4 | 0x8 | 0x80 | 0x100000  # fork, vfork, clone, seccomp, exit kills
_EVENT_SECCOMP, _EVENT_STOP = 7, 128
_WALL = 0x40000000
_RAX, _RDX, _RSI, _RDI, _ORIG_RAX, _R10 = 10, 12, 13, 14, 15, 7
_TRAP, _STOPS = signal.SIGTRAP, (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_PATH_MOST = 4096

_ID = re.compile(r"(receiving|arrived|kept)/[^/]+$")
_RANDOM = re.compile(r"\d+|(?<=tmp)[0-9a-z_]{8}|[0-9a-f]{16,}")

Count = tuple[str, str, str, int]  # who, call, file, how often

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_Registers = ctypes.c_ulonglong * 27


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """One call on the path: the `number`th of its kind. Written "who call file number"."""

    who: str
    call: str
    file: str
    number: int

    @property
    def kind(self) -> str:
        """The place without its number."""
        return f"{self.who} {self.call} {self.file}"


@dataclass(slots=True)
class Hit:
    """A fault that happened. path: in full; did: "kill" or the error's name."""

    place: Place
    path: str
    did: str


@dataclass(slots=True)
class Tracer:
    """Traces one process and what descends from it. home: only files beneath it count.

    armed: place -> "kill", or the name of the error that the call is answered with.
    """

    home: str
    armed: dict[Place, str] = field(default_factory=dict)
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    hits: list[Hit] = field(default_factory=list)
    _pid_of: dict[int, int] = field(default_factory=dict)
    _who: dict[int, str] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    _registers: ctypes.Array[ctypes.c_ulonglong] = field(default_factory=_Registers)

    def arm(self, faults: dict[Place, str]) -> None:
        """Count and note from now on anew; let the calls at these places go wrong."""
        self.counts = Counter()
        self.hits = []
        self.armed = dict(faults)

    def follow(self, pid: int, who: str) -> int:
        """Trace a child until it and all its descendants are gone; return its wait status.

        The child must wait until `seize` was called on it.
        """
        self._who[pid] = who
        ended = -1
        while True:
            try:
                tid, status = os.waitpid(-1, _WALL)
            except ChildProcessError:
                return ended
            if not os.WIFSTOPPED(status):
                self._pid_of.pop(tid, None)
                if tid == pid:
                    ended = status
                    self.on_end(status)
                continue
            self._stopped(tid, status)

    def on_end(self, status: int) -> None:
        """Hear that the process itself has ended; descendants may be there for a moment."""

    def _stopped(self, tid: int, status: int) -> None:
        signal_number, event = os.WSTOPSIG(status), status >> 16
        if event == _EVENT_SECCOMP:
            self._called(tid)
            _ptrace(_CONT, tid)
        elif event == _EVENT_STOP and signal_number in _STOPS:
            _ptrace(_LISTEN, tid)
        elif event:
            _ptrace(_CONT, tid)
        else:
            _ptrace(_CONT, tid, 0, signal_number)

    def _called(self, tid: int) -> None:
        pid = self._pid_of.get(tid) or self._find_pid(tid)
        who = self._who.get(pid) or self._find_who(pid)
        registers = self._registers
        if not who or _ptrace(_GETREGS, tid, 0, ctypes.addressof(registers)) < 0:
            return
        call, how = CALLS[registers[_ORIG_RAX]]
        if call == "fcntl":
            call = self._lock(tid, registers)
        path = self._path(tid, call, how, registers) if call else ""
        if not path:
            return
        name = self._names.get(path) or self._named(path)
        kind = (who, call, name)
        self.counts[kind] += 1
        if not self.armed:
            return
        place = Place(*kind, self.counts[kind])
        did = self.armed.pop(place, None)
        if did is None:
            return
        self.hits.append(Hit(place, path, did))
        if did == "kill":
            os.kill(pid, signal.SIGKILL)
        else:
            registers[_ORIG_RAX] = ctypes.c_ulonglong(-1).value
            registers[_RAX] = ctypes.c_ulonglong(-getattr(errno, did)).value
            _ptrace(_SETREGS, tid, 0, ctypes.addressof(registers))

    def _find_pid(self, tid: int) -> int:
        try:
            text = Path(f"/proc/{tid}/status").read_text()
        except OSError:
            return tid
        pid = int(text.partition("\nTgid:")[2].split(maxsplit=1)[0])
        self._pid_of[tid] = pid
        return pid

    def _find_who(self, pid: int) -> str:
        """Go by the name that a process gave itself: "td-worker" is the worker."""
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            return ""
        if name.startswith("td-"):
            self._who[pid] = name[3:]
        return self._who.get(pid, "")

    def _path(
        self, tid: int, call: str, how: str, registers: ctypes.Array[ctypes.c_ulonglong]
    ) -> str:
        """Return what a call is about: a path beneath home, "socket" or "pipe"; else ""."""
        if how is _FD:
            descriptor = registers[_RSI] if call == "sendfile" else registers[_RDI]
            try:
                path = _link(tid, ctypes.c_int(descriptor).value)
            except OSError:
                return ""
            if path.startswith(("socket:", "pipe:")):
                told = call in SENDS and (
                    call in ("sendmsg", "writev") or registers[_RDX] > WAKE_BYTES
                )
                return path.partition(":")[0] if told else ""
        else:
            path = self._text(tid, registers[_RSI if how is _AT else _RDI])
            if how is _AT and not path.startswith("/"):
                with contextlib.suppress(OSError):
                    folder = ctypes.c_int(registers[_RDI]).value
                    path = f"{_link(tid, folder)}/{path}"
        return path if path.startswith(self.home) else ""

    def _lock(self, tid: int, registers: ctypes.Array[ctypes.c_ulonglong]) -> str:
        """Return whether an fcntl locks or unlocks."""
        kind = _ptrace(_PEEKDATA, tid, registers[_RDX]) & 0xFFFF
        return UNLOCK if kind == fcntl.F_UNLCK else "fcntl lock"

    def _text(self, tid: int, address: int) -> str:
        return _memory(tid, address, _PATH_MOST).partition(b"\0")[0].decode(errors="replace")

    def _named(self, path: str) -> str:
        """Return a path as it is in every run."""
        if not path.startswith(self.home):
            return path
        name = _ID.sub(r"\1/*", path[len(self.home) :].lstrip("/").removeprefix("var/"))
        self._names[path] = name = _RANDOM.sub("*", name.removeprefix("spool/")) or "."
        return name


def _link(tid: int, descriptor: int) -> str:
    """Return what a descriptor is open on; without pathlib, which costs as much again."""
    return os.readlink(f"/proc/{tid}/fd/{descriptor}")  # noqa: PTH115


def _memory(tid: int, address: int, size: int) -> bytes:
    """Read from a process; nothing if it is gone."""
    try:
        memory = os.open(f"/proc/{tid}/mem", os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.pread(memory, size, address)
    except OSError:
        return b""
    finally:
        os.close(memory)


def seize(pid: int) -> None:
    """Begin to trace a child and all that it will start."""
    if _ptrace(_SEIZE, pid, 0, _OPTIONS) < 0:
        raise OSError(ctypes.get_errno(), "ptrace(PTRACE_SEIZE)")


def report_calls() -> None:
    """Have the kernel report this process's calls of CALLS, and its descendants', to a tracer.

    Without one they fail from now on with ENOSYS.
    """
    program = b"".join(struct.pack("<HBBI", *each) for each in _filter())
    buffer = ctypes.create_string_buffer(program, len(program))
    wanted = ctypes.create_string_buffer(
        struct.pack("<HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    )
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(wanted))


def _filter() -> list[tuple[int, int, int, int]]:
    """Write the filter: (what, how far to jump if so, if not, with what)."""
    always = sorted(set(CALLS) - {_SENDTO, _FCNTL})
    sends = [(_LOAD, 0, 0, _THIRD_AT), (_JUMP_GREATER, 0, 0, WAKE_BYTES)]
    locks = [(_LOAD, 0, 0, _SECOND_AT), *((_JUMP_EQUAL, 0, 0, one) for one in LOCKS)]
    rules = [
        (_LOAD, 0, 0, _NR_AT),
        *((_JUMP_EQUAL, 0, 0, one) for one in always),
        (_JUMP_EQUAL, 0, len(sends) + 1, _SENDTO),
        *sends,
        (_RETURN, 0, 0, _RET_ALLOW),
        (_JUMP_EQUAL, 0, len(locks), _FCNTL),
        *locks,
        (_RETURN, 0, 0, _RET_ALLOW),
        (_RETURN, 0, 0, _RET_TRACE),
    ]
    # Whatever tells nothing of how far to jump leads to the last rule.
    last = len(rules) - 1
    return [
        (what, last - at - 1 if what in _JUMPS and not past else 0, past, value)
        for at, (what, _, past, value) in enumerate(rules)
    ]


def _prctl(option: int, value: int, other: int = 0) -> None:
    words = (ctypes.c_ulong(value), ctypes.c_ulong(other), ctypes.c_ulong(0), ctypes.c_ulong(0))
    if _libc.prctl(option, *words) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")


def _ptrace(request: int, tid: int, address: int = 0, value: int = 0) -> int:
    """Call ptrace(2); -1 if the task is gone, which a kill at another place may have done."""
    return int(_libc.ptrace(request, tid, ctypes.c_void_p(address), ctypes.c_void_p(value)))
