"""What customers and operators do stands in the audit log, and no secret does."""

from __future__ import annotations

import json
import os
import pwd
from typing import TYPE_CHECKING

import pytest

from tests.clients import Account, ClientError, OpenSshSftp, Paramiko
from tests.daemon import PASSWORD, Daemon, make_key, sales, tilldrop
from tests.journeys.test_sandbox import ask
from tilldrop.delivery import State

if TYPE_CHECKING:
    from pathlib import Path


def entries(daemon: Daemon, event: str) -> list[dict[str, object]]:
    found = tilldrop(daemon.home, "audit", "list", "--json", "--event", event)
    assert found.returncode == 0, found.stderr
    return [one["what"] for one in json.loads(found.stdout)]


def test_a_day_in_the_audit_log(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(sales(1, 5))
    Paramiko(Account(daemon)).put(tmp_path / "a.csv", "a.csv")
    with pytest.raises(ClientError):
        Paramiko(Account(daemon, password="not-the-word")).listing("/")
    delivery = daemon.wait_for_state("a.csv", State.IMPORTED)
    assert tilldrop(daemon.home, "replay", delivery.id).returncode == 0
    tilldrop(daemon.home, "customer", "passwd", "acme", "--password-stdin", typed="new-secret-7\n")
    daemon.stop()
    [accepted] = entries(daemon, "login.accepted")
    assert (accepted["customer"], accepted["peer"]) == ("acme", "127.0.0.1")
    assert [one["reason"] for one in entries(daemon, "login.refused")] == ["wrong-password"]
    moves = [one["after"] for one in entries(daemon, "delivery.moved")]
    assert moves == ["arrived", "imported", "arrived", "imported"]
    assert {one["peer"] for one in entries(daemon, "delivery.moved")} == {"127.0.0.1"}
    asked = entries(daemon, "operator.asked")
    assert [(one["verb"], one["about"], one["outcome"]) for one in asked] == [
        ("replay", delivery.id, "ok")
    ]
    assert asked[0]["user"] == pwd.getpwuid(os.getuid()).pw_name
    ran = entries(daemon, "operator.ran")
    assert [one["words"][2] for one in ran] == ["replay", "customer"]  # type: ignore[index]
    assert all(one["by"] for one in ran)
    last = tilldrop(daemon.home, "audit", "list", "--event", "operator.ran", "--limit", "1")
    assert "passwd" in last.stdout
    assert len(last.stdout.splitlines()) == 2  # with its head
    assert "only the last 1 are listed" in last.stderr
    verified = tilldrop(daemon.home, "audit", "verify", "--json")
    found = json.loads(verified.stdout)
    assert (verified.returncode, found["broken_at"], found["gaps"]) == (0, None, [])
    sealed = daemon.events("audit.sealed")[-1]
    head = f"{sealed['seq']}:{sealed['head']}"
    assert tilldrop(daemon.home, "audit", "verify", "--head", head).returncode == 0
    raw = daemon.paths.audit.read_bytes()
    assert not any(word in raw for word in (PASSWORD.encode(), b"not-the-word", b"new-secret-7"))


def test_what_is_read_refused_and_configured_stands_in_the_audit_log(
    daemon: Daemon, tmp_path: Path
) -> None:
    make_key(daemon.home, "acme")
    (tmp_path / "a.csv").write_text(sales(1, 5))
    client = Paramiko(Account(daemon))
    client.put(tmp_path / "a.csv", "a.csv")
    delivery = daemon.wait_for_state("a.csv", State.IMPORTED)
    client.read("a.csv")
    client.read(f"receipts/a.csv.{delivery.id}.txt")
    with pytest.raises(ClientError):
        OpenSshSftp(Account(daemon)).batch("rename a.csv b.csv")
    OpenSshSftp(Account(daemon, key=daemon.home / "acme-ed25519")).batch("ls")
    customer = daemon.home / "config" / "customers" / "acme.toml"
    customer.write_text(customer.read_text() + "\n[limits]\nkeep_days = 7\n")
    make_key(daemon.home, "acme", "rsa")
    ask(daemon, "reload")
    OpenSshSftp(Account(daemon, key=daemon.home / "acme-ed25519")).batch("ls")
    daemon.stop()
    assert [one["name"] for one in entries(daemon, "file.read")] == ["a.csv"]
    assert [one["delivery"] for one in entries(daemon, "receipt.read")] == [delivery.id]
    [refused] = entries(daemon, "request.refused")
    assert (refused["code"], refused["peer"]) == ("delivered-stays", "127.0.0.1")
    [reloaded] = entries(daemon, "config.reloaded")
    assert any("keep_days: nothing -> 7" in one for one in reloaded["changed"])  # type: ignore[attr-defined]
    [changed] = entries(daemon, "keys.changed")
    assert (len(changed["added"]), changed["removed"]) == (1, [])  # type: ignore[arg-type]


def test_restored_home_says_in_its_own_log_where_it_comes_from(
    daemon: Daemon, tmp_path: Path
) -> None:
    ask(daemon, "backup", str(tmp_path / "b"))
    ask(daemon, "restore", str(tmp_path / "b"), str(tmp_path / "new"))
    listed = tilldrop(tmp_path / "new", "audit", "list", "--json", "--event", "backup.restored")
    [entry] = json.loads(listed.stdout)
    assert entry["what"]["backup"] == str(tmp_path / "b")
    assert tilldrop(tmp_path / "new", "audit", "verify").returncode == 0
