"""`make run`: a checkout as a home, a demo customer, a first file through the real door.

Owns `var/demo/` (git-ignored) and the customer `demo`. Promises to keep what an earlier run
left, and that nothing secret it makes is tracked by git. The daemon runs in the foreground in
this process, its log in a file; a second process, the guide, waits until it is up, sends the
bundled sample as any customer would, prints what became of it, and then a line for every
delivery that ends. Never opens a database for writing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tilldrop import config, control, hostkeys, receipts, service
from tilldrop.customers import Customers, generate_password
from tilldrop.delivery import FINISHED, Delivery, State
from tilldrop.errors import NotRunning, TilldropError
from tilldrop.ledger_reading import LedgerReader
from tilldrop.secretfiles import write_whole
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

CUSTOMER = "demo"
SAMPLE = "sales-2026-03-14.csv"
UP_WITHIN_S = 60.0  # the first start makes host keys
IMPORT_WITHIN_S = 30.0
LOOK_EVERY_S = 0.05
CORRECTED = "sales-2026-03-14-corrected.csv"
WATCH_EVERY_S = 0.3
ROWS_SHOWN = 6
RULE = "-" * 90
QUERY = "SELECT location_id, transaction_id, sold_at, total, tender FROM transactions_decimal"
TOLD = FINISHED | {State.BROKEN, State.HELD}

SSH_CONFIG = """\
# Made by `make run`: lets `sftp -F {file} demo` in by key.
Host demo
    HostName localhost
    HostKeyAlias tilldrop-demo
    Port {port}
    User demo
    IdentityFile {folder}/id_ed25519
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known_hosts
"""


@dataclass(frozen=True, slots=True)
class Demo:
    """Where the demo keeps its things."""

    paths: config.Paths

    @property
    def folder(self) -> Path:
        """All that only the demo needs."""
        return self.paths.state / "demo"

    @property
    def key(self) -> Path:
        """The demo customer's private key."""
        return self.folder / "id_ed25519"

    @property
    def password(self) -> Path:
        """The demo customer's password, readable by its owner alone."""
        return self.folder / "password"

    @property
    def log(self) -> Path:
        """What the daemon says of itself, over all runs."""
        return self.folder / "tilldrop.log"

    @property
    def ssh_config(self) -> Path:
        """What makes the printed commands short."""
        return self.folder / "ssh_config"


def main(words: list[str]) -> int:
    """Run the daemon with its guide, or (words: guide HOME) be the guide. Returns an exit code."""
    try:
        if words[:1] == ["guide"]:
            guide(Demo(config.load(Path(words[1])).paths))
        else:
            run(config.find_home(None))
    except TilldropError as refused:
        sys.stderr.write(f"{refused}\n")
        return refused.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def run(home: Path) -> None:
    """Prepare the demo customer, send the guide on its way, be the daemon until Ctrl-C."""
    prepare(home)
    loaded = config.load(home)
    words = (sys.executable, "-m", "tilldrop.demo", "guide", str(home))
    log = Demo(loaded.paths).log
    guiding = subprocess.Popen(words, stdin=subprocess.DEVNULL)  # noqa: S603  ourselves
    try:
        with log.open("a", encoding="utf-8") as file, contextlib.redirect_stdout(file):
            service.run(home, loaded)
    finally:
        guiding.terminate()
        guiding.wait()


# -- before the daemon starts --------------------------------------------------------------------


def prepare(home: Path) -> None:
    """Make the demo customer's file, password and key, each unless it is there."""
    customer_file = home / config.CUSTOMERS_FOLDER / f"{CUSTOMER}.toml"
    if not customer_file.exists():
        customer_file.parent.mkdir(parents=True, exist_ok=True)
        customer_file.write_bytes((files("tilldrop") / "samples" / "demo.toml").read_bytes())
    loaded = config.load(home)
    demo = Demo(loaded.paths)
    demo.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    customers = Customers(loaded.paths.keys, lambda: loaded)
    if not (demo.password.exists() and customers.has_password(CUSTOMER)):
        password = generate_password()
        customers.set_password(CUSTOMER, password)
        write_whole(demo.password, f"{password}\n".encode("ascii"))
    if not demo.key.exists():
        make = ("-q", "-t", "ed25519", "-N", "", "-C", "tilldrop demo", "-f", str(demo.key))
        subprocess.run((_program("ssh-keygen"), *make), check=True)  # noqa: S603
    public = loaded.paths.keys / "customers" / f"{CUSTOMER}.pub"
    if not public.exists():
        shutil.copyfile(demo.key.with_suffix(".pub"), public)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise TilldropError(f"the demo needs `{name}`: install the package openssh-client")
    return found


# -- the guide -----------------------------------------------------------------------------------


def guide(demo: Demo) -> None:
    """Wait for the daemon, deliver the sample unless it is there, and tell what becomes of it."""
    daemon = os.getppid()
    port = _wait(demo, "the daemon does not answer", UP_WITHIN_S, lambda: _port(demo.paths))
    _write_ssh_files(demo, port)
    ledger = LedgerReader(demo.paths.ledger)
    sent_now = not _delivered(ledger)
    if sent_now:
        _sftp(demo, f"put {files('tilldrop') / 'samples' / SAMPLE} {SAMPLE}")
    delivery = _wait(
        demo,
        f"{SAMPLE} is not imported",
        IMPORT_WITHIN_S,
        lambda: next((d for d in _delivered(ledger) if d.state in FINISHED), None),
    )
    _sftp(demo, f"get {receipts.name_for(delivery)} {demo.folder / 'receipt.txt'}")
    for line in _told(demo, port, delivery, sent_now=sent_now):
        _say(line)
    _tell_on(ledger, daemon)


def _tell_on(ledger: LedgerReader, daemon: int) -> None:
    """Print a line for every delivery that ends, until the daemon does."""
    said = {(d.id, d.state, d.run) for d in ledger.find()}
    while os.getppid() == daemon:
        for delivery in reversed(ledger.find()):
            now = (delivery.id, delivery.state, delivery.run)
            if now not in said and delivery.state in TOLD:
                _say(_ended(delivery, ledger))
            said.add(now)
        time.sleep(WATCH_EVERY_S)


def _ended(delivery: Delivery, ledger: LedgerReader) -> str:
    report = ledger.report(delivery.id)
    words = [f"{delivery.changed_at.astimezone():%H:%M:%S}", delivery.customer]
    words += [repr(delivery.name)[1:-1], str(delivery.state)]
    if delivery.state is State.IMPORTED and report is not None:
        counts = report.counts
        told = (
            ("new", counts.inserted),
            ("changed", counts.updated),
            ("unchanged", counts.unchanged),
            ("rows refused", counts.rejected),
        )
        words.append(", ".join(f"{count} {what}" for what, count in told if count))
    elif delivery.reason:
        words.append(delivery.reason)
    return "  ".join(words)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _wait(demo: Demo, complaint: str, within_s: float, look: Callable[[], T | None]) -> T:
    """Return what `look` finds. Ends this process if the daemon is gone; raises if time is up."""
    daemon, deadline = os.getppid(), time.monotonic() + within_s
    while time.monotonic() < deadline:
        if os.getppid() != daemon:
            raise SystemExit(0)  # it has said why itself
        if (found := look()) is not None:
            return found
        time.sleep(LOOK_EVERY_S)
    raise TilldropError(f"{complaint} after {within_s:.0f} s; see {_short(demo.log)}")


def _port(paths: config.Paths) -> int | None:
    try:
        return int(control.ask(paths, "status")["doors"]["sftp"]["port"])
    except NotRunning:
        return None


def _delivered(ledger: LedgerReader) -> list[Delivery]:
    accepted = (d for d in ledger.find(customer=CUSTOMER, name=SAMPLE) if d.arrival_seq is not None)
    return sorted(accepted, key=lambda delivery: delivery.state is not State.IMPORTED)


def _write_ssh_files(demo: Demo, port: int) -> None:
    lines = (f"tilldrop-demo {key.line}\n" for key in hostkeys.listing(demo.paths.keys))
    (demo.folder / "known_hosts").write_text("".join(lines), encoding="ascii")
    text = SSH_CONFIG.format(file=_short(demo.ssh_config), port=port, folder=demo.folder)
    demo.ssh_config.write_text(text, encoding="utf-8")


def _sftp(demo: Demo, command: str) -> None:
    """Run one command in a session of OpenSSH's client. Raises TilldropError if it fails."""
    ended = subprocess.run(  # noqa: S603
        (_program("sftp"), "-q", "-F", str(demo.ssh_config), "-b", "-", CUSTOMER),
        input=command + "\n",
        text=True,
        capture_output=True,
        check=False,
    )
    if ended.returncode:
        raise TilldropError(f"sftp said: {ended.stderr.strip()}")


# -- what is printed -----------------------------------------------------------------------------


def _told(demo: Demo, port: int, delivery: Delivery, *, sent_now: bool) -> Iterator[str]:
    yield RULE
    if sent_now:
        yield f"Tilldrop is up. The customer `demo` just sent {SAMPLE} by SFTP."
    else:
        yield f"Tilldrop is up. {SAMPLE} is here from an earlier run and was not sent again."
    yield ""
    yield from _rows(demo.paths.data, delivery)
    yield ""
    yield "What the customer reads about it in receipts/:"
    yield ""
    receipt = (demo.folder / "receipt.txt").read_text(encoding="ascii")
    yield textwrap.indent(receipt.rstrip(), "    ")
    yield ""
    yield "Now you, as the customer, by key or by password:"
    yield ""
    yield f"    sftp -F {_short(demo.ssh_config)} demo"
    yield f"    sftp -P {port} -o PubkeyAuthentication=no demo@localhost"
    yield f"        password   {demo.password.read_text(encoding='ascii').strip()}"
    yield f"        host key   {hostkeys.listing(demo.paths.keys)[0].fingerprint}"
    yield ""
    yield "and there, to correct line 11 and one amount, and to read the receipt:"
    yield ""
    yield f"    put {_short(Path(str(files('tilldrop') / 'samples' / CORRECTED)))}"
    yield "    ls receipts"
    yield ""
    yield "As the operator:"
    yield ""
    yield f"    sqlite3 -readonly -box {_short(demo.paths.data)} \\"
    yield f'        "{QUERY}"'
    yield f"    {_command()} deliveries"
    yield f"    tail -f {_short(demo.log)}"
    yield ""
    yield "Ctrl-C stops it; `make run` goes on where it was. Deliveries from here on:"
    yield RULE


def _rows(data: Path, delivery: Delivery) -> Iterator[str]:
    """Print the first rows as a plain table."""
    connection = sqlite3.connect(f"{data.as_uri()}?mode=ro", uri=True)
    try:
        sql = f"{QUERY} WHERE customer = ? ORDER BY sold_at"
        found = connection.execute(sql, (CUSTOMER,))
        names = [column[0] for column in found.description]
        rows = [[_cell(cell) for cell in row] for row in found]
    finally:
        connection.close()
    yield f"Its delivery {delivery.id} is {delivery.state}. Rows in {_short(data)}:"
    yield ""
    shown = rows[:ROWS_SHOWN]
    widths = [max(map(len, column)) for column in zip(names, *shown, strict=True)]
    for line in (names, ["-" * width for width in widths], *shown):
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        yield "    " + "  ".join(cells).rstrip()
    if len(rows) > ROWS_SHOWN:
        yield f"    ... and {len(rows) - ROWS_SHOWN} more"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return "" if value is None else str(value)


def _short(path: Path) -> str:
    """Say a path as one would type it here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _command() -> str:
    return _short(Path(sys.executable).with_name("tilldrop"))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
