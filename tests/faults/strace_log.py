"""Reads what strace wrote about the daemon and judges the order of an acknowledgement.

Owns the reading of `strace -f -ttt -yy -s 5000 -o LOG`. Never starts anything.
A kill cannot show a missing fsync (the page cache outlives the process), so the promise
"acknowledge last" is judged here, from the order of the system calls themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

WRITES = frozenset({"write", "pwrite64", "writev", "pwritev"})
SYNCS = frozenset({"fsync", "fdatasync"})
SENDS = frozenset({"sendto", "sendmsg", "write", "writev"})
RENAMES = frozenset({"rename", "renameat", "renameat2"})
# What the acknowledge path may call.
TRACED = (
    "openat",
    "write",
    "pwrite64",
    "writev",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "ftruncate",
    "sendto",
    "sendmsg",
)

_LINE = re.compile(
    r"(?P<thread>\d+) +(?P<at>\d+\.\d+) (?:"
    r"(?P<name>\w+)\((?P<args>.*)\) += (?P<result>.*)"
    r"|(?P<begun>\w+)\((?P<begun_args>.*) <unfinished \.\.\.>"
    r"|<\.\.\. (?P<ended>\w+) resumed>(?P<ended_args>.*)\) += (?P<ended_result>.*))"
)
_DESCRIPTOR = re.compile(r"\d+<(?P<path>(?:[^>]|(?<=-)>)*)>")  # "a->b" is a connection
_BEFORE = ("the file is on disk", "the ledger is on disk")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Call:
    """One system call. began, ended: line numbers in the log, so they order all threads."""

    thread: int
    at: float
    name: str
    args: str
    result: str
    began: int
    ended: int

    @property
    def done(self) -> bool:
        """Tell whether it returned without an error."""
        return bool(self.result) and not self.result.startswith(("-1", "?"))

    @property
    def target(self) -> str:
        """The path or connection behind the first descriptor, else the first quoted path."""
        found = _DESCRIPTOR.match(self.args)
        if found:
            return found["path"]
        names = _QUOTED.findall(self.args)
        return names[0] if names else ""

    @property
    def paths(self) -> list[str]:
        """Every quoted path, in order."""
        return _QUOTED.findall(self.args)


def read(text: str) -> list[Call]:
    """Read a log into calls, in the order of their beginning."""
    calls: list[Call] = []
    open_calls: dict[int, tuple[float, str, str, int]] = {}
    for number, line in enumerate(text.splitlines()):
        found = _LINE.fullmatch(line)
        if not found:
            continue
        thread, at = int(found["thread"]), float(found["at"])
        if found["name"]:
            calls.append(
                Call(thread, at, found["name"], found["args"], found["result"], number, number)
            )
        elif found["begun"]:
            open_calls[thread] = (at, found["begun"], found["begun_args"], number)
        elif thread in open_calls:
            began_at, name, args, began = open_calls.pop(thread)
            args += found["ended_args"]
            calls.append(Call(thread, began_at, name, args, found["ended_result"], began, number))
    calls.sort(key=lambda call: call.began)
    return calls


def complaints(calls: list[Call], peer_port: int, acknowledged_at: float) -> list[str]:
    """Say what is wrong with the order of one upload's acknowledgement; [] if it is right.

    calls: of a daemon that took one upload. peer_port: the client's; acknowledged_at: when it
    had read the reply to CLOSE, after which it sent nothing more.
    Right is: last write < fsync of the file < commit of the ledger, on disk < rename into
    arrived/ < fsync of both folders < reply.
    """
    reply = _reply(calls, peer_port, acknowledged_at)
    if reply is None:
        return ["no reply was sent to the client"]
    moves = [call for call in calls if call.name in RENAMES and call.done and _arrives(call)]
    if len(moves) != 1:
        return [f"{len(moves)} renames into arrived/, not 1"]
    move = moves[0]
    source = move.paths[0]
    writes = [c for c in calls if c.name in WRITES and c.target == source]
    if not writes:
        return ["the file was never written"]
    synced = _first(calls, SYNCS, source, after=writes[-1].ended)
    # The row of `moves` that says so: how it lies in the page that the commit writes.
    arrival = f"{source.rpartition('/')[2]}receivingarrived"
    pages = (c for c in calls if c.name in WRITES and arrival in c.args and _is_ledger(c))
    page = next(pages, None)
    committed = page and _first(calls, SYNCS, page.target, after=page.ended)
    steps: list[tuple[str, Call | None]] = [
        ("the file is on disk", synced),
        ("the ledger is on disk", committed),
        ("the file is renamed", move),
    ]
    for folder in (source.rpartition("/")[0], move.paths[-1].rpartition("/")[0]):
        name = folder.rpartition("/")[2]
        steps.append((f"{name}/ is on disk", _first(calls, SYNCS, folder, after=move.ended)))
    return _judge(steps, move, reply)


def _judge(steps: list[tuple[str, Call | None]], move: Call, reply: Call) -> list[str]:
    wrong = []
    for what, step in steps:
        if step is None:
            wrong.append(f"never: {what}")
            continue
        if step.ended > reply.began:
            wrong.append(f"the reply went out before {what}")
        if what in _BEFORE and step.ended > move.began:
            wrong.append(f"the rename came before {what}")
    return wrong


def _reply(calls: list[Call], peer_port: int, acknowledged_at: float) -> Call | None:
    """The last thing sent to that client before it knew."""
    sent = [
        call
        for call in calls
        if call.name in SENDS
        and call.target.startswith("TCP")
        and f":{peer_port}]" in call.target
        and call.at <= acknowledged_at
    ]
    return sent[-1] if sent else None


def _arrives(call: Call) -> bool:
    paths = call.paths
    return len(paths) > 1 and "/receiving/" in paths[0] and "/arrived/" in paths[-1]


def _is_ledger(call: Call) -> bool:
    return call.target.endswith(("/ledger.db-wal", "/ledger.db"))


def _first(calls: list[Call], names: frozenset[str], target: str, after: int) -> Call | None:
    for call in calls:
        if call.name in names and call.done and call.began > after and call.target == target:
            return call
    return None
