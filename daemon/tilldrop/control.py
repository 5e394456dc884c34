"""run/control.sock: what the command line asks of the running daemon, and the verbs themselves.

Owns the socket and the operator's changes to deliveries: replay, hold, release. These are plain
functions of ledger and spool. A request is one line of JSON, {"do": VERB, ...}; so is the answer:
{"ok": ...}, or {"error": CODE, "text": ...} with the code of a TilldropError. The socket is the
owner's alone (mode 0600 in a folder of 0700), which is all its protection.
Never decides what a verb's answer means to a customer.

    status                                   -> how it is: see `service`
    reload                                   -> {"customers": COUNT, "needs_restart": [SECTION]}
    replay   ids | customer [feed] [since]   -> {"deliveries": [ID]}; since: ISO 8601
    hold     ids                             -> {"deliveries": [ID]}
    release  ids                             -> {"deliveries": [ID]}
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tilldrop import errors, journal
from tilldrop.delivery import FINISHED, Cause, Delivery, State
from tilldrop.errors import (
    MoveRefused,
    NoLongerKept,
    NoSuchCustomer,
    NotRunning,
    TilldropError,
    UsageWrong,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from tilldrop.config import Config, Paths
    from tilldrop.ledger import Ledger
    from tilldrop.ledger_reading import LedgerReader
    from tilldrop.spool import Spool

    Verb = Callable[[dict[str, Any]], Awaitable[object]]

SOCKET = "control.sock"
SOCKET_MODE = 0o600
LINE_MOST_BYTES = 16 * 1024**2  # a replay of 500,000 deliveries by their ids
ASK_TIMEOUT_S = 120.0  # a replay commits once a delivery
READ_TIMEOUT_S = 10.0  # a client that says nothing
HELD_BY_OPERATOR = "held-by-operator"
FIND_MOST = 1_000_000


# -- the verbs -----------------------------------------------------------------------------------


def replay(ledger: Ledger, spool: Spool, ids: Iterable[str]) -> list[str]:
    """Have finished deliveries imported once more, in the order in which they arrived.

    All are looked at before the first is moved. Returns the ids in that order.
    Raises NoSuchDelivery, MoveRefused (not finished), NoLongerKept, SpoolFailed.
    """
    chosen = _in_order(ledger, ids)
    for delivery in chosen:
        if delivery.state not in FINISHED:
            raise MoveRefused(f"delivery {delivery.id} is {delivery.state}, so it is not replayed")
        _check_kept(spool, delivery)
    for delivery in chosen:
        ledger.move(delivery.id, delivery.state, State.ARRIVED, Cause.REPLAY).result()
        # As at an arrival, the ledger first: the rename rings the bell, and start-up and the scan
        # finish it if it does not come to that.
        spool.return_to_arrived(delivery.id)
    return [delivery.id for delivery in chosen]


def to_replay(
    ledger: LedgerReader, customer: str, feed: str | None = None, since: datetime | None = None
) -> list[str]:
    """Find a customer's finished deliveries whose bytes are kept, in order of arrival.

    feed: only what was read as that feed, and what no feed took; None: all. since: begun then or
    later. Duplicates are left out: what they repeat is replayed.
    """
    found = ledger.find(customer=customer, since=since, limit=FIND_MOST)
    wanted = [
        delivery
        for delivery in found
        if delivery.state in FINISHED - {State.DUPLICATE}
        and delivery.bytes_gone_at is None
        and (feed is None or delivery.feed in {feed, None})
    ]
    return [delivery.id for delivery in sorted(wanted, key=_place)]


def hold(ledger: Ledger, ids: Iterable[str]) -> list[str]:
    """Put deliveries aside that wait for their import. Raises NoSuchDelivery, MoveRefused."""
    chosen = _in_order(ledger, ids)
    for delivery in chosen:
        ledger.move(
            delivery.id, State.ARRIVED, State.HELD, Cause.OPERATOR, reason=HELD_BY_OPERATOR
        ).result()
    return [delivery.id for delivery in chosen]


def release(ledger: Ledger, spool: Spool, ids: Iterable[str]) -> list[str]:
    """Let held deliveries be imported, as if they had never failed.

    Ring the importer's bell afterwards: no file moves. Raises NoSuchDelivery, MoveRefused,
    NoLongerKept.
    """
    chosen = _in_order(ledger, ids)
    for delivery in chosen:
        if delivery.state is not State.HELD:
            raise MoveRefused(f"delivery {delivery.id} is {delivery.state}, not held")
        _check_kept(spool, delivery)
    for delivery in chosen:
        ledger.move(
            delivery.id,
            State.HELD,
            State.ARRIVED,
            Cause.OPERATOR,
            attempts=0,
            not_before=None,
        ).result()
    return [delivery.id for delivery in chosen]


def _in_order(ledger: LedgerReader, ids: Iterable[str]) -> list[Delivery]:
    return sorted((ledger.one(each) for each in dict.fromkeys(ids)), key=_place)


def _place(delivery: Delivery) -> int:
    return delivery.arrival_seq or 0


def _check_kept(spool: Spool, delivery: Delivery) -> None:
    if delivery.bytes_gone_at is not None or spool.path_of(delivery.id) is None:
        raise NoLongerKept(f"the bytes of delivery {delivery.id} are no longer kept")


# -- the daemon's side ---------------------------------------------------------------------------


def delivery_verbs(
    ledger: Ledger, spool: Spool, config_of: Callable[[], Config], ring: Callable[[Cause], None]
) -> dict[str, Verb]:
    """Return replay, hold and release as the socket serves them."""

    async def do_replay(request: dict[str, Any]) -> object:
        if "ids" in request:
            ids = _ids(request)
        else:
            ids = await asyncio.to_thread(to_replay, ledger, *_selection(request, config_of()))
        return {"deliveries": await asyncio.to_thread(replay, ledger, spool, ids)}

    async def do_hold(request: dict[str, Any]) -> object:
        return {"deliveries": await asyncio.to_thread(hold, ledger, _ids(request))}

    async def do_release(request: dict[str, Any]) -> object:
        released = await asyncio.to_thread(release, ledger, spool, _ids(request))
        ring(Cause.OPERATOR)
        return {"deliveries": released}

    return {"replay": do_replay, "hold": do_hold, "release": do_release}


def _ids(request: dict[str, Any]) -> list[str]:
    ids = request.get("ids")
    if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
        raise UsageWrong("ids must be a list of delivery ids")
    return ids


def _selection(request: dict[str, Any], config: Config) -> tuple[str, str | None, datetime | None]:
    customer, feed, since = (request.get(key) for key in ("customer", "feed", "since"))
    if customer not in config.customers:
        raise NoSuchCustomer(f"there is no customer {customer!r}")
    if feed is not None and feed not in {each.name for each in config.customers[customer].feeds}:
        raise UsageWrong(f"customer {customer} has no feed {feed!r}")
    try:
        at = None if since is None else datetime.fromisoformat(since)
    except (TypeError, ValueError) as error:
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
            answer = await self._carry_out(line)
            writer.write(json.dumps(answer, default=str).encode() + b"\n")
            await writer.drain()
        except (OSError, ValueError, TimeoutError):
            pass  # the client left, said nothing, or too much: there is nobody to tell
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _carry_out(self, line: bytes) -> dict[str, object]:
        verb = ""
        try:
            request = _request(line)
            verb = str(request.pop("do", ""))
            return {"ok": await self._verbs.get(verb, _unknown)(request)}
        except TilldropError as error:
            return {"error": error.code, "text": str(error)}
        except Exception:  # noqa: BLE001  the edge of a unit of work: one request
            journal.control_failed(verb)
            return {"error": TilldropError.code, "text": "a bug was met; the daemon's log has it"}


async def _unknown(_request: dict[str, Any]) -> object:
    raise UsageWrong("the daemon knows no such verb")


def _request(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except ValueError as error:
        raise UsageWrong("the request is not JSON") from error
    if not isinstance(request, dict):
        raise UsageWrong("the request is not an object")
    return request


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
            f"no daemon answers for {paths.home}: {error.strerror or error}"
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
