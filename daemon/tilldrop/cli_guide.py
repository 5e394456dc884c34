"""`tilldrop customer guide`: writes the page that the operator sends to a customer.

Owns where it is written and how the server's address is found. What stands in it: `guide`.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tilldrop import control, guide, hostkeys
from tilldrop.cli_context import PATH, Where
from tilldrop.cli_customers import pub_file, say
from tilldrop.customers import Customers
from tilldrop.errors import HomeUnusable, NotRunning, UsageWrong
from tilldrop.public_keys import read_keys
from tilldrop.secretfiles import PUBLIC_MODE, write_whole

if TYPE_CHECKING:
    from tilldrop.config import Config


@click.command("guide")
@click.argument("name")
@click.option(
    "-o", "--output", "folder", type=PATH, default=Path(), help="Folder to write to; else here."
)
@click.option("--host", help="Name or address by which customers reach this server.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port, if a router changes it.")
@click.pass_obj
def write_guide(where: Where, name: str, folder: Path, host: str | None, port: int | None) -> None:
    """Write NAME-guide.md and NAME-guide.html to send to a customer.

    They tell how to connect with usual programs, which files are expected and what comes back.
    There is no secret in them.
    """
    config = where.config()
    customer = where.customer(name)
    host_keys = hostkeys.listing(config.paths.keys)
    if not host_keys:
        raise HomeUnusable("there are no host keys yet; the first `tilldrop run` makes them")
    host = host or _host(config)
    theirs = replace(config, limits=config.limits_of(customer))
    place = guide.place_of(theirs, host, port or _port(config), host_keys)
    pub = pub_file(config, name)
    text = guide.markdown(
        customer,
        place,
        keys=read_keys(pub) if pub.exists() else (),
        has_password=Customers(config.paths.keys, lambda: config).has_password(name),
    )
    folder.mkdir(parents=True, exist_ok=True)
    title = f"Sending sales files to {host}"
    for suffix, content in (("md", text), ("html", guide.page(text, title))):
        path = folder / f"{name}-guide.{suffix}"
        write_whole(path, content.encode(), PUBLIC_MODE)
        click.echo(path)
    if customer.disabled:
        say(f"{name} is disabled and cannot log in")


def _host(config: Config) -> str:
    """Return the address that the door listens on, else this machine's name, and say so."""
    try:
        address = ipaddress.ip_address(config.sftp.listen)
    except ValueError:
        return config.sftp.listen
    if not address.is_unspecified:
        return str(address)
    host = socket.getfqdn()
    say(f"the server is called {host} in it; --host says otherwise")
    return host


def _port(config: Config) -> int:
    """Return the SFTP door's port; with port 0 the running daemon knows it."""
    if config.sftp.port:
        return config.sftp.port
    try:
        doors = control.ask(config.paths, "status")["doors"]
    except NotRunning as stopped:
        raise UsageWrong("sftp.port is 0 and no daemon runs: say --port") from stopped
    if "sftp" not in doors:
        raise UsageWrong("the SFTP door is not open: say --port")
    return int(doors["sftp"]["port"])
