"""Which rows make one transaction, and what proves it.

A candidate for the id is tried against what the rows of one transaction must share: date, time
within hours, location, register. Where the bare id fails, parts are added (date, register, kind)
until it holds. Promises to say of each candidate what speaks for or against it.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tilldrop.guess.words import fold

if TYPE_CHECKING:
    from tilldrop.guess.sample import Column

SAME_SALE_S = 2 * 3600  # rows of one sale bear times this near
TOLERATED = 0.002
_FEW = 3
_PART = re.compile(
    r"\b(?:payment|payments|tender|zahlung|zahlungs|paiement|pago|pagamento|betaling|refund)\b"
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What rows of one transaction share. day: ordinal by row; second: of the day, where known."""

    day: list[int | None] = field(default_factory=list)
    second: list[int | None] = field(default_factory=list)
    location: Column | None = None
    register: Column | None = None
    shopper: Column | None = None
    kind: Column | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """How a grouping did. multi: groups of several rows; bad: those that contradict themselves.

    adjacent: of `multi`, those whose rows follow each other. tested: there was something to test
    them by. places: groups with several locations.
    """

    parts: tuple[str, ...]
    groups: int
    multi: int
    bad: int
    adjacent: int
    tested: bool
    why: str = ""
    places: int = 0

    @property
    def holds(self) -> bool:
        """Tell whether (nearly) no group contradicts itself."""
        return self.bad <= TOLERATED * self.multi

    @property
    def is_unique(self) -> bool:
        """Tell whether every row is a group of its own."""
        return self.multi == 0


def keys_of(columns: list[Column], rows: int, days: list[int | None] | None = None) -> list[str]:
    """Return each row's key of several columns and, if given, the day."""
    parts: list[list[str]] = [column.cells for column in columns]
    if days:
        parts.append([str(day) for day in days])
    if not parts:
        return [""] * rows
    return ["\x1f".join(cells) for cells in zip(*parts, strict=True)]


def gather(keys: list[str]) -> dict[str, list[int]]:
    """Return the rows of each key."""
    found: dict[str, list[int]] = {}
    for row, key in enumerate(keys):
        found.setdefault(key, []).append(row)
    return found


def attempt(parts: tuple[str, ...], keys: list[str], facts: Facts, *, by_place: bool) -> Trial:
    """Try a grouping. by_place: the location is part of the keys already."""
    groups = gather(keys)
    multi = bad = adjacent = places = 0
    reasons: Counter[str] = Counter()
    for rows in groups.values():
        if len(rows) == 1:
            continue
        multi += 1
        adjacent += rows[-1] - rows[0] == len(rows) - 1
        several = facts.location is not None and not by_place and _varies(facts.location, rows)
        places += several
        why = _contradiction(rows, facts) or ("location" if several else "")
        if why:
            bad += 1
            reasons[why] += 1
    why = reasons.most_common(1)[0][0] if reasons else ""
    tested = any(day is not None for day in facts.day) or facts.location is not None
    return Trial(parts, len(groups), multi, bad, adjacent, tested, why, places)


def _contradiction(rows: list[int], facts: Facts) -> str:
    """Say what the rows of one group do not share, "" if nothing speaks against them."""
    days = [day for row in rows if (day := facts.day[row]) is not None]
    if days and max(days) != min(days):
        seconds = [facts.second[row] for row in rows]
        if max(days) - min(days) > 1 or None in seconds or not _over_midnight(rows, facts):
            return "date"
    else:
        times = [second for row in rows if (second := facts.second[row]) is not None]
        if times and max(times) - min(times) > SAME_SALE_S:
            return "time"
    if facts.register is not None and _varies(facts.register, rows):
        return "register"
    return ""


def _over_midnight(rows: list[int], facts: Facts) -> bool:
    instants = [
        day * 86_400 + second
        for row in rows
        if (day := facts.day[row]) is not None and (second := facts.second[row]) is not None
    ]
    return max(instants) - min(instants) <= SAME_SALE_S


def _varies(column: Column, rows: list[int]) -> bool:
    return len({cell for row in rows if (cell := column.cells[row])}) > 1


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a transaction. column: the id; none: rows are numbered.

    with_day, with_register, with_kind: parts that the bare id needs. keys: by row, with the
    location if that is a column.
    """

    column: Column | None
    keys: list[str]
    trial: Trial
    with_day: bool = False
    with_register: bool = False
    with_kind: bool = False
    evidence: str = ""
    confidence: str = "high"
    rivals: tuple[str, ...] = ()
    doubt: str = ""


def is_candidate(column: Column) -> bool:
    """Tell whether a column may number transactions."""
    if column.is_empty or column.dates or column.time or column.says("sales-count", least=9):
        return False
    if column.is_number and (not column.is_whole or column.has_negative):
        return False
    points = column.strength("transaction")
    if column.is_number and points < 9 and column.strength("line-amount") >= 6:
        return False
    others = (
        "line",
        "product",
        "location",
        "shopper",
        "register",
        "operator",
        "quantity",
        "barcode",
        "sku",
    )
    if (
        column.says("rate", "tender", "kind", "status", "email", "phone", "category", least=6)
        and points < 10
    ):
        return False
    return points >= 4 and all(points > column.strength(role) for role in others)


def identify(columns: tuple[Column, ...], rows: int, facts: Facts) -> Identity | None:
    """Return the best proven identity of transactions, None if no column numbers them."""
    found: list[tuple[int, Identity]] = []
    for column in columns:
        if is_candidate(column) and column.filled >= 0.97 * rows:
            identity = settle(column, rows, facts)
            found.append((column.strength("transaction"), identity))
    if not found:
        return None
    return _choose(found, columns, facts)


def settle(column: Column, rows: int, facts: Facts) -> Identity:
    """Find the parts that a column needs to number transactions."""
    best: Identity | None = None
    for with_day, with_register, with_kind in (
        (False, False, False),
        (False, False, True),
        (True, False, False),
        (False, True, False),
        (True, True, False),
        (True, False, True),
        (True, True, True),
    ):
        if (with_register and facts.register is None) or (with_kind and facts.kind is None):
            continue
        if with_day and not any(day is not None for day in facts.day):
            continue
        identity = _with_parts(column, rows, facts, (with_day, with_register, with_kind))
        if identity.trial.holds:
            return _told(identity, column, facts, rows)
        if best is None:
            best = identity
    if best is None:
        best = _with_parts(column, rows, facts, (False, False, False))
    share = best.trial.bad / max(1, best.trial.multi)
    evidence = f"rows of one {column.name} differ in {best.trial.why} ({share:.1%} of those with several rows)"
    return Identity(
        column, best.keys, best.trial, evidence=evidence, confidence="low", doubt=evidence
    )


def _with_parts(
    column: Column, rows: int, facts: Facts, parts: tuple[bool, bool, bool]
) -> Identity:
    with_day, with_register, with_kind = parts
    members = [one for one in (facts.location, column) if one is not None]
    if with_register and facts.register is not None:
        members.append(facts.register)
    if with_kind and facts.kind is not None:
        members.append(facts.kind)
    keys = keys_of(members, rows, facts.day if with_day else None)
    names = tuple(member.name for member in members) + (("date",) if with_day else ())
    trial = attempt(names, keys, facts, by_place=facts.location is not None)
    return Identity(column, keys, trial, with_day, with_register, with_kind)


def _told(identity: Identity, column: Column, facts: Facts, rows: int) -> Identity:
    """Add the evidence in words."""
    trial = identity.trial
    parts = [
        name
        for name, there in (
            ("the date", identity.with_day),
            ("the register", identity.with_register),
            ("the kind", identity.with_kind),
        )
        if there
    ]
    shared = "date" + (" and time" if any(one is not None for one in facts.second) else "")
    if trial.is_unique:
        text = f"{len(column.seen)} values in {rows} rows, none twice"
    elif not trial.tested:
        text = f"{trial.groups} groups, {trial.adjacent} of {trial.multi} with several rows stand together"
    else:
        good = trial.multi - trial.bad
        every = "all" if not trial.bad else f"{good} of"
        text = f"{every} {trial.multi} groups of several rows share {shared}"
        text += f", {trial.bad} differ in {trial.why}" if trial.bad else ""
    if parts:
        bare = len(column.seen)
        text = f"{bare} numbers come back; with {' and '.join(parts)} {trial.groups} groups, and {text}"
    sure = trial.is_unique or trial.tested or trial.adjacent >= 0.98 * trial.multi
    return Identity(
        column,
        identity.keys,
        trial,
        identity.with_day,
        identity.with_register,
        identity.with_kind,
        text,
        "high" if sure else "medium",
    )


def _choose(
    found: list[tuple[int, Identity]], columns: tuple[Column, ...], facts: Facts
) -> Identity:
    """Choose: what groups rows of several before what is unique, if the rows are lines."""
    has_items = any(column.says("product", "sku", "description", "barcode") for column in columns)
    del facts

    def rank(one: tuple[int, Identity]) -> tuple[bool, bool, bool, int, int]:
        points, identity = one
        trial = identity.trial
        lines = has_items and trial.multi >= _FEW and points >= 6
        extra = identity.with_day + identity.with_register + identity.with_kind
        # A sale may be paid in parts, each with a number of its own.
        whole = identity.column is None or not _PART.search(fold(identity.column.name))
        return trial.holds, whole, lines, points, -extra

    ordered = sorted(found, key=rank, reverse=True)
    best = ordered[0][1]
    rivals = tuple(
        identity.column.name
        for _, identity in ordered[1:]
        if identity.column and identity.trial.holds and identity.trial.groups != best.trial.groups
    )
    return Identity(
        best.column,
        best.keys,
        best.trial,
        best.with_day,
        best.with_register,
        best.with_kind,
        best.evidence,
        best.confidence,
        rivals,
        best.doubt,
    )
