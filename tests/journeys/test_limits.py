"""Limits of one customer, and of the disk, in the daemon as it runs."""

from __future__ import annotations

import ftplib
import json
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.clients import HOST, Account, ClientError, OpenSshSftp, Paramiko
from tests.daemon import CUSTOMER_TOML, MAIN_TOML, PASSWORD, Daemon, sales
from tests.journeys.test_sandbox import ask, booked, deliver, put, write_customer
from tilldrop.errors import SpoolFull, StoredTooMuch

if TYPE_CHECKING:
    from pathlib import Path

FTP_TOML = '\n[ftp]\nenabled = true\nlisten = "127.0.0.1"\nport = 0\n'
NO_ROOM = MAIN_TOML.replace("reserve_bytes = 0", f"reserve_bytes = {10**15}")


def set_main(daemon: Daemon, toml: str) -> None:
    (daemon.home / "config" / "tilldrop.toml").write_text(toml)
    ask(daemon, "reload")


def test_below_the_reserve_uploads_are_refused_and_imports_go_on(
    daemon: Daemon, tmp_path: Path
) -> None:
    first = deliver(daemon, tmp_path, "a.csv", sales(1, 5))
    set_main(daemon, NO_ROOM)
    with pytest.raises(ClientError, match="Failure"):
        put(daemon, tmp_path, "b.csv", sales(10, 5))
    assert daemon.events("request.refused")[0]["code"] == SpoolFull.code
    ask(daemon, "replay", first)
    daemon.wait_until_idle()
    report = daemon.ledger().report(first)
    assert report is not None
    assert (report.run, report.outcome) == (2, "imported")
    set_main(daemon, MAIN_TOML)
    deliver(daemon, tmp_path, "b.csv", sales(10, 5))
    assert len(booked(daemon.paths.data)) == 10


def test_limit_of_a_customer_counts_from_the_reload_on(daemon: Daemon, tmp_path: Path) -> None:
    deliver(daemon, tmp_path, "a.csv", sales(1, 5))
    write_customer(daemon, CUSTOMER_TOML + "\n[limits]\nmax_stored_bytes = 10\n")
    ask(daemon, "reload")
    with pytest.raises(ClientError, match="Failure"):
        put(daemon, tmp_path, "b.csv", sales(10, 5))
    assert daemon.events("request.refused")[0]["code"] == StoredTooMuch.code
    told = ask(daemon, "why-refused", "acme", "--log", str(daemon.log))
    assert "max_stored_bytes" in told
    assert json.loads(ask(daemon, "deliveries", "--json"))[0]["name"] == "a.csv"


def test_customer_gets_in_from_its_sources_alone_by_both_doors(
    idle_daemon: Daemon,
) -> None:
    (idle_daemon.home / "config" / "tilldrop.toml").write_text(MAIN_TOML + FTP_TOML)
    daemon = idle_daemon.start()
    port = daemon.status()["doors"]["ftp"]["port"]
    write_customer(daemon, 'sources = ["192.0.2.0/24"]\n' + CUSTOMER_TOML)
    ask(daemon, "reload")
    with pytest.raises(ClientError, match="Permission denied"):
        OpenSshSftp(Account(daemon)).listing("/")
    with closing(ftplib.FTP(timeout=30)) as client:
        client.connect(HOST, port)
        with pytest.raises(ftplib.error_perm, match=r"^530 Login incorrect"):
            client.login("acme", PASSWORD)
    refused = daemon.events("login.refused")
    assert {event["reason"] for event in refused} == {"forbidden-source"}
    told = ask(daemon, "why-refused", "acme", "--log", str(daemon.log))
    assert "not among its sources" in told
    write_customer(daemon, 'sources = ["127.0.0.0/8"]\n' + CUSTOMER_TOML)
    ask(daemon, "reload")
    ask(daemon, "guard", "clear", "--all")
    assert "receipts" in Paramiko(Account(daemon)).listing("/")
