"""`tilldrop customer remove` and `tilldrop shopper erase`: taking out for good, on request.

Owns what is asked before and said afterwards, what of it lies in files that the daemon may not
write (configuration, keys), and the search of kept files. What the databases, the ledger and the
spool give up is done by `removals`.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from tilldrop import control, home_files, in_the_clear, secretfiles
from tilldrop.cli_changes import change
from tilldrop.cli_context import as_json, plural
from tilldrop.cli_output import visible, write_json
from tilldrop.config import CUSTOMER_NAME
from tilldrop.errors import CustomerBusy, HomeUnusable, NoSuchCustomer, NotRunning, UsageWrong
from tilldrop.mentions import NotLookedIntoError, is_mentioned_in, mentions
from tilldrop.spool import Spool
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.cli_context import Where
    from tilldrop.delivery import Delivery

KEY_KINDS = ("password", "pub", "crt")
SESSIONS_END_WITHIN_S = 30.0  # after the reload that shuts the customer out
LOOK_EVERY_S = 0.2
FIND_MOST = 10_000_000
REMAINS = (
    "what remains: backups made before (delete or re-make them), the audit log and the journal,"
    " which name the customer until they are rotated out"
)
BACKUPS_REMAIN = (
    "backups made before still hold the shopper: delete or re-make them; `tilldrop restore --since`"
    " names who is in one again"
)
NOT_REWRITTEN = (
    "copies of rows are left in a database's file or log, because another program reads it or the"
    " disk has no room; they go with the next removal or erasure"
)
_TEXTS = "SELECT email, phone, loyalty_id FROM shoppers WHERE customer = ? AND shopper_id = ?"

_yes = click.option("--yes", is_flag=True, help="Do not ask.")


# -- customer remove -----------------------------------------------------------------------------


@click.command("remove")
@click.argument("name")
@_yes
@as_json
@click.pass_obj
def remove_customer(where: Where, name: str, yes: bool, as_json: bool) -> None:  # noqa: FBT001
    """Remove a customer with all that is kept of it.

    Its rows in data.db and sandbox.db, its deliveries and receipts, its files' bytes, its keys,
    password and configuration. Cannot be taken back. Say it again if it was interrupted.
    """
    found = _deliveries(where, name)
    _check_removable(where, name, found)
    if not yes:
        count = plural(len(found), "delivery")
        click.confirm(f"Remove {name} with {count} and all rows?", abort=True, err=True)
    removed = _remove_files(where, name)
    _shut_out(where)
    done = {**_forget(where, name), "configuration": removed}
    if as_json:
        write_json(done)
        return
    rows = plural(sum(done["rows"].values()), "row")
    files = plural(done["files"], "file")
    click.echo(f"{name} is removed: {plural(done['deliveries'], 'delivery')}, {files}, {rows}")
    for path in removed:
        click.echo(visible(f"  {path}"))
    click.echo(REMAINS, err=True)
    _tell_copies(done)


def _tell_copies(done: dict[str, Any]) -> None:
    if not done["rewritten"]:
        click.echo(NOT_REWRITTEN, err=True)


def _deliveries(where: Where, name: str) -> list[Delivery]:
    try:
        with closing(where.ledger()) as ledger:
            return ledger.find(customer=name, limit=FIND_MOST)
    except HomeUnusable:
        return []  # the daemon never ran


def _check_removable(where: Where, name: str, found: list[Delivery]) -> None:
    if not CUSTOMER_NAME.fullmatch(name):
        raise NoSuchCustomer(f"{name!r} cannot be a customer's name")
    config = where.config()
    if name not in config.customers and not found and not _own_files(where, name):
        raise NoSuchCustomer(f"nothing is kept of a customer {name!r}")
    if folders := [str(one.path) for one in config.folders if one.customer == name]:
        raise UsageWrong(f"take [[folders]] of {name} out of tilldrop.toml first: {folders[0]}")
    busy = [one for one in found if one.state in ("receiving", "importing")]
    if busy:
        raise CustomerBusy(f"{busy[0].name} of {name} is {busy[0].state}; say it again later")


def _own_files(where: Where, name: str) -> list[Path]:
    """Return the customer's configuration and keys, those that are there."""
    keys = where.config().paths.keys / "customers"
    paths = [
        home_files.customer_file(where.home(), name),
        *(keys / f"{name}.{kind}" for kind in KEY_KINDS),
        in_the_clear.place(where.config().paths, name),
    ]
    return [path for path in paths if path.exists()]


def _remove_files(where: Where, name: str) -> list[str]:
    removed = []
    for path in _own_files(where, name):
        secretfiles.remove(path)
        removed.append(str(path))
    return removed


def _shut_out(where: Where) -> None:
    """Let the running daemon read that the customer is no more, which ends its sessions."""
    try:
        control.ask(where.config().paths, "reload")
    except NotRunning:
        return


def _forget(where: Where, name: str) -> dict[str, Any]:
    """Have everything else taken out, once the sessions that were open have ended."""
    if not where.config().paths.ledger.exists():
        return {"customer": name, "deliveries": 0, "files": 0, "rows": {}, "rewritten": True}
    deadline = time.monotonic() + SESSIONS_END_WITHIN_S
    while True:
        try:
            done: dict[str, Any] = change(where, "customer-forget", customer=name)
        except CustomerBusy:
            if time.monotonic() > deadline:
                raise
            time.sleep(LOOK_EVERY_S)
        else:
            return done


# -- shopper erase -------------------------------------------------------------------------------


@click.group("shopper")
def shopper_group() -> None:
    """Persons in customers' master files."""


@shopper_group.command("erase")
@click.argument("customer")
@click.argument("shopper_id")
@click.option("--also", multiple=True, help="Another text that means the person; may be repeated.")
@click.option("--drop-files", is_flag=True, help="Remove kept files that mention the shopper.")
@_yes
@as_json
@click.pass_obj
def erase_shopper(
    where: Where,
    customer: str,
    shopper_id: str,
    also: tuple[str, ...],
    drop_files: bool,  # noqa: FBT001
    yes: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Erase one shopper of a customer.

    The row in shoppers is deleted; sales stay and bear no shopper; earlier versions, refused rows
    and what receipts quote are cleaned. Kept files that mention the person are listed. A later
    file does not bring the person back.
    """
    where.customer(customer)
    texts = _texts(where, customer, shopper_id, also)
    files, unread = _files_with(where, customer, texts)
    _tell_files(files, unread, drop=drop_files)
    if not yes:
        click.confirm(f"Erase this shopper of {customer}?", abort=True, err=True)
    drop = [one.id for one in files] if drop_files else []
    asked = {"customer": customer, "shopper": shopper_id, "texts": texts, "drop": drop}
    done = change(where, "shopper-erase", **asked)
    left = [one.id for one in files if one.id not in done["dropped"]]
    named = [one.id for one in _deliveries(where, customer) if mentions(one.name, texts)]
    if as_json:
        write_json({**done, "files": left, "unread": [one.id for one in unread], "named": named})
        return
    for what, rows in done["erased"].items():
        if rows:
            click.echo(f"{what}: {rows}")
    click.echo(f"{plural(len(done['dropped']), 'file')} dropped, {len(left)} still mention it")
    if named:
        click.echo(f"names of files that mention the shopper stay: {', '.join(named)}", err=True)
    click.echo(BACKUPS_REMAIN, err=True)
    _tell_copies(done)


def _texts(where: Where, customer: str, shopper: str, also: tuple[str, ...]) -> list[str]:
    """Return by which texts the person is found: the id, and what its row has."""
    if not shopper.strip() or not all(one.strip() for one in also):
        raise UsageWrong("a shopper's id, and what --also says, cannot be empty")
    texts = dict.fromkeys((shopper.strip(), *(one.strip() for one in also)))
    paths = where.config().paths
    for path in (paths.data, paths.sandbox):
        if path.exists():
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
                for row in connection.execute(_TEXTS, (customer, shopper)):
                    texts |= dict.fromkeys(str(value).strip() for value in row if value)
    return [text for text in texts if text]


def _files_with(
    where: Where, customer: str, texts: list[str]
) -> tuple[list[Delivery], list[Delivery]]:
    """Return which kept files mention one of the texts, and which cannot be looked into."""
    config = where.config()
    spool = Spool(config.paths.spool, 0)
    found, unread = [], []
    for delivery in reversed(_deliveries(where, customer)):
        path = spool.path_of(delivery.id)
        if path is None:
            continue
        try:
            if is_mentioned_in(path, texts, config.limits.max_unpacked_bytes):
                found.append(delivery)
        except (NotLookedIntoError, OSError):
            unread.append(delivery)
    return found, unread


def _tell_files(files: list[Delivery], unread: list[Delivery], *, drop: bool) -> None:
    what = "to be dropped" if drop else "kept; --drop-files removes their bytes"
    if files:
        click.echo(f"files that mention the shopper, {what}:", err=True)
    for delivery in files:
        click.echo(visible(f"  {delivery.id}  {delivery.name}"), err=True)
    for delivery in unread:
        click.echo(visible(f"  {delivery.id}  {delivery.name} (cannot be looked into)"), err=True)
