"""The page that an operator sends to a customer: how to connect, what to send, what comes back.

What is told of a feed is in `guide_feeds`. The words stand in `templates/guide.md`; the HTML
page is made from the same Markdown. Promises that no secret is in it: a host key's fingerprint
and a public key are not. Never asks the daemon, never reads a customer's file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import jinja2
import mistune

from tilldrop.cli_output import size, visible
from tilldrop.guide_feeds import code, told

if TYPE_CHECKING:
    from tilldrop.config import Config
    from tilldrop.config_customers import Customer
    from tilldrop.hostkeys import HostKey
    from tilldrop.public_keys import PublicKey


@dataclass(frozen=True, slots=True)
class Place:
    """Where customers connect. host_keys: in the order in which clients are offered them.

    ftp_port: 0 if there is no FTP door. ftp_tls: as `ftp.tls`.
    """

    host: str
    port: int
    ftp_port: int
    ftp_tls: str
    host_keys: tuple[HostKey, ...]
    max_file_bytes: int
    keep_days: int
    broken_keep_hours: int


def place_of(config: Config, host: str, port: int, host_keys: tuple[HostKey, ...]) -> Place:
    """Return what a guide says of this server. host, port: as customers reach it."""
    limits = config.limits
    return Place(
        host=host,
        port=port,
        ftp_port=config.ftp.port if config.ftp.enabled else 0,
        ftp_tls=config.ftp.tls,
        host_keys=host_keys,
        max_file_bytes=limits.max_file_bytes,
        keep_days=limits.keep_days,
        broken_keep_hours=limits.broken_keep_hours,
    )


def markdown(
    customer: Customer, place: Place, *, keys: tuple[PublicKey, ...], has_password: bool
) -> str:
    """Write the guide of one customer. keys: its public keys that are known here."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tilldrop"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  Markdown; the page's renderer escapes HTML
    )
    environment.filters |= {"code": code, "size": size, "visible": visible, "winscp": winscp}
    return environment.get_template("guide.md").render(
        name=customer.name,
        currency=customer.currency,
        zone=customer.zone,
        place=place,
        feeds=[told(feed) for feed in customer.feeds],
        keys=keys,
        has_password=has_password,
        finishing_rename=customer.finishing_rename,
        folders=sorted(
            {file.rpartition("/")[0] for feed in customer.feeds for file in feed.files} - {""}
        ),
    )


def page(text: str, title: str) -> str:
    """Turn a guide into a HTML page that needs nothing else; raw HTML in it is escaped."""
    environment = jinja2.Environment(loader=jinja2.PackageLoader("tilldrop"), autoescape=True)
    body = str(mistune.create_markdown(escape=True, plugins=["table"])(text))
    # Inside code in a table a bar must be escaped, which mistune leaves in.
    return environment.get_template("page.html").render(title=title, body=body.replace(r"\|", "|"))


def winscp(key: HostKey) -> str:
    """Write a host key's fingerprint as WinSCP 5.16 and later compare it: padded base64."""
    digest = key.fingerprint.removeprefix("SHA256:")
    return digest + "=" * (-len(digest) % 4)
