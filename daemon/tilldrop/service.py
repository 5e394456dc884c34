"""The daemon: everything built, started, reloaded and stopped, in the order that loses nothing.

The only module that knows all others. Up: lock, databases, recovery of what the last end left,
watch, importer, housekeeping, doors, control. Down: the same backwards, so that doors close
first and the ledger last; systemd keeps their sockets meanwhile (`listening`). Promises: one
daemon a home; a known error ends the start with one clear line; SIGTERM or SIGINT lets open
uploads and the import in hand finish within `limits.stop_grace_s`, and the whole stop takes no
more than 25 s beyond it; a second signal does not wait; SIGHUP reads the configuration again and
keeps the old one if the new one has mistakes.
Never touches a delivery itself.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

from tilldrop import allocator, audit, control, descriptors, home_lock, journal, removals, sqlite
from tilldrop import config as configuration
from tilldrop.audit_noting import Audit
from tilldrop.config_changes import changes
from tilldrop.customers import Customers
from tilldrop.delivery import State
from tilldrop.doors.folder import Folders
from tilldrop.doors.ftp import Ftp
from tilldrop.doors.sftp import Sftp
from tilldrop.doors.sftp_algorithms import LEGACY
from tilldrop.errors import DatabaseDamaged, LedgerBusy, TilldropError, WorkerLost
from tilldrop.garbage import Garbage
from tilldrop.guard import Guard
from tilldrop.housekeeping import Housekeeping, recover
from tilldrop.importer import databases
from tilldrop.importer.dispatch import Importer
from tilldrop.importer.supervisor import Supervisor
from tilldrop.intake import Intake
from tilldrop.journal_lines import configure
from tilldrop.ledger import Ledger
from tilldrop.listening import Sockets
from tilldrop.password_checks import PasswordChecks
from tilldrop.retention import Retention
from tilldrop.sd_notify import notify, ping_interval_s
from tilldrop.spool import Spool
from tilldrop.turns import Turns, new_loop
from tilldrop.watch import Bell, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from tilldrop.config import Config

PRIVATE_UMASK = 0o077
WORKER_LOCK = "worker.lock"
# What a reload leaves as it is until the next start: sockets are bound, the worker has its limits.
FIXED_SECTIONS = ("paths", "sftp", "sftp_legacy", "ftp", "importer")
SHARE_THREADS = 32  # made as needed: a share that hangs keeps one, and may not keep the others
GIVE_BACK_WITHIN_S = 5.0  # one commit
# While the loop is busy, a thread that comes back from the disk waits so long for the interpreter,
# several times in every upload. Python's own is 5 ms.
SWITCH_S = 0.001
STOP_REST_S = 30  # what else a stop may take beyond its grace: sessions, threads, the worker
LOOK_FOR_GARBAGE_S = 60.0
HOUSEKEEPING_REST_S = 2.0
SHORT_IMPORT_S = 2.0  # most imports end within it, so they get it whatever uploads took


def run(home: Path, config: Config) -> None:
    """Be the daemon until SIGTERM or SIGINT.

    Raises AlreadyRunning, HomeUnusable, PortTaken, SpoolSplit, KeyUnusable, SchemaTooNew,
    SqliteTooOld, DatabaseDamaged, DataBusy, LedgerBusy, WorkerLost: nothing is left running.
    """
    configure(config.log.form, config.log.level)
    os.umask(PRIVATE_UMASK)
    descriptors.allow_most(config)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # passwords and rows are in memory
    home_lock.make_folders(config.paths)
    with home_lock.locked(config.paths):
        allocator.settle()
        sys.setswitchinterval(SWITCH_S)
        turns = Turns()
        with asyncio.Runner(loop_factory=lambda: new_loop(turns)) as runner:
            runner.run(Service(home, config, turns).live())


class Door(Protocol):
    """What the wiring asks of every door. start() returns its port, 0 if it has none."""

    sessions: int

    async def start(self) -> int:
        """Open. Raises TilldropError."""

    def stop_accepting(self) -> None:
        """Take nothing new."""

    async def stop(self) -> None:
        """Close, and end what is still open."""

    def reload(self) -> None:
        """Look at the configuration again."""


class Service:
    """One life of the daemon. Raises what `run` says, and then has started nothing."""

    def __init__(self, home: Path, config: Config, turns: Turns) -> None:
        self._home = home
        self._turns = turns
        self._config = config
        paths, limits = config.paths, config.limits
        self._sockets = Sockets()
        self._bell = Bell()
        self._customers = Customers(paths.keys, self.config)
        self._spool = Spool(paths.spool, limits.reserve_bytes)
        databases.prepare(config)
        audit.check_schema(paths.audit)
        self._supervisor = Supervisor(paths.run / WORKER_LOCK, config.importer)
        self._watch = Watch(self._spool.arrived, self._bell.ring, polling=config.importer.polling)
        # From here on there is a thread, which `live` ends.
        self._ledger = Ledger(paths.ledger)
        self._intake = Intake(self._ledger, self._spool, self.config)
        self._importer = Importer(
            self._ledger, self._spool, self._supervisor, self.config, self._bell
        )
        retention = Retention(self._ledger, self._supervisor, self.config)
        kept = (self._ledger, self._spool, self._intake, self._watch)
        self._keeper = Housekeeping(*kept, self.config, self._bell.ring, more=retention.work)
        self._intake.on_waiting = self._keeper.wake
        self._shares = ThreadPoolExecutor(SHARE_THREADS, "share")
        self._folders = Folders(self._intake, self.config, self._shares)
        self._audit = Audit(paths.audit, lambda: self._config.limits.audit_keep_days)
        configure(config.log.form, config.log.level, note=self._audit.note)
        self._guard = Guard(lambda: self._config.guard)
        self._checks = PasswordChecks(self._customers, self._guard)
        self._doors = self._make_doors()
        self._control = control.Control(paths.run, self._verbs())
        self._importing = _thread("importer", self._importer.run)
        self._keeping = _thread("housekeeping", self._keeper.run)
        self._started_at = datetime.now(UTC)
        self._ports: dict[str, int] = {}
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._stopped_by = ""
        self._stop_at = 0.0
        self._reloading = asyncio.Lock()
        self._reload_task: asyncio.Task[None] | None = None

    def _make_doors(self) -> dict[str, Door]:
        config, listen = self._config, self._sockets.listen
        shared = (self._intake, self._customers, self.config, self._checks, self._guard)
        return {
            "sftp": Sftp(config.sftp, *shared, listen=listen),
            "sftp_legacy": Sftp(config.legacy_door(), *shared, LEGACY, listen=listen),
            "ftp": Ftp(config.ftp, *shared, listen=listen),
            "folder": self._folders,
        }

    def _verbs(self) -> dict[str, control.Verb]:
        """Return what the command line may ask."""
        parts = (self._ledger, self._spool, self._supervisor, self.config)
        return {
            **control.delivery_verbs(*parts, self._bell.ring),
            **removals.verbs(*parts),
            **control.guard_verbs(self._guard),
            "status": self._status,
            "reload": self._reload,
        }

    def config(self) -> Config:
        """Return the configuration in force now."""
        return self._config

    # -- up and down ---------------------------------------------------------------------------

    async def live(self) -> None:
        """Start, serve until a signal, stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up)
        self._ledger.on_stuck = lambda: loop.call_soon_threadsafe(self._give_up)
        async with AsyncExitStack() as down:
            pinging = asyncio.create_task(self._ping())
            down.callback(pinging.cancel)
            down.callback(self._audit.close)
            down.callback(self._ledger.close)
            await self._start(down)
            allocator.give_back()
            self._say_started()
            collecting = asyncio.create_task(self._look_for_garbage(Garbage()))
            down.callback(collecting.cancel)
            self._turns.begin()
            await self._stop.wait()
            notify("STOPPING=1")
            # systemd would kill at TimeoutStopSec, which does not know our limits.
            grace_s = self._config.limits.stop_grace_s + STOP_REST_S
            notify(f"EXTEND_TIMEOUT_USEC={grace_s * 1_000_000}")
            journal.service_stopping(self._stopped_by, len(self._intake.uploads))
        journal.service_stopped()
        if self._stopped_by == "ledger":
            raise LedgerBusy("nobody else has the ledger's lock: only a new start frees it")

    async def _start(self, down: AsyncExitStack) -> None:
        """Start everything; what has to be ended is put on `down` before it begins."""
        await asyncio.to_thread(recover, self._ledger, self._spool)
        with suppress(DatabaseDamaged):  # which the writing of it says
            path, now = self._config.paths.audit, self._started_at
            self._guard.recall(await asyncio.to_thread(audit.recent_peers, path, now))
        down.callback(self._checks.close)
        down.callback(lambda: self._shares.shutdown(wait=False, cancel_futures=True))
        down.callback(self._intake.close)
        down.push_async_callback(asyncio.to_thread, self._supervisor.stop)
        await asyncio.to_thread(self._start_worker)
        down.push_async_callback(asyncio.to_thread, self._watch.stop)
        await asyncio.to_thread(self._watch.start)
        down.push_async_callback(self._end_importing)
        self._importing.start()
        down.push_async_callback(self._end_housekeeping)
        self._keeping.start()
        down.push_async_callback(self._close_doors)
        for name, door in self._doors.items():
            if self._is_enabled(name) and (port := await door.start()):
                self._ports[name] = port
        self._sockets.give_up_rest()
        down.push_async_callback(self._control.stop)
        await self._control.start()

    def _is_enabled(self, door: str) -> bool:
        section = getattr(self._config, door, None)
        return section is None or section.enabled

    def _start_worker(self) -> None:
        try:
            self._supervisor.start()
        except WorkerLost as lost:
            raise WorkerLost(f"the importer's worker does not start: {lost}") from lost

    def _say_started(self) -> None:
        journal.service_started(
            version("tilldrop"),
            os.getpid(),
            str(self._home),
            sqlite.sqlite3.sqlite_version,
            sqlite.journal_mode(),
        )
        notify("READY=1")

    async def _close_doors(self) -> None:
        """Take nothing new, give open uploads their grace, end the sessions."""
        self._intake.stop_taking()
        for door in self._doors.values():
            door.stop_accepting()
        await self._unless_hurried(self._intake.drain(self._config.limits.stop_grace_s))
        await asyncio.gather(*(door.stop() for door in self._doors.values()))

    async def _end_housekeeping(self) -> None:
        self._keeper.stop()
        await asyncio.to_thread(self._keeping.join, HOUSEKEEPING_REST_S)  # the worker may hang

    async def _end_importing(self) -> None:
        """Let the import in hand finish within the grace; else it is done again at next start."""
        self._importer.stop()
        left_s = self._stop_at + self._config.limits.stop_grace_s - time.monotonic()
        wait_s = max(left_s, SHORT_IMPORT_S)
        await self._unless_hurried(asyncio.to_thread(self._importing.join, wait_s))
        left = [each for each in (self._importing, self._keeping) if each.is_alive()]
        if left:
            await asyncio.to_thread(self._supervisor.stop)
        for thread in left:
            await asyncio.to_thread(thread.join, GIVE_BACK_WITHIN_S)

    async def _unless_hurried(self, waiting: Coroutine[Any, Any, object]) -> None:
        """Wait for something, or for a second signal."""
        tasks = {asyncio.create_task(waiting), asyncio.create_task(self._hurry.wait())}
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()

    def _signalled(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            self._hurry.set()
            return
        self._stopped_by, self._stop_at = number.name, time.monotonic()
        self._stop.set()

    def _give_up(self) -> None:
        """End, so that systemd starts it anew."""
        self._stopped_by = self._stopped_by or "ledger"
        self._hurry.set()
        self._stop.set()

    async def _ping(self) -> None:
        """Tell systemd that loop and threads are alive, if it wants to know."""
        interval_s = ping_interval_s()
        threads = (self._importing, self._keeping)
        while interval_s is not None:
            began = all(thread.ident is not None for thread in threads)
            ending = self._stop.is_set()
            if not began or ending or all(thread.is_alive() for thread in threads):
                notify("WATCHDOG=1")
            await asyncio.sleep(interval_s)

    async def _look_for_garbage(self, garbage: Garbage) -> None:
        while True:
            await asyncio.sleep(LOOK_FOR_GARBAGE_S)
            garbage.look(sum(door.sessions for door in self._doors.values()))

    # -- reload --------------------------------------------------------------------------------

    def _hung_up(self) -> None:
        async def reload() -> None:
            with suppress(TilldropError):  # it is in the journal
                await self._reload({})

        self._reload_task = asyncio.create_task(reload())

    async def _reload(self, _request: dict[str, Any]) -> dict[str, object]:
        """Read the configuration again. Raises ConfigInvalid; then the old one stays in force."""
        async with self._reloading:
            try:
                new = await asyncio.to_thread(configuration.load, self._home)
            except TilldropError as error:
                journal.config_refused(str(error).splitlines())
                raise
            old = {name: getattr(self._config, name) for name in FIXED_SECTIONS}
            needs_restart = [name for name in FIXED_SECTIONS if getattr(new, name) != old[name]]
            new = replace(new, **old)
            await asyncio.to_thread(databases.prepare_sandbox, new)
            changed = changes(self._config, new)
            self._config = new
            configure(new.log.form, new.log.level, note=self._audit.note)
            self._spool.reserve_bytes = new.limits.reserve_bytes
            self._customers.reload()
            for door in self._doors.values():
                door.reload()
            self._keeper.wake()
            journal.config_reloaded(len(new.customers), needs_restart, changed)
            return {"customers": len(new.customers), "needs_restart": needs_restart}

    # -- status --------------------------------------------------------------------------------

    async def _status(self, _request: dict[str, Any]) -> dict[str, object]:
        """Say how the daemon is; the keys are what scripts rely on.

        doors: name -> listen, port (the real one), sessions. folders: path, customer, whether it
        is open, else why not. sandbox: customer -> feeds, live_locations. deliveries: state ->
        count, all states. worker: pid or null. last_import: null before the first of this life.
        """
        counts = await asyncio.to_thread(self._ledger.count_by_state)
        last = self._importer.last_import
        return {
            "version": version("tilldrop"),
            "pid": os.getpid(),
            "home": str(self._home),
            "started_at": self._started_at.isoformat(timespec="seconds"),
            "doors": {
                name: {
                    "listen": getattr(self._config, name).listen,
                    "port": port,
                    "sessions": self._doors[name].sessions,
                }
                for name, port in self._ports.items()
            },
            "folders": self._folders.describe(),
            "sandbox": {
                one.name: {"feeds": one.sandboxed, "live_locations": one.live_locations}
                for one in self._config.customers.values()
                if one.sandboxed
            },
            "loop": self._turns.describe(),
            "open_uploads": len(self._intake.uploads),
            "deliveries": {state.value: counts.get(state, 0) for state in State},
            "worker": {"pid": self._supervisor.pid},
            "last_import": last
            and {
                "delivery": last.id,
                "customer": last.customer,
                "name": last.name,
                "outcome": last.state,
                "at": last.changed_at.isoformat(timespec="seconds"),
            },
        }


def _thread(name: str, body: Callable[[], None]) -> threading.Thread:
    # Does not keep the process alive if the way down itself fails.
    return threading.Thread(target=body, name=name, daemon=True)
