"""Secrets and card numbers go in by every way, and are in nothing that the daemon writes."""

from __future__ import annotations

import ftplib
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients import Account, ClientError, OpenSshSftp, Paramiko
from tests.daemon import HEADER, Daemon, sales, tilldrop
from tilldrop.delivery import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LOCAL = "127.0.0.1"
DOORS = f"""
[ftp]
enabled = true
listen = "{LOCAL}"
port = 0
tls = "optional"

[guard]
allow = ["127.0.0.0/8"]
"""
CARD = "4539578763621486"
SPACED = "4539 5787 6362 1486"
MASKED = "453957xxxxxx1486"


@pytest.fixture
def talkative(idle_daemon: Daemon) -> Iterator[Daemon]:
    """A daemon with FTP that logs all it can."""
    main = idle_daemon.home / "config" / "tilldrop.toml"
    text = main.read_text().replace('form = "json"', 'form = "json"\nlevel = "debug"')
    main.write_text(text + DOORS)
    yield idle_daemon.start()
    idle_daemon.stop()


def written(*folders: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for one in folders for path in one.rglob("*") if path.is_file()}


def holding(found: dict[Path, bytes], texts: Iterable[str]) -> list[tuple[str, str]]:
    return sorted(
        (text, path.name)
        for path, raw in found.items()
        for text in texts
        if text.encode() in raw or text.encode("utf-16-le") in raw
    )


def guess_by_ftp(port: int, customer: str, password: str) -> None:
    with ftplib.FTP() as client:
        client.connect(LOCAL, port)
        with suppress(ftplib.Error):
            client.login(customer, password)
            client.quit()


def say_raw(port: int, *lines: str) -> None:
    """Say lines to the FTP door as no client would; on a new connection where it hangs up."""
    for line in lines:
        with socket.create_connection((LOCAL, port), 10) as raw, suppress(OSError):
            raw.recv(200)
            raw.sendall(b"USER acme\r\n" + line.encode("latin-1") + b"\r\n")
            raw.recv(200)
            raw.recv(200)


def test_no_password_is_in_anything_that_is_written(talkative: Daemon, tmp_path: Path) -> None:
    said: list[str] = []

    def secret() -> str:
        said.append(f"canary-{len(said)}-Xyzzy")
        return said[-1]

    right = secret()
    home, port = talkative.home, talkative.status()["doors"]["ftp"]["port"]
    ask = [tilldrop(home, "customer", "passwd", "acme", "--password-stdin", typed=right + "\n")]
    assert ask[0].returncode == 0
    for customer, password in (("acme", right), ("acme", secret()), ("nobody", secret())):
        with suppress(ClientError):
            Paramiko(Account(talkative, customer, password=password)).listing("/")
        guess_by_ftp(port, customer, password)
    verbs = ("PASS {}", "PASS  {} x", "pAsS\t{}", "XPASS {}", "ACCT {}", "\xffPASS {}")
    say_raw(port, *(verb.format(secret()) for verb in (*verbs, "SITE PSWD {} b", "CLNT {}")))
    bulk = tmp_path / "bulk.csv"
    bulk.write_text(f"name,password\nother,{secret()}\n")
    ask.append(tilldrop(home, "customer", "import", str(bulk)))
    toml = home / "config" / "customers" / "acme.toml"
    before = toml.read_text()
    toml.write_text(f'{before}\npassword = "{secret()}"\n')
    ask += [tilldrop(home, "reload"), tilldrop(home, "check")]
    toml.write_text(before)
    tilldrop(home, "customer", "passwd", "acme", secret())  # by mistake, on the command line
    for words in (("status",), ("audit", "list"), ("customer", "list"), ("why-refused", "acme")):
        ask.append(tilldrop(home, *words))
    shown = "".join(one.stdout + one.stderr for one in ask)
    assert [text for text in said if text in shown] == []
    limits = Path(f"/proc/{talkative.pid}/limits").read_text()
    assert [line.split()[4:6] for line in limits.splitlines() if "core" in line] == [["0", "0"]]
    ran = Path(f"/proc/{talkative.pid}/environ").read_bytes()
    ran += Path(f"/proc/{talkative.pid}/cmdline").read_bytes()
    assert talkative.stop() == 0
    assert holding(written(home) | {Path("environ"): ran}, said) == []
    outside = {path: raw for path, raw in written(home).items() if path.suffix != ".password"}
    assert holding(outside, ["$argon2"]) == []


def test_card_number_in_a_name_is_masked_wherever_it_goes(
    talkative: Daemon, tmp_path: Path
) -> None:
    home = talkative.home
    (tmp_path / "a.csv").write_text(sales(1, 2))
    client = Paramiko(Account(talkative))
    client.put(tmp_path / "a.csv", f"card-{CARD}.csv")
    talkative.wait_for_state(f"card-{MASKED}.csv", State.IMPORTED)
    assert client.read(f"card-{CARD}.csv") == sales(1, 2).encode()
    client.put(tmp_path / "a.csv", f"{SPACED}.part")
    OpenSshSftp(Account(talkative)).batch(f'rename "{SPACED}.part" "{SPACED}.csv"')
    with suppress(OSError):
        client.put(tmp_path / "a.csv", f"no/folder/{CARD}.csv")
    with suppress(OSError):
        client.put(tmp_path / "a.csv", f" {CARD} ")
    (tmp_path / "b.csv").write_text(HEADER + f"12,1,2026-03-14,{CARD},1.00\n")
    client.put(tmp_path / "b.csv", "b.csv")
    talkative.wait_for_state("b.csv", State.REJECTED)
    listed = tilldrop(home, "deliveries").stdout + "\n".join(client.listing("/"))
    assert CARD not in listed
    assert talkative.stop() == 0
    found = written(home)
    bytes_kept = {path: raw for path, raw in found.items() if path.parent.name != "kept"}
    assert holding(bytes_kept, [CARD, SPACED]) == []
