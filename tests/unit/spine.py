"""A ledger, a spool and an intake on real files, with a clock that tests set."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tilldrop.config import (
    Config,
    ImporterSettings,
    Limits,
    LogSettings,
    Paths,
    SftpDoor,
)
from tilldrop.config_customers import Customer
from tilldrop.delivery import Cause, State
from tilldrop.intake import Intake
from tilldrop.ledger import Ledger
from tilldrop.mapping import Feed, Reading
from tilldrop.rows import Report
from tilldrop.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tilldrop.delivery import Delivery
    from tilldrop.visit import Visit

FEEDS = (
    Feed("sales", ("*.csv",), "per-transaction", 0.1, Reading(), {}),
    Feed("journal", ("transactions/*.csv",), "per-transaction", 0.1, Reading(), {}),
)


class Clock:
    """An instant that goes on by a second whenever it is asked."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at


def claim_next(ledger: Ledger, cause: Cause, ready: Callable[[str], bool]) -> Delivery | None:
    """Take the next delivery to import, as the importer does of those that are not small."""
    return next(iter(ledger.claim(cause, ready).result()), None)


def customer(name: str = "acme", *, finishing_rename: bool = True) -> Customer:
    return Customer(
        name=name,
        disabled=False,
        zone="Europe/Berlin",
        currency="EUR",
        finishing_rename=finishing_rename,
        feeds=FEEDS,
    )


class Spine:
    """What stands beneath the doors."""

    def __init__(self, root: Path, limits: Limits) -> None:
        self.clock = Clock()
        self.config = Config(
            paths=Paths(home=root, state=root / "var"),
            sftp=SftpDoor(),
            limits=limits,
            importer=ImporterSettings(),
            log=LogSettings(),
            customers={"acme": customer()},
        )
        (root / "var").mkdir()
        self.ledger = Ledger(root / "var" / "ledger.db", now=self.clock)
        self.spool = Spool(root / "var" / "spool", reserve_bytes=limits.reserve_bytes)
        self.intake = Intake(self.ledger, self.spool, lambda: self.config)

    def visit(self, name: str = "acme") -> Visit:
        return self.intake.visit(self.config.customers[name], "sftp", "127.0.0.1")

    def configure(self, customers: dict[str, Customer]) -> None:
        self.config = replace(self.config, customers=customers)


@contextmanager
def spine(root: Path, **limits: int) -> Iterator[Spine]:
    built = Spine(root, Limits(**{"reserve_bytes": 0, **limits}))
    try:
        yield built
    finally:
        built.intake.close()
        built.ledger.close()


# -- one delivery, taken along by hand -------------------------------------------------------------


def begin(base: Spine, content: bytes = b"abc", name: str = "sales.csv") -> str:
    begun = base.ledger.begin("acme", name, "sftp").result()
    (base.spool.receiving / begun.id).write_bytes(content)
    return begun.id


def move(
    base: Spine,
    delivery: str,
    *states: State,
    cause: Cause = Cause.CLOSE,
    reason: str | None = None,
) -> None:
    """Take a delivery through states, in the ledger alone."""
    for state in states:
        before = base.ledger.one(delivery).state
        base.ledger.move(delivery, before, state, cause, reason=reason).result()


def finish(base: Spine, content: bytes = b"abc") -> str:
    """Bring a delivery all the way to kept/."""
    delivery = begin(base, content)
    move(base, delivery, State.ARRIVED, State.IMPORTING)
    base.ledger.record_report(Report(delivery, 1, "imported", feed="sales")).result()
    base.spool.accept(delivery)
    base.spool.keep(delivery)
    return delivery


def one(base: Spine, delivery: str) -> Delivery:
    return base.ledger.one(delivery)


def folder_of(base: Spine, delivery: str) -> str | None:
    where = base.spool.path_of(delivery)
    return None if where is None else where.parent.name
