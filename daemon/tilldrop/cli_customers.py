"""`tilldrop customer ...`: customers, their passwords and their keys.

A password is read from stdin or made here, shown once, and stored as a hash only: it alone goes
to stdout, what is said about it to stderr. Editing a customer's file changes one key and nothing
else. A running daemon is told.
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilldrop import control, home_files
from tilldrop.cli_context import PATH, Where, as_json, plural
from tilldrop.cli_output import visible, write_json, write_table
from tilldrop.config import CUSTOMER_NAME, NAME_EXPECTED
from tilldrop.customers import Customers, generate_password
from tilldrop.errors import KeyUnusable, NotRunning, UsageWrong
from tilldrop.public_keys import PublicKey, read_keys
from tilldrop.secretfiles import PUBLIC_MODE, write_whole
from tilldrop.zones import CURRENCIES, is_zone, nearest_currency, nearest_zone

if TYPE_CHECKING:
    from tilldrop.config import Config
    from tilldrop.config_customers import Customer

# NIST SP 800-63B: the least that an account's only secret may have.
MIN_PASSWORD_CHARS = 8

_from_stdin = click.option("--password-stdin", is_flag=True, help="Read a password from stdin.")
_generated = click.option(
    "--generate-password", is_flag=True, help="Make a password and show it this once."
)


@click.group()
def customer() -> None:
    """Add and change customers, their passwords and keys."""


@customer.command()
@click.argument("name")
@click.option("--zone", required=True, help="Time zone of its tills, such as Europe/Paris.")
@click.option("--currency", required=True, help="ISO 4217 code, such as EUR.")
@click.option("--key", "key_file", type=PATH, help="File with a public key, - for stdin.")
@_from_stdin
@_generated
@click.pass_obj
def add(
    where: Where,
    name: str,
    zone: str,
    currency: str,
    key_file: Path | None,
    password_stdin: bool,  # noqa: FBT001
    generate_password: bool,  # noqa: FBT001
) -> None:
    """Write config/customers/NAME.toml, and take a password or key."""
    config = where.config()
    if not CUSTOMER_NAME.fullmatch(name):
        raise UsageWrong(f"{name!r} cannot be a customer's name; expected {NAME_EXPECTED}")
    if not is_zone(zone):
        raise UsageWrong(f"there is no zone {zone!r}{nearest_zone(zone)}")
    if currency not in CURRENCIES:
        raise UsageWrong(f"there is no currency {currency!r}{nearest_currency(currency)}")
    if password_stdin and str(key_file) == "-":
        raise UsageWrong("stdin can hold the password or the key, not both")
    # All that can be wrong is looked at before the first file is written.
    keys = read_keys(_opened(key_file)) if key_file else ()
    password = _new_password(from_stdin=password_stdin, generated=generate_password)
    path = home_files.add_customer(where.home(), name, zone, currency)
    say(f"{path} is written; put in the feeds")
    if keys:
        append_keys(pub_file(config, name), keys)
        say(f"{plural(len(keys), 'key')} taken")
    if password:
        _store_password(config, name, password, shown=generate_password)
    if not keys and not password:
        say(f"to log in it needs `customer passwd {name}` or `customer key {name} FILE`")
    tell_daemon(config)


@customer.command("list")
@as_json
@click.pass_obj
def list_customers(where: Where, as_json: bool) -> None:  # noqa: FBT001
    """List the customers and how they log in."""
    config = where.config()
    found = [_described(config, customer) for _, customer in sorted(config.customers.items())]
    if as_json:
        write_json(found)
        return
    rows = [
        (
            one["name"],
            "disabled" if one["disabled"] else "enabled",
            "yes" if one["password"] else "no",
            one["keys"],
            one["zone"],
            one["currency"],
            ", ".join(
                f"{feed} (sandbox)" if feed in one["sandbox"] else feed for feed in one["feeds"]
            ),
        )
        for one in found
    ]
    head = ("CUSTOMER", "LOGIN", "PASSWORD", "KEYS", "ZONE", "CURRENCY", "FEEDS")
    write_table(head, rows, "no customers yet; `tilldrop customer add` makes one")


@customer.command()
@click.argument("name")
@_from_stdin
@_generated
@click.pass_obj
def passwd(where: Where, name: str, password_stdin: bool, generate_password: bool) -> None:  # noqa: FBT001
    """Set a password; asks for it unless told otherwise."""
    config = where.config()
    where.customer(name)
    password = _new_password(from_stdin=password_stdin, generated=generate_password)
    if password is None:
        if not sys.stdin.isatty():
            raise UsageWrong("say --password-stdin or --generate-password")
        password = _long_enough(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    _store_password(config, name, password, shown=generate_password)


@customer.command()
@click.argument("name")
@click.argument("key_file", type=PATH, required=False)
@click.option("--list", "listed", is_flag=True, help="List the keys.")
@click.option("--remove", metavar="FINGERPRINT", help="Remove the key with this fingerprint.")
@as_json
@click.pass_obj
def key(
    where: Where,
    name: str,
    key_file: Path | None,
    listed: bool,  # noqa: FBT001
    remove: str | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Take, list or remove public keys.

    KEY_FILE holds authorized_keys lines or RFC 4716 blocks; - is stdin.
    """
    where.customer(name)
    if sum((key_file is not None, listed, remove is not None)) != 1:
        raise UsageWrong("say one of KEY_FILE, --list and --remove FINGERPRINT")
    pub = pub_file(where.config(), name)
    if key_file:
        taken = append_keys(pub, read_keys(_opened(key_file)))
        say(f"{plural(taken, 'key')} taken" if taken else "known already")
    elif remove:
        _remove_key(pub, remove)
        say("removed")
    else:
        _list_keys(read_keys(pub) if pub.exists() else (), as_json=as_json)


@customer.command()
@click.argument("name")
@click.pass_obj
def disable(where: Where, name: str) -> None:
    """Let a customer log in no more; what it delivered stays."""
    _set_disabled(where, name, disabled=True)


@customer.command()
@click.argument("name")
@click.pass_obj
def enable(where: Where, name: str) -> None:
    """Let a disabled customer log in again."""
    _set_disabled(where, name, disabled=False)


def _set_disabled(where: Where, name: str, *, disabled: bool) -> None:
    where.customer(name)
    word = "disabled" if disabled else "enabled"
    if not home_files.set_disabled(where.home(), name, disabled=disabled):
        say(f"{name} is {word} already")
        return
    say(f"{name} is {word}")
    tell_daemon(where.config())


def tell_daemon(config: Config) -> None:
    """Let a running daemon read the configuration again."""
    try:
        control.ask(config.paths, "reload")
    except NotRunning:
        say("no daemon is running; it will know at its next start")
    else:
        say("the running daemon knows")


def _new_password(*, from_stdin: bool, generated: bool) -> str | None:
    """Return the password that the options ask for, None if they ask for none."""
    if from_stdin and generated:
        raise UsageWrong("say --password-stdin or --generate-password, not both")
    if generated:
        return generate_password()
    if not from_stdin:
        return None
    return _long_enough(sys.stdin.readline().rstrip("\r\n"))


def _long_enough(password: str) -> str:
    if len(password) < MIN_PASSWORD_CHARS:
        raise UsageWrong(f"a password has {MIN_PASSWORD_CHARS} characters or more")
    return password


def _store_password(config: Config, name: str, password: str, *, shown: bool) -> None:
    Customers(config.paths.keys, lambda: config).set_password(name, password)
    if shown:
        say("the password, shown only now:")
        click.echo(password)
    else:
        say("the password is set")


def say(text: str) -> None:
    """Say something about what was done, on stderr."""
    click.echo(text, err=True)


def _opened(path: Path) -> Path:
    """Let - mean stdin."""
    return Path("/dev/stdin") if str(path) == "-" else path


def pub_file(config: Config, name: str) -> Path:
    """Return where a customer's public keys stand."""
    return config.paths.keys / "customers" / f"{name}.pub"


def _described(config: Config, customer: Customer) -> dict[str, Any]:
    """Describe a customer, secrets left out."""
    pub = pub_file(config, customer.name)
    try:
        keys = len(read_keys(pub)) if pub.exists() else 0
    except KeyUnusable:
        keys = 0  # `tilldrop check` says why
    return {
        "name": customer.name,
        "disabled": customer.disabled,
        "password": Customers(config.paths.keys, lambda: config).has_password(customer.name),
        "keys": keys,
        "zone": customer.zone,
        "currency": customer.currency,
        "feeds": [feed.name for feed in customer.feeds],
        "sandbox": list(customer.sandboxed),
    }


def _encoded(key: PublicKey) -> str:
    return base64.b64encode(key.blob).decode("ascii")


def append_keys(pub: Path, keys: tuple[PublicKey, ...]) -> int:
    """Add those keys that are not there yet; return how many."""
    known = {key.blob for key in read_keys(pub)} if pub.exists() else set()
    new = [key for key in keys if key.blob not in known]
    if not new:
        return 0
    text = pub.read_text(encoding="utf-8-sig") if pub.exists() else ""
    if text and not text.endswith("\n"):
        text += "\n"
    lines = (f"{key.kind} {_encoded(key)} {visible(key.comment)}".rstrip() + "\n" for key in new)
    pub.parent.mkdir(parents=True, exist_ok=True)
    write_whole(pub, (text + "".join(lines)).encode(), PUBLIC_MODE)
    return len(new)


def _remove_key(pub: Path, fingerprint: str) -> None:
    """Take one key out; comments and the other keys stay as they are."""
    keys = read_keys(pub) if pub.exists() else ()
    found = [key for key in keys if key.fingerprint == fingerprint]
    if not found:
        raise UsageWrong(f"there is no key {fingerprint} in {pub}; --list shows them")
    text = pub.read_text(encoding="utf-8-sig")
    write_whole(pub, _without(text, _encoded(found[0])).encode(), PUBLIC_MODE)


def _without(text: str, encoded: str) -> str:
    """Drop the lines that hold a key, be it one line or an RFC 4716 block."""
    kept: list[str] = []
    block: list[str] = []
    for line in text.splitlines(keepends=True):
        if block or line.startswith("---- BEGIN "):
            block.append(line)
            if line.startswith("---- END "):
                joined = "".join(part.strip() for part in block[1:-1])
                kept += [] if joined.endswith(encoded) else block
                block = []
        elif encoded not in line.split():
            kept.append(line)
    return "".join(kept + block)


def _list_keys(keys: tuple[PublicKey, ...], *, as_json: bool) -> None:
    if as_json:
        names = ("kind", "bits", "fingerprint", "comment")
        write_json([{name: getattr(key, name) for name in names} for key in keys])
        return
    rows = [(key.kind, key.bits, key.fingerprint, key.comment) for key in keys]
    write_table(("KIND", "BITS", "FINGERPRINT", "COMMENT"), rows, "no keys")
