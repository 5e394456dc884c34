"""Taking out for good what a customer or a shopper asks to be taken out.

Owns the order in which ledger, spool and databases give it up, so that a crash on the way leaves
something from which the next try finds its way to the end. Used by the running daemon and, without
one, by the CLI. Never touches configuration, keys or backups.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tilldrop import journal, ledger_forgetting
from tilldrop.delivery import FINISHED, State
from tilldrop.errors import CustomerBusy, MoveRefused, NoSuchCustomer, UsageWrong
from tilldrop.importer import databases
from tilldrop.ledger_reading import utcnow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from pathlib import Path

    from tilldrop.config import Config
    from tilldrop.corrections import Tasks
    from tilldrop.ledger import Ledger
    from tilldrop.spool import Spool

    Verb = Callable[[dict[str, Any]], Awaitable[object]]

_RESTING = FINISHED | {State.BROKEN, State.HELD}


def remove_customer(
    ledger: Ledger, spool: Spool, tasks: Tasks, paths: Iterable[Path], customer: str
) -> dict[str, Any]:
    """Take out all that is kept of a customer that is configured no longer.

    Returns deliveries, files, rows (by table) and rewritten: whether what the rows left in the
    databases' files and logs is gone too. Raises CustomerBusy while something of it is received or
    imported, DataBusy, WorkerLost; then say it again. The ledger's rows go last: they name the
    files.
    """
    found = ledger_forgetting.put_aside(ledger, customer)
    files = 0
    for delivery_id in found:
        files += spool.path_of(delivery_id) is not None
        spool.drop(delivery_id)
    spool.sync_drops()
    rows: dict[str, int] = {}
    rewritten = True
    for path in paths:
        task = {"task": "customer-forget", "customer": customer, "data_path": str(path)}
        done = tasks.task(task)
        rewritten &= done["rewritten"]
        for table, count in done["rows"].items():
            rows[table] = rows.get(table, 0) + count
    deliveries = ledger_forgetting.forget(ledger, customer)
    rewritten &= ledger_forgetting.rewrite(ledger)
    journal.customer_removed(customer, deliveries, files, sum(rows.values()))
    gone = {"deliveries": deliveries, "files": files, "rows": rows}
    return {"customer": customer, **gone, "rewritten": rewritten}


def erase_shopper(
    ledger: Ledger,
    spool: Spool,
    tasks: Tasks,
    paths: Iterable[Path],
    customer: str,
    shopper: str,
    texts: Sequence[str],
    drop: Sequence[str],
) -> dict[str, Any]:
    """Take one shopper out of every database and of the reports.

    texts: by which it is found where no column tells. drop: ids of deliveries whose bytes go.
    Returns erased (what -> rows), dropped (ids) and rewritten, as `remove_customer`. Raises
    DataBusy, WorkerLost, NoSuchDelivery, MoveRefused for a file that is still to be imported; may
    be done again.
    """
    erased: dict[str, int] = {}
    rewritten = True
    for path in paths:
        task = {
            "task": "shopper-erase",
            "customer": customer,
            "shopper": shopper,
            "texts": list(texts),
            "data_path": str(path),
        }
        done = tasks.task(task)
        rewritten &= done["rewritten"]
        for what, count in done["erased"].items():
            erased[what] = erased.get(what, 0) + count
    erased["receipts"] = ledger_forgetting.erase_mentions(ledger, customer, texts)
    rewritten &= ledger_forgetting.rewrite(ledger)
    dropped = [_drop(ledger, spool, customer, delivery_id) for delivery_id in drop]
    spool.sync_drops()  # the ledger says so already: nothing would look for them soon
    # Who it was is what must be forgotten: not even the id is said.
    journal.shopper_erased(customer, sum(erased.values()), len(dropped))
    return {"erased": erased, "dropped": dropped, "rewritten": rewritten}


def _drop(ledger: Ledger, spool: Spool, customer: str, delivery_id: str) -> str:
    delivery = ledger.one(delivery_id)
    if delivery.customer != customer:
        raise UsageWrong(f"delivery {delivery_id} is not {customer}'s")
    if delivery.state not in _RESTING:
        raise MoveRefused(f"delivery {delivery_id} is {delivery.state}: import it first")
    if delivery.bytes_gone_at is None:
        ledger.amend(delivery_id, delivery.state, bytes_gone_at=utcnow()).result()
    spool.drop(delivery_id)
    return delivery_id


def verbs(
    ledger: Ledger, spool: Spool, tasks: Tasks, config_of: Callable[[], Config]
) -> dict[str, Verb]:
    """Return customer-forget and shopper-erase as the control socket serves them."""

    async def forget(request: dict[str, Any]) -> object:
        customer = str(request.get("customer"))
        if customer in config_of().customers:
            raise CustomerBusy(f"{customer} is still configured: take its file away and reload")
        paths = databases.present(config_of().paths)
        return await asyncio.to_thread(remove_customer, ledger, spool, tasks, paths, customer)

    async def erase(request: dict[str, Any]) -> object:
        customer = str(request.get("customer"))
        if customer not in config_of().customers:
            raise NoSuchCustomer(f"there is no customer {customer!r}")
        paths = databases.present(config_of().paths)
        if not (shopper := request.get("shopper")):
            raise UsageWrong("shopper is missing: an id as the customer's files state it")
        named = shopper, request.get("texts", []), request.get("drop", [])
        return await asyncio.to_thread(erase_shopper, ledger, spool, tasks, paths, customer, *named)

    return {"customer-forget": forget, "shopper-erase": erase}
