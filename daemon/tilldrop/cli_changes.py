"""Asking for a change of deliveries: of the running daemon, or done here while none runs.

Owns the way to `corrections` for every verb that sends deliveries on or takes them back. Without
a daemon it works under the home's lock, and the daemon's next start goes on from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilldrop import control, corrections, home_lock, removals
from tilldrop.errors import NotRunning
from tilldrop.importer import databases
from tilldrop.importer.supervisor import Supervisor
from tilldrop.ledger import Ledger
from tilldrop.spool import Spool

if TYPE_CHECKING:
    from tilldrop.cli_context import Where
    from tilldrop.config import Config

_WITH_WORKER = frozenset({"undo", "customer-forget", "shopper-erase"})


def change(where: Where, do: str, **what: Any) -> Any:
    """Do what a verb of `control` does and return its answer."""
    try:
        return control.ask(where.config().paths, do, **what)
    except NotRunning:
        return _do_here(where, do, what)


def _do_here(where: Where, do: str, what: dict[str, Any]) -> Any:
    """Do what the daemon would. Raises AlreadyRunning if one has started meanwhile."""
    config = where.config()
    where.ledger().close()  # raises if there is none: this is no way to begin one
    home_lock.make_folders(config.paths)
    with home_lock.locked(config.paths):
        ledger = Ledger(config.paths.ledger)
        try:
            return _done_with(ledger, Spool(config.paths.spool, 0), config, do, what)
        finally:
            ledger.close()


def _done_with(
    ledger: Ledger, spool: Spool, config: Config, do: str, what: dict[str, Any]
) -> dict[str, Any]:
    if do in _WITH_WORKER:
        return _with_worker(ledger, spool, config, do, what)
    if do == "hold":
        done = corrections.hold(ledger, what["ids"])
    elif do == "release":
        done = corrections.release(ledger, spool, what["ids"])
    elif "ids" in what:
        done = corrections.replay(ledger, spool, what["ids"])
    else:
        customer = what["customer"]
        chosen = corrections.select(ledger, customer, what.get("feed"), what.get("since"))
        done = corrections.replay_customer(ledger, spool, customer, chosen)
    return {"deliveries": done}


def _with_worker(
    ledger: Ledger, spool: Spool, config: Config, do: str, what: dict[str, Any]
) -> dict[str, Any]:
    """Use a worker of our own: only a worker opens data.db for writing."""
    databases.prepare(config)
    supervisor = Supervisor(config.paths.run / "worker.lock", config.importer)
    try:
        supervisor.start()
        beneath = (ledger, spool, supervisor, databases.present(config.paths))
        if do == "undo":
            return corrections.undo(*beneath, what["id"])
        if do == "customer-forget":
            return removals.remove_customer(*beneath, what["customer"])
        named = (what["customer"], what["shopper"], what["texts"], what["drop"])
        return removals.erase_shopper(*beneath, *named)
    finally:
        supervisor.stop()
