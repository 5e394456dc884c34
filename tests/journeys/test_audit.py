"""What customers and operators do stands in the audit log, and no secret does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.clients import Account, ClientError, Paramiko
from tests.daemon import PASSWORD, Daemon, sales, tilldrop
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
    assert moves[:4] == ["receiving", "arrived", "importing", "imported"]
    ran = entries(daemon, "operator.ran")
    assert [one["words"][2] for one in ran] == ["replay", "customer"]  # type: ignore[index]
    assert all(one["by"] for one in ran)
    verified = tilldrop(daemon.home, "audit", "verify", "--json")
    assert (verified.returncode, json.loads(verified.stdout)["broken_at"]) == (0, None)
    sealed = daemon.events("audit.sealed")[-1]
    head = f"{sealed['seq']}:{sealed['head']}"
    assert tilldrop(daemon.home, "audit", "verify", "--head", head).returncode == 0
    raw = daemon.paths.audit.read_bytes()
    assert not any(word in raw for word in (PASSWORD.encode(), b"not-the-word", b"new-secret-7"))
