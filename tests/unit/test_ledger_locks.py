"""A ledger that is locked: by whom, and what becomes of what waits for it."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from tilldrop import ledger_writing
from tilldrop.errors import LedgerBusy
from tilldrop.ledger import Ledger
from tilldrop.ledger_locks import held_by_others
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK = "BEGIN IMMEDIATE"
OTHER = f"""
import sys
from tilldrop.sqlite import sqlite3
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("{LOCK}")
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    monkeypatch.setattr(ledger_writing, "BUSY_TIMEOUT_MS", 50)
    ledger = Ledger(tmp_path / "ledger.db")
    yield ledger
    ledger.close()


@contextmanager
def other_program(path: Path) -> Iterator[None]:
    words = (sys.executable, "-c", OTHER, str(path))
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        yield
        other.kill()


@contextmanager
def ourselves(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(LOCK)
        yield


def be_refused(ledger: Ledger, times: int) -> None:
    for _ in range(times):
        with pytest.raises(LedgerBusy):
            ledger.begin("acme", "a.csv", "sftp").result()


def test_a_lock_of_another_program_is_waited_for(ledger: Ledger) -> None:
    stuck = threading.Event()
    ledger.on_stuck = stuck.set
    with other_program(ledger.path):
        assert held_by_others(ledger.path)
        be_refused(ledger, 3)
    assert not held_by_others(ledger.path)
    assert ledger.begin("acme", "a.csv", "sftp").result().customer == "acme"
    assert not stuck.is_set()


def test_a_lock_of_nobody_else_is_told_when_it_stays(ledger: Ledger) -> None:
    stuck = threading.Event()
    ledger.on_stuck = stuck.set
    with ourselves(ledger.path):
        assert not held_by_others(ledger.path)
        be_refused(ledger, 1)
        assert not stuck.is_set()
        be_refused(ledger, 1)
        assert stuck.wait(5)


def test_a_change_by_itself_that_nobody_waits_for_any_more_leaves_the_writer_alive(
    ledger: Ledger,
) -> None:
    began, go_on = threading.Event(), threading.Event()

    def hold_up(_: sqlite3.Connection) -> None:
        began.set()
        go_on.wait(5)

    ledger.submit(hold_up)
    assert began.wait(5)
    alone = ledger.submit(lambda _: None, is_alone=True)
    assert alone.cancel()
    go_on.set()
    assert ledger.begin("acme", "a.csv", "sftp").result(5).customer == "acme"


def test_a_bug_in_a_change_by_itself_is_told_to_its_caller(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError):
        ledger.submit(lambda _: 1 // 0, is_alone=True).result(5)
    assert ledger.begin("acme", "a.csv", "sftp").result(5).customer == "acme"
