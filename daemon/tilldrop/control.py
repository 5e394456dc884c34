"""run/control.sock: what the command line asks of the running daemon.

Owns the socket; what its verbs do to deliveries stands in `corrections`. A request is one line of
JSON, {"do": VERB, ...}; so is the answer: {"ok": ...}, or {"error": CODE, "text": ...} with the
code of a TilldropError. The socket is the owner's alone (mode 0600 in a folder of 0700), which is
all its protection. Never decides what a verb's answer means to a customer.

    status                                   -> how it is: see `service`
    reload                                   -> {"customers": COUNT, "needs_restart": [SECTION]}
    replay   ids | customer [feed] [since]   -> {"deliveries": [ID]}; since: ISO 8601
    hold     ids                             -> {"deliveries": [ID]}
    release  ids                             -> {"deliveries": [ID]}
    undo     id                              -> {"delivery", "restored", "removed", "kept"}
    guard-list                               -> {"penalties": [...], "waiting": COUNT}
    guard-clear [source]                     -> {"forgiven": [SOURCE]}
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import socket
import struct
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tilldrop import corrections, errors, journal
from tilldrop.delivery import Cause, State
from tilldrop.errors import CustomerBusy, NoSuchCustomer, NotRunning, TilldropError, UsageWrong
from tilldrop.importer import databases

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from pathlib import Path

    from tilldrop.config import Config, Paths
    from tilldrop.guard import Guard
    from tilldrop.ledger import Ledger
    from tilldrop.spool import Spool

    Verb = Callable[[dict[str, Any]], Awaitable[object]]

SOCKET = "control.sock"
SOCKET_MODE = 0o600
LINE_MOST_BYTES = 16 * 1024**2  # a replay of 500,000 deliveries by their ids
ASK_TIMEOUT_S = 120.0  # a replay commits once a delivery
IN_HAND_WITHIN_S = 60.0  # for the import in hand, before a customer's replay is chosen
LOOK_EVERY_S = 0.05
READ_TIMEOUT_S = 10.0  # a client that says nothing
READING = frozenset({"status", "guard-list"})  # all else changes something
ABOUT_MOST, ABOUT_MOST_CHARS = 10, 400
_CREDENTIALS = struct.Struct("3i")  # process, user, group
# What a request may say besides what to `do`. Texts may be null: not given.
TEXTS = frozenset({"id", "customer", "feed", "since", "source", "shopper"})
LISTS = frozenset({"ids", "texts", "drop"})


# -- the daemon's side ---------------------------------------------------------------------------


def delivery_verbs(
    ledger: Ledger,
    spool: Spool,
    tasks: corrections.Tasks,
    config_of: Callable[[], Config],
    ring: Callable[[Cause], None],
) -> dict[str, Verb]:
    """Return replay, hold, release and undo as the socket serves them."""
    # A replay amid an undo could book again what that has just taken back.
    turn = asyncio.Lock()

    async def do_replay(request: dict[str, Any]) -> object:
        async with turn:
            replayed = await asyncio.to_thread(_replay, ledger, spool, request, config_of())
        ring(Cause.REPLAY)
        return {"deliveries": replayed}

    async def do_hold(request: dict[str, Any]) -> object:
        return {"deliveries": await asyncio.to_thread(corrections.hold, ledger, _ids(request))}

    async def do_release(request: dict[str, Any]) -> object:
        released = await asyncio.to_thread(corrections.release, ledger, spool, _ids(request))
        ring(Cause.OPERATOR)
        return {"deliveries": released}

    async def do_undo(request: dict[str, Any]) -> object:
        paths = databases.present(config_of().paths)
        one = str(request.get("id"))
        async with turn:
            return await asyncio.to_thread(corrections.undo, ledger, spool, tasks, paths, one)

    return {"replay": do_replay, "hold": do_hold, "release": do_release, "undo": do_undo}


def guard_verbs(guard: Guard) -> dict[str, Verb]:
    """Return what shows and lifts penalties."""

    async def do_list(_request: dict[str, Any]) -> object:
        return {"penalties": [asdict(one) for one in guard.penalties()], "waiting": guard.waiting}

    async def do_clear(request: dict[str, Any]) -> object:
        wanted = request.get("source")
        sources = [wanted] if wanted else [one.source for one in guard.penalties()]
        forgiven = [source for source in sources if guard.forgive(source)]
        for source in forgiven:
            journal.source_forgiven(source)
        return {"forgiven": forgiven}

    return {"guard-list": do_list, "guard-clear": do_clear}


def _replay(ledger: Ledger, spool: Spool, request: dict[str, Any], config: Config) -> list[str]:
    if "ids" in request:
        return corrections.replay(ledger, spool, _ids(request))
    customer, feed, since = _selection(request, config)
    _await_imports(ledger, customer)
    chosen = corrections.select(ledger, customer, feed, since)
    return corrections.replay_customer(ledger, spool, customer, chosen)


def _await_imports(ledger: Ledger, customer: str) -> None:
    """Wait for what is imported by the configuration before: else no replay would include it.

    Raises CustomerBusy if it takes too long.
    """
    deadline = time.monotonic() + IN_HAND_WITHIN_S
    in_hand = {one.id for one in ledger.in_state(State.IMPORTING) if one.customer == customer}
    while left := in_hand & {one.id for one in ledger.in_state(State.IMPORTING)}:
        if time.monotonic() > deadline:
            raise CustomerBusy(f"{min(left)} of {customer} is being imported; say it again later")
        time.sleep(LOOK_EVERY_S)


def _ids(request: dict[str, Any]) -> list[str]:
    ids = request.get("ids")
    if ids is None:
        raise UsageWrong("ids are missing: a list of delivery ids")
    return list(ids)


def _selection(request: dict[str, Any], config: Config) -> tuple[str, str | None, datetime | None]:
    customer, feed, since = (request.get(key) for key in ("customer", "feed", "since"))
    if customer not in config.customers:
        raise NoSuchCustomer(f"there is no customer {customer!r}")
    if feed is not None and feed not in {each.name for each in config.customers[customer].feeds}:
        raise UsageWrong(f"customer {customer} has no feed {feed!r}")
    try:
        at = None if since is None else datetime.fromisoformat(since)
    except ValueError as error:
        raise UsageWrong(f"since is not an ISO 8601 instant: {since!r}") from error
    if at is not None and at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return customer, feed, at


class Control:
    """Answers on the socket. folder: run/. verbs: name -> what is awaited with the request."""

    def __init__(self, folder: Path, verbs: Mapping[str, Verb]) -> None:
        self._folder = folder
        self._verbs = verbs
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. The caller holds the home's lock, so a socket that is there is a dead one's."""
        path = self._folder / SOCKET
        path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX)
        try:
            with _short(self._folder) as folder:
                listening.bind(f"{folder}/{SOCKET}")
            path.chmod(SOCKET_MODE)
            self._server = await asyncio.start_unix_server(
                self._answer, sock=listening, limit=LINE_MOST_BYTES
            )
        except BaseException:
            listening.close()
            raise

    async def stop(self) -> None:
        """Answer no more; idempotent."""
        if self._server is not None:
            self._server.close()
            self._server = None
            (self._folder / SOCKET).unlink(missing_ok=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await asyncio.wait_for(reader.readline(), READ_TIMEOUT_S)
            answer = await self._carry_out(line, writer)
            writer.write(json.dumps(answer, default=str).encode() + b"\n")
            await writer.drain()
        except (OSError, ValueError, TimeoutError):
            pass  # the client left, said nothing, or too much: there is nobody to tell
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _carry_out(self, line: bytes, writer: asyncio.StreamWriter) -> dict[str, object]:
        verb, about, outcome = "", "", "ok"
        try:
            request = _request(line)
            verb = request.pop("do", None) or ""
            about = _about(request)
            return {"ok": await self._verbs.get(verb, _unknown)(request)}
        except TilldropError as error:
            outcome = error.code
            return {"error": error.code, "text": str(error)}
        except Exception:  # noqa: BLE001  the edge of a unit of work: one request
            journal.control_failed(verb)
            outcome = TilldropError.code
            return {"error": TilldropError.code, "text": "a bug was met; the daemon's log has it"}
        finally:
            if verb not in READING:
                pid, uid = _asker(writer)
                journal.operator_asked(verb, user_name(uid), pid, about, outcome)


def _about(request: dict[str, Any]) -> str:
    """Say what a request is about: the customer, else deliveries; nothing of persons."""
    if "customer" in request:
        return str(request["customer"])[:ABOUT_MOST_CHARS]
    ids = request.get("ids") or [request.get("id") or request.get("source") or ""]
    more = f" and {len(ids) - ABOUT_MOST} more" if len(ids) > ABOUT_MOST else ""
    return (" ".join(ids[:ABOUT_MOST]) + more)[:ABOUT_MOST_CHARS]


def _asker(writer: asyncio.StreamWriter) -> tuple[int, int]:
    """Return process and user that asked. Source: unix(7), SO_PEERCRED: the kernel says it."""
    asking = writer.get_extra_info("socket")
    found = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(found)
    return pid, uid


def user_name(uid: int) -> str:
    """Return a user's name; its number, if it has none here."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


async def _unknown(_request: dict[str, Any]) -> object:
    raise UsageWrong("the daemon knows no such verb")


def _request(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:  # the latter: brackets by the thousand
        raise UsageWrong("the request is not JSON") from error
    if not isinstance(request, dict):
        raise UsageWrong("the request is not an object")
    for key, said in request.items():
        _check(key, said)
    return request


def _check(key: str, said: object) -> None:
    """Raise UsageWrong for what no verb can take."""
    if key in LISTS:
        if not isinstance(said, list) or not all(isinstance(each, str) for each in said):
            raise UsageWrong(f"{key} must be a list of texts")
    elif key in TEXTS or key == "do":
        if not isinstance(said, str | None):
            raise UsageWrong(f"{key} must be a text")
    else:
        raise UsageWrong(f"no request has {key[:ABOUT_MOST_CHARS]!r}")


# -- the command line's side ---------------------------------------------------------------------


def ask(paths: Paths, do: str, **arguments: object) -> Any:
    """Ask the running daemon and return its answer.

    Raises NotRunning if none answers, else the TilldropError that the daemon met.
    """
    request = json.dumps({"do": do, **arguments}, default=str).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX) as asking, _short(paths.run) as folder:
            asking.settimeout(ASK_TIMEOUT_S)
            asking.connect(f"{folder}/{SOCKET}")
            asking.sendall(request)
            with asking.makefile("rb") as lines:
                line = lines.readline()
    except PermissionError as error:
        raise NotRunning(f"{paths.run / SOCKET} belongs to another user; try sudo") from error
    except OSError as error:
        raise NotRunning(
            f"no daemon answers for {paths.home} ({error.strerror or error}); start it, or name"
            " its home with --home"
        ) from error
    if not line:
        raise NotRunning(f"the daemon of {paths.home} ended without an answer")
    answer = json.loads(line)
    if "error" in answer:
        raise _named(str(answer["error"]))(answer["text"])
    return answer["ok"]


def _named(code: str) -> type[TilldropError]:
    """Return the error of that code."""
    known = (each for each in vars(errors).values() if isinstance(each, type))
    return next(
        (each for each in known if issubclass(each, TilldropError) and each.code == code),
        TilldropError,
    )


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """Give a folder a short name: a socket's path may have 107 bytes at most (unix(7))."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
