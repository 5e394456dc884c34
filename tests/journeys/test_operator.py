"""The command beside the running daemon."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.clients import Account, ClientError, OpenSshSftp
from tests.daemon import Daemon, is_alive, sales, tilldrop, wait_for
from tilldrop.delivery import State

if TYPE_CHECKING:
    from pathlib import Path


def ask(daemon: Daemon, *words: str, typed: str = "") -> str:
    asked = tilldrop(daemon.home, *words, typed=typed)
    assert asked.returncode == 0, f"{words}: {asked.stderr}"
    return asked.stdout


def test_port_0_is_told_by_status(daemon: Daemon) -> None:
    status = json.loads(ask(daemon, "status", "--json"))
    assert status["doors"]["sftp"]["port"] == daemon.port > 0
    assert status["pid"] == daemon.pid


def test_a_customer_added_while_it_runs_can_deliver_at_once(daemon: Daemon, tmp_path: Path) -> None:
    zone = ("--zone", "Europe/Paris", "--currency", "EUR")
    ask(daemon, "customer", "add", "bakery", *zone, "--password-stdin", typed="crumbs-and-jam\n")
    local = tmp_path / "x.csv"
    local.write_text(sales(1, 1))
    OpenSshSftp(Account(daemon, "bakery", password="crumbs-and-jam")).put(local, "x.csv")
    assert json.loads(ask(daemon, "deliveries", "--customer", "bakery", "--json"))


def test_a_disabled_customer_is_locked_out_and_enabled_is_let_in(daemon: Daemon) -> None:
    client = OpenSshSftp(Account(daemon))
    client.batch("ls")
    ask(daemon, "customer", "disable", "acme")
    with pytest.raises(ClientError, match="Permission denied"):
        client.batch("ls")
    ask(daemon, "customer", "enable", "acme")
    client.batch("ls")


def test_deliveries_show_files_and_fetch_tell_of_a_delivery(daemon: Daemon, tmp_path: Path) -> None:
    local = tmp_path / "sales.csv"
    local.write_text(sales(1, 3))
    OpenSshSftp(Account(daemon)).put(local, "sales.csv")
    delivery = daemon.wait_for_state("sales.csv", State.IMPORTED)
    (listed,) = json.loads(ask(daemon, "deliveries", "--json"))
    assert (listed["id"], listed["state"]) == (delivery.id, "imported")
    shown = json.loads(ask(daemon, "show", delivery.id, "--json"))
    assert shown["report"]["counts"]["inserted"] == 3
    assert [one["name"] for one in json.loads(ask(daemon, "files", "acme", "--json"))] == [
        "sales.csv"
    ]
    assert ask(daemon, "fetch", delivery.id) == sales(1, 3)
    for verb in (("deliveries",), ("show", delivery.id), ("files", "acme"), ("status",)):
        assert "sales.csv" in ask(daemon, *verb) or verb == ("status",)


def test_try_books_nothing(daemon: Daemon, tmp_path: Path) -> None:
    local = tmp_path / "sales.csv"
    local.write_text(sales(1, 3))
    tried = json.loads(ask(daemon, "try", "acme", str(local), "--json"))
    assert tried["report"]["counts"]["inserted"] == 3
    assert daemon.rows("SELECT count(*) FROM transactions") == [(0,)]
    assert daemon.deliveries() == []


def test_sigterm_ends_it_in_order(daemon: Daemon) -> None:
    worker = wait_for("a worker", daemon.worker_pid)
    assert daemon.stop() == 0
    assert tilldrop(daemon.home, "status").returncode == 69
    assert not is_alive(worker)
