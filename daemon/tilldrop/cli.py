"""The operator's commands: one function per verb.

Owns the group `tilldrop`, what stands behind every verb (home, exit status, errors) and the
verbs about the home as a whole; the others stand in `cli_customers`, `cli_deliveries` and
`cli_try`. A refusal is one line on stderr and the exit status of its error (config/README.md);
a traceback is a bug. Works beside the running daemon: reads the ledger itself, and asks
`control` for all that changes anything.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from tilldrop import control, home_files, journal_lines
from tilldrop.cli_audit import audit_group, note_operator
from tilldrop.cli_backup import restore_backup, write_backup
from tilldrop.cli_bulk import import_customers
from tilldrop.cli_context import PATH, Where, as_json, plural
from tilldrop.cli_customers import customer
from tilldrop.cli_deliveries import deliveries, fetch, files, show
from tilldrop.cli_guard import guard_group
from tilldrop.cli_guess import guess_mapping
from tilldrop.cli_guide import write_guide
from tilldrop.cli_live import go_live, orphans
from tilldrop.cli_mapping import mapping_group
from tilldrop.cli_output import write_json, write_pairs
from tilldrop.cli_refusals import why_refused
from tilldrop.cli_removals import remove_customer, shopper_group
from tilldrop.cli_replay import hold, release, replay, undo
from tilldrop.cli_service import service_group
from tilldrop.cli_try import try_file
from tilldrop.config import default_state
from tilldrop.customers import Customers
from tilldrop.errors import ConfigInvalid, KeyUnusable, TilldropError, UsageWrong
from tilldrop.ftp_checks import ftp_warnings
from tilldrop.public_keys import read_keys

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.config import Config, Paths

EXIT_INTERRUPTED = 130  # as shells report Ctrl-C
EXIT_IO = 74  # EX_IOERR
_OPEN_TO_OTHERS = 0o077


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--home",
    type=PATH,
    help="Folder with config/ and keys/. Else TILLDROP_HOME, the working folder, /etc/tilldrop.",
)
@click.version_option(package_name="tilldrop", prog_name="tilldrop", message="%(prog)s %(version)s")
@click.pass_context
def tilldrop(context: click.Context, home: Path | None) -> None:
    """Take point-of-sale exports by SFTP and turn them into SQLite rows."""
    # What this process itself logs must not get between a verb's lines; `run` sets its own.
    journal_lines.configure("auto", "warning", sys.stderr)
    context.obj = Where(home)


@tilldrop.command()
@click.argument("home", type=PATH)
@click.option("--listen", default="0.0.0.0", show_default=True, help="Address of the door.")  # noqa: S104
@click.option("--state", help="Folder for spool and databases: var, or /var/lib/tilldrop.")
def init(home: Path, listen: str, state: str | None) -> None:
    """Write a new home.

    That is config/tilldrop.toml with every key, and folders for customers and keys. Overwrites
    nothing.
    """
    home_files.make_home(home, listen, state or default_state(home))
    click.echo(f"{home} is a home now. Next:")
    click.echo(f"  tilldrop --home {home} customer add NAME --zone Europe/Paris --currency EUR")
    click.echo(f"  edit {home}/config/customers/NAME.toml")
    click.echo(f"  tilldrop --home {home} check")
    click.echo(f"  tilldrop --home {home} run")


@tilldrop.command()
@click.pass_obj
def run(where: Where) -> None:
    """Run the daemon in the foreground.

    It ends at SIGTERM or Ctrl-C, and takes what `reload` says at SIGHUP.
    """
    # asyncssh takes a fifth of a second to import, which every other verb would pay.
    from tilldrop import service  # noqa: PLC0415

    service.run(where.home(), where.config())


@tilldrop.command()
@as_json
@click.pass_obj
def check(where: Where, as_json: bool) -> None:  # noqa: FBT001
    """Check the configuration.

    Tells every mistake at once (exit 78), else warns of what looks forgotten.
    """
    config = where.config()
    feeds = sum(len(one.feeds) for one in config.customers.values())
    warnings = _warnings(config)
    if as_json:
        write_json({"customers": len(config.customers), "feeds": feeds, "warnings": warnings})
        return
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"ok: {plural(len(config.customers), 'customer')}, {plural(feeds, 'feed')}")


@tilldrop.command()
@as_json
@click.pass_obj
def status(where: Where, as_json: bool) -> None:  # noqa: FBT001
    """Ask the running daemon how it is.

    Tells its doors and ports, its worker, and deliveries by state. Exits 69 if none answers.
    """
    answer = control.ask(where.config().paths, "status")
    if as_json:
        write_json(answer)
        return
    _write_status(answer)


@tilldrop.command()
@click.pass_obj
def reload(where: Where) -> None:
    """Make the running daemon read its configuration again.

    With mistakes in it they are told, and the daemon goes on with what it had.
    """
    answer = control.ask(where.config().paths, "reload")
    click.echo(f"the running daemon knows {plural(answer['customers'], 'customer')}")
    if answer["needs_restart"]:
        changed = ", ".join(f"[{section}]" for section in answer["needs_restart"])
        click.echo(f"these changes count after a restart only: {changed}", err=True)


customer.add_command(import_customers)
customer.add_command(write_guide)
customer.add_command(remove_customer)
tilldrop.add_command(shopper_group)
tilldrop.add_command(why_refused)
tilldrop.add_command(guess_mapping)
tilldrop.add_command(service_group)
tilldrop.add_command(mapping_group)
tilldrop.add_command(audit_group)
tilldrop.add_command(write_backup)
tilldrop.add_command(restore_backup)
tilldrop.add_command(guard_group)
for verb in (customer, deliveries, show, files, fetch, try_file, replay, hold, release):
    tilldrop.add_command(verb)
for verb in (undo, go_live, orphans):
    tilldrop.add_command(verb)


def main() -> None:
    """Run a command line and exit with its status."""
    try:
        # Not standalone: click would answer usage errors with 2; EX_USAGE says it plainly.
        status = tilldrop.main(prog_name="tilldrop", standalone_mode=False)
    except click.UsageError as wrong:
        wrong.show()
        status = UsageWrong.exit_code
    except click.ClickException as wrong:
        wrong.show()
        status = wrong.exit_code
    except click.Abort:
        status = EXIT_INTERRUPTED
    except TilldropError as refused:
        _complain(refused)
        status = refused.exit_code
    except OSError as refused:
        click.echo(f"tilldrop: {refused.filename or 'system'}: {refused.strerror}", err=True)
        status = EXIT_IO
    note_operator(sys.argv[1:], int(status or 0))
    sys.exit(status)


def _write_status(answer: dict[str, Any]) -> None:
    """Print the daemon's answer for people. Its keys: `service.Service`."""
    last = answer["last_import"]
    doors = {
        f"{name} door": f"{door['listen']} port {door['port']}, sessions: {door['sessions']}"
        for name, door in answer["doors"].items()
    }
    write_pairs(
        [
            ("tilldrop", f"{answer['version']}, process {answer['pid']}"),
            ("home", answer["home"]),
            ("since", datetime.fromisoformat(answer["started_at"])),
            *doors.items(),
            *(
                (f"folder of {each['customer']}", f"{each['path']}: {each['why'] or 'watched'}")
                for each in answer["folders"]
            ),
            *(
                (f"sandbox of {name}", _sandbox(**each))
                for name, each in sorted(answer["sandbox"].items())
            ),
            ("worker", f"process {answer['worker']['pid'] or 'none'}"),
            ("open uploads", answer["open_uploads"]),
            ("longest turn", _turns(**answer["loop"])),
            *((state, count) for state, count in answer["deliveries"].items() if count),
            ("last import", last and f"{last['name']} of {last['customer']}: {last['outcome']}"),
        ]
    )


def _turns(longest_turn_ms: float, longest_work_ms: float, lately_ms: float, stalls: int) -> str:
    """Say for how long at most nobody was answered."""
    since = f"{longest_turn_ms:.0f} ms since the start, {longest_work_ms:.0f} ms of work"
    return f"{lately_ms:.0f} ms lately, {since}; stalls of 100 ms: {stalls}"


def _sandbox(feeds: list[str], live_locations: list[str]) -> str:
    """Say what of a customer is not live."""
    live = f"; live: {', '.join(live_locations)}" if live_locations else ""
    return f"{', '.join(feeds)}{live}"


def _complain(refused: TilldropError) -> None:
    """Say why, on stderr."""
    lines = str(refused).splitlines() or [refused.code]
    if isinstance(refused, ConfigInvalid) and len(lines) > 1:
        click.echo(f"tilldrop: {len(lines)} mistakes in the configuration", err=True)
        click.echo("\n".join(lines), err=True)
    else:
        click.echo("tilldrop: " + "\n".join(lines), err=True)


def _warnings(config: Config) -> list[str]:
    """Say what is no mistake, and yet likely not meant."""
    found = []
    customers = Customers(config.paths.keys, lambda: config)
    for name, one in sorted(config.customers.items()):
        pub = config.paths.keys / "customers" / f"{name}.pub"
        try:
            has_key = pub.exists() and bool(read_keys(pub))
        except KeyUnusable as unusable:
            found.extend(str(unusable).splitlines())
            has_key = True
        has_key = has_key or pub.with_suffix(".crt").exists()
        if not has_key and not customers.has_password(name) and not one.disabled:
            found.append(f"{name} has neither password nor key, so nobody can log in")
        if not one.feeds:
            found.append(f"{name} has no feed, so every file will be unclaimed")
        elif one.live_locations and not one.sandboxed:
            found.append(f"{name} has live_locations, and all of it is live: nothing is in sandbox")
    found += [
        f"{folder.path} is not there or not readable, so no file is taken from it"
        for folder in config.folders
        if not os.access(folder.path, os.R_OK | os.X_OK)
    ]
    return found + ftp_warnings(config) + _open_to_others(config.paths)


def _open_to_others(paths: Paths) -> list[str]:
    """Find secrets that other users of this machine may read or change."""
    secrets = [
        path
        for kind in ("customers/*.password", "ssh_host_*_key", "ftp.key")
        for path in paths.keys.glob(kind)
    ]
    return [
        f"{path} is open to others (mode {path.stat().st_mode & 0o777:04o}); chmod 600 {path}"
        for path in sorted(secrets)
        if path.stat().st_mode & _OPEN_TO_OTHERS
    ]
