"""A disk that fails for a moment leaves nothing behind that outlasts the moment."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.daemon import make_home, make_key
from tilldrop import audit, journal, journal_lines
from tilldrop.audit_noting import Audit
from tilldrop.config import load
from tilldrop.customers import Customers
from tilldrop.errors import DatabaseDamaged

if TYPE_CHECKING:
    import pytest

DEADLINE_S = 10


def test_key_file_that_could_not_be_read_once_is_read_at_the_next_login(
    tmp_path: Path, host_keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(tmp_path / "home", host_keys)
    make_key(home, "acme")
    config = load(home)
    known = Customers(config.paths.keys, lambda: config)
    with monkeypatch.context() as broken:
        broken.setattr(Path, "open", _refuse)
        assert known.keys("acme") == ()
    assert len(known.keys("acme")) == 1


def _refuse(self: Path, *_: Any, **__: Any) -> None:
    raise OSError(5, "Input/output error", str(self))


def test_audit_log_that_cannot_be_written_ends_with_the_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Audit(tmp_path / "audit.db", lambda: 400)

    def refuse(*_: object) -> None:
        raise DatabaseDamaged("database or disk is full")

    monkeypatch.setattr(audit, "write", refuse)
    monkeypatch.setattr(audit, "head", refuse)
    log.note({"event": "login.accepted", "customer": "acme"})
    ending = threading.Thread(target=log.close, daemon=True)
    ending.start()
    ending.join(DEADLINE_S)
    assert not ending.is_alive()


def test_log_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        journal_lines.configure("json", "info", full)
        journal.config_reloaded(1, [], [])
        with contextlib.suppress(OSError):
            full.close()
    journal.config_reloaded(1, [], [])  # closed
    with (tmp_path / "log").open("w") as file:
        journal_lines.configure("json", "info", file)
        journal.config_reloaded(1, [], [])
    assert "config.reloaded" in (tmp_path / "log").read_text()
