"""`tilldrop customer import`: many customers from one list, all or none.

Everything that can be wrong is looked at before the first file is written; what the list may
say stands in `customer_list`. A customer's own file is written last, so one that is cut off by
a full disk is not half a customer: the rest is told, and `--update` goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilldrop import customer_list, home_files, passwords
from tilldrop.cli_context import PATH, Where, as_json, plural
from tilldrop.cli_customers import append_keys, pub_file, say, tell_daemon
from tilldrop.cli_output import write_json, write_table
from tilldrop.customers import Customers
from tilldrop.errors import HomeUnusable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tilldrop.config import Config
    from tilldrop.customer_list import Wanted


@click.command("import")
@click.argument("file", type=PATH)
@click.option("--like", default="", metavar="NAME", help="Give new customers the feeds of NAME.")
@click.option("--update", is_flag=True, help="Change customers that exist, too.")
@click.option("--dry-run", is_flag=True, help="Check and show what would be done; write nothing.")
@as_json
@click.pass_obj
def import_customers(
    where: Where,
    file: Path,
    like: str,
    update: bool,  # noqa: FBT001
    dry_run: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Add all customers of a CSV file, or none if it has a mistake.

    Its columns are name, zone, currency, key, key_file, password_hash and like; only name is
    needed where --like gives the rest.
    """
    config = where.config()
    if like:
        where.customer(like)
    opened = Path("/dev/stdin") if str(file) == "-" else file
    wanted = customer_list.read(opened, config.customers, like=like, update=update)
    if not dry_run:
        _write_all(where, config, wanted)
    _show(wanted, as_json=as_json)
    silent = sum(one.is_new and not one.keys and not one.password_hash for one in wanted)
    if silent:
        say(f"{plural(silent, 'new customer')} with neither password nor key: nobody can log in")
    feedless = sum(one.is_new and not one.like for one in wanted)
    if feedless:
        say(f"{plural(feedless, 'new customer')} without feeds: every file will be unclaimed")
    added = sum(one.is_new for one in wanted)
    verb = "would be" if dry_run else "are"
    say(f"{plural(added, 'customer')} {verb} added, {len(wanted) - added} changed")
    if not dry_run:
        tell_daemon(config)


def _write_all(where: Where, config: Config, wanted: tuple[Wanted, ...]) -> None:
    """Write every customer. Raises HomeUnusable saying how far it came."""
    home = where.home()
    # The texts first: a customer's file that cannot be read stops it all before it began.
    texts = {one.name: _text(home, one) for one in wanted}
    customers = Customers(config.paths.keys, lambda: config)
    for done, one in enumerate(wanted):
        try:
            if one.password_hash:
                customers.set_password_hash(one.name, one.password_hash)
            if one.keys:
                append_keys(pub_file(config, one.name), one.keys)
            home_files.write_customer(home, one.name, texts[one.name])
        except OSError as refused:
            raise HomeUnusable(
                f"{refused.filename or home} cannot be written: {refused.strerror}; {done} of"
                f" {len(wanted)} customers are written. Once it can, repeat with --update"
            ) from refused


def _text(home: Path, one: Wanted) -> str:
    if not one.is_new:
        return home_files.customer_changed(home, one.name, one.zone, one.currency)
    if one.like:
        return home_files.customer_like(home, one.like, one.name, one.zone, one.currency)
    return home_files.customer_template(one.name, one.zone, one.currency)


def _show(wanted: Iterable[Wanted], *, as_json: bool) -> None:
    described = [_described(one) for one in wanted]
    if as_json:
        write_json(described)
        return
    head = ("CUSTOMER", "", "ZONE", "CURRENCY", "KEYS", "PASSWORD", "LIKE")
    write_table(head, [tuple(one.values()) for one in described], "")


def _described(one: Wanted) -> dict[str, Any]:
    """Describe what is done for a customer; secrets left out."""
    return {
        "name": one.name,
        "done": "added" if one.is_new else "changed",
        "zone": one.zone,
        "currency": one.currency,
        "keys": len(one.keys),
        "password": passwords.kind(one.password_hash) if one.password_hash else "",
        "like": one.like if one.is_new else "",
    }
