"""Why a customer could not log in or upload: told from the journal, the ledger and its files.

Owns what each refusal means to the operator and what to do about it. Reads the events that
`journal` writes as JSON lines, however many, and keeps those of one customer. What has healed
since (a login that then succeeded, a file sent again and imported) is left out. Never asks the
daemon, never changes anything, never repeats a secret: there is none in the journal.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tilldrop import errors, passwords, receipts
from tilldrop.delivery import ACCEPTED, CONTROL_REASONS, UNDONE, State
from tilldrop.errors import FAULTS, KeyUnusable, TilldropError
from tilldrop.public_keys import read_keys
from tilldrop.toml_table import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tilldrop.config import Config
    from tilldrop.delivery import Delivery
    from tilldrop.ledger_reading import LedgerReader

EVENTS_KEPT = 20_000  # of one customer; older ones are forgotten first
DELIVERIES_READ = 1_000
# A client tries one key after the other, then a password: all that belongs to one login.
ONE_LOGIN = timedelta(seconds=60)

_OF_A_CUSTOMER = frozenset(
    {"login.refused", "login.accepted", "login.abandoned", "request.refused", "request.failed"}
)
_OF_A_PEER = frozenset({"connection.refused", "login.abandoned"})


@dataclass(frozen=True, slots=True)
class Trouble:
    """One reason, and what to do. at: last seen. times: how often. peers: from where."""

    what: str
    to_do: str
    at: datetime | None = None
    times: int = 1
    peers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a reason means, and what to do about it. NAME stands for the customer."""

    what: str
    to_do: str

    def of(self, name: str) -> Trouble:
        """Return it as a trouble of that customer."""
        return Trouble(self.what, self.to_do.replace("NAME", name))


_LOGINS: dict[str, _Meaning] = {
    "wrong-password": _Meaning(
        "wrong password, or none is set",
        "compare, or set a new one: tilldrop customer passwd NAME --generate-password",
    ),
    "key-not-listed": _Meaning(
        "its key is not among those known here",
        "have it send its public key, compare the fingerprint, and take it:"
        " tilldrop customer key NAME FILE",
    ),
    "unknown-customer": _Meaning(
        "there is no customer of that name",
        "names are taken letter by letter: have it log in with the right one, or add it:"
        " tilldrop customer add NAME --zone ZONE --currency CODE",
    ),
    "disabled": _Meaning("the customer is disabled", "tilldrop customer enable NAME"),
    "forbidden-source": _Meaning(
        "it came from an address that is not among its sources",
        "add the address to sources in config/customers/NAME.toml, if it is the customer's",
    ),
    "key-not-proved": _Meaning(
        "it showed a key that is known here and did not prove that it has the private half",
        "its program signs with SHA-1, which is not taken, or its agent refused: a newer program"
        " or an ed25519 key helps",
    ),
}
_CONNECTIONS: dict[str, _Meaning] = {
    "too-many": _Meaning(
        "too many connections at that time",
        "look whether one address holds them, or raise max_connections",
    ),
    "too-many-from-source": _Meaning(
        "too many connections from its address at that time",
        "have its program open fewer at once, or raise ftp.max_per_source",
    ),
    "not-the-client": _Meaning(
        "a data connection came from another address than the client's",
        "its network changes addresses on the way: SFTP needs one connection only",
    ),
}
_NO_ALGORITHM = _Meaning(
    "its program knows none of the algorithms that are safe",
    "it needs a program of the last ten years",
)
_UNKNOWN_TO_DO = "docs/operations.md tells more"
# code of a refused request -> what to do about it.
_REQUESTS: dict[str, str] = {
    "delivered-stays": "nothing: delivered files stay. Have it switch off renaming or deleting"
    " after the upload",
    "folder-fixed": "have it upload to the root, or add a feed with that folder:"
    ' files = "FOLDER/*.csv"',
    "no-such-folder": "have it upload to the root, or add a feed with that folder:"
    ' files = "FOLDER/*.csv"',
    "name-refused": "have it send the file under a plain name",
    "read-only": "nothing: receipts are written by Tilldrop alone",
    "too-large": "raise limits.max_file_bytes, or have it send smaller files",
    "stored-too-much": "raise max_stored_bytes in its [limits], or keep its files for fewer days"
    " (keep_days)",
    "too-many-uploads": "raise max_uploads_a_day in its [limits], if these uploads are meant",
    "too-many-sessions": "have its program open fewer at once, or raise max_sessions in its"
    " [limits]",
    "too-many-open": "have its program open fewer at once, or raise max_open_files in its [limits]",
    "spool-full": "free space on the disk, or lower limits.keep_days",
    "upload-broken": "have it send the file again, whole",
    "upload-taken": "nothing: two of its connections sent the same file at once",
    "not-supported": "nothing, unless the upload failed: then say which program it is",
}


@dataclass(slots=True)
class Heard:
    """What the journal says of a customer. since: its first line's time; lines: how many."""

    events: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    lines: int = 0
    since: datetime | None = None
    accepted_at: datetime | None = None


def listen(lines: Iterable[str], name: str, after: datetime | None = None) -> Heard:
    """Read a journal and keep what concerns one customer, or who tried a name like its.

    Lines that are not JSON events are skipped. after: older events are skipped too.
    """
    heard = Heard()
    for line in lines:
        event = _event(line)
        at = _at(event)
        if at is None or (after is not None and at < after):
            continue
        heard.lines += 1
        heard.since = heard.since or at
        kind = event.get("event")
        ours = kind in _OF_A_CUSTOMER and _is_like(str(event.get("customer", "")), name)
        if ours or kind in _OF_A_PEER:
            heard.events.append(event)
        if ours and kind == "login.accepted":
            heard.accepted_at = at
    return heard


def troubles(
    name: str, config: Config, heard: Heard, ledger: LedgerReader | None
) -> tuple[Trouble, ...]:
    """Return all that keeps or kept a customer out, the present state first, then newest first."""
    found = list(_standing(name, config))
    dated = [*_of_logins(name, heard), *_of_connections(heard), *_of_requests(heard)]
    if ledger is not None:
        dated += _of_deliveries(ledger, name)
    dated.sort(key=lambda one: one.at or datetime.min.replace(tzinfo=UTC), reverse=True)
    return (*found, *dated)


def _standing(name: str, config: Config) -> Iterator[Trouble]:
    """Yield what would keep the customer out now."""
    customer = config.customers.get(name)
    if customer is None:
        hint = nearest(name, config.customers)
        to_do = _LOGINS["unknown-customer"].of(name).to_do
        yield Trouble(f"there is no customer {name!r}{hint}", to_do)
        return
    if customer.disabled:
        yield _LOGINS["disabled"].of(name)
    folder = config.paths.keys / "customers"
    pub, password = folder / f"{name}.pub", folder / f"{name}.password"
    if pub.exists():
        try:
            read_keys(pub)
        except KeyUnusable as unusable:
            for line in str(unusable).splitlines():
                yield Trouble(f"a key cannot be used: {line}", "correct or remove that line")
    elif not password.exists():
        yield Trouble(
            "it has neither password nor key, so nobody can log in",
            f"tilldrop customer passwd {name}, or tilldrop customer key {name} FILE",
        )
    if password.exists():
        try:
            passwords.kind(password.read_text(encoding="ascii").strip())
        except (ValueError, OSError) as problem:
            yield Trouble(
                f"its password file cannot be used: {problem}", f"tilldrop customer passwd {name}"
            )
    if not customer.feeds:
        yield Trouble(
            "it has no feed, so every file is unclaimed", f"edit config/customers/{name}.toml"
        )


def _of_logins(name: str, heard: Heard) -> Iterator[Trouble]:
    """Group refused logins by what was wrong; those that led to a login are left out."""
    accepted = [
        (event.get("peer"), _at(event))
        for event in heard.events
        if event["event"] == "login.accepted"
    ]
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for event in heard.events:
        if event["event"] == "login.refused" and not _led_in(event, accepted):
            words = ("customer", "method", "reason", "key")
            groups.setdefault(tuple(str(event.get(word) or "") for word in words), []).append(event)
    for (claimed, method, reason, key), events in groups.items():
        meaning = _LOGINS.get(reason, _Meaning(reason, _UNKNOWN_TO_DO)).of(name)
        named = f" as {claimed!r}" if claimed != name else ""
        offered = f" (it offered {key})" if key else ""
        text = f"login by {method}{named} refused: {meaning.what}{offered}"
        yield _grouped(text, meaning.to_do, events)


def _led_in(event: dict[str, Any], accepted: list[tuple[object, datetime | None]]) -> bool:
    at = _at(event)
    return at is not None and any(
        peer == event.get("peer") and then is not None and timedelta(0) <= then - at <= ONE_LOGIN
        for peer, then in accepted
    )


def _of_connections(heard: Heard) -> Iterator[Trouble]:
    """Group what happened before a login, from the addresses that the customer came from."""
    known = {event.get("peer") for event in heard.events if event["event"] in _OF_A_CUSTOMER}
    known.discard("")
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for event in heard.events:
        if event["event"] in _OF_A_PEER and event.get("peer") in known:
            why = str(event.get("reason") or event.get("why") or "")
            groups.setdefault((event["event"], why), []).append(event)
    for (kind, why), events in groups.items():
        if kind == "connection.refused":
            meaning = _CONNECTIONS.get(why, _Meaning(why, _UNKNOWN_TO_DO))
        elif "No matching" in why:
            meaning = _Meaning(f"{_NO_ALGORITHM.what}: {why}", _NO_ALGORITHM.to_do)
        else:
            meaning = _LOGINS.get(why, _Meaning(why, _UNKNOWN_TO_DO))
        yield _grouped(f"no login: {meaning.what}", meaning.to_do, events)


def _of_requests(heard: Heard) -> Iterator[Trouble]:
    """Group refused requests by their code."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for event in heard.events:
        if event["event"] in ("request.refused", "request.failed"):
            key = (str(event.get("request", "")), str(event.get("code", "")))
            groups.setdefault(key, []).append(event)
    for (request, code), events in groups.items():
        last = events[-1]
        if last["event"] == "request.failed":
            what, to_do = "a bug was met", "the journal has its traceback: report it"
        else:
            what = str(last.get("why") or code)
            to_do = _REQUESTS.get(code) or _to_do(code)
        yield _grouped(f"{request or 'request'} refused ({code or 'bug'}): {what}", to_do, events)


def _to_do(code: str) -> str:
    found = next((one for one in _all_errors() if one.code == code), None)
    if found is None:
        return "config/README.md tells what that code means"
    return (
        "nothing: it may try again" if found.temporary else "config/README.md tells what it means"
    )


def _all_errors() -> Iterator[type[TilldropError]]:
    return (
        one
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, TilldropError)
    )


def _of_deliveries(ledger: LedgerReader, name: str) -> Iterator[Trouble]:
    """Yield what became of files that are not imported, the latest of each name only."""
    seen: set[str] = set()
    for delivery in ledger.find(customer=name, limit=DELIVERIES_READ):
        if delivery.name in seen:
            continue
        if delivery.state in ACCEPTED or delivery.state is not State.RECEIVING:
            seen.add(delivery.name)
        if trouble := _of_delivery(ledger, delivery):
            yield trouble


def _of_delivery(ledger: LedgerReader, delivery: Delivery) -> Trouble | None:
    show = f"tilldrop show {delivery.id}"
    match delivery.state:
        case State.BROKEN:
            why = FAULTS.get(delivery.reason or "", "its end was never proved")
            what = f"broke off after {delivery.size_bytes:,} bytes: {why}"
            to_do = "it can be resumed or sent again, whole"
        case State.WAITING:
            what, to_do = f"waits: {delivery.reason}", "it must get its final name, or content"
        case State.REJECTED if delivery.reason == UNDONE:
            return None  # an operator's doing
        case State.REJECTED:
            told = receipts.reason(delivery, ledger.report(delivery.id))
            what = f"was refused ({delivery.reason}): {told}"
            to_do = f"{show} tells all; where the mapping is wrong, correct it and"
            to_do += f" tilldrop replay {delivery.id}"
        case State.UNCLAIMED:
            what = "was not expected: no feed takes that name"
            to_do = f"add a feed and tilldrop replay {delivery.id}, or have it renamed"
        case State.HELD:
            what = f"is held ({delivery.reason})"
            to_do = f"{show}; then tilldrop release {delivery.id}"
            if delivery.reason in CONTROL_REASONS:
                to_do += f" lets it in as it is, tilldrop undo {delivery.id} refuses it"
        case _:
            return None
    return Trouble(f"{delivery.name} {what}", to_do, delivery.changed_at)


def _grouped(what: str, to_do: str, events: list[dict[str, Any]]) -> Trouble:
    peers = dict.fromkeys(str(event.get("peer") or "") for event in reversed(events))
    peers.pop("", None)
    return Trouble(what, to_do, _at(events[-1]), len(events), tuple(peers))


def _is_like(claimed: str, name: str) -> bool:
    """Tell whether a login name is the customer's, or that name mistyped in the usual ways."""
    return claimed == name or claimed.strip().casefold().rpartition("\\")[2] == name


def _event(line: str) -> dict[str, Any]:
    if not line.startswith("{"):
        return {}
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _at(event: dict[str, Any]) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(event.get("timestamp", "")))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
