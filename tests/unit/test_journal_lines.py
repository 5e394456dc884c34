"""What others say stands in the log as text and nothing else."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from tilldrop import journal, journal_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTILE = {
    "colour": "\x1b[31macme",
    "title": "\x1b]0;owned\x07",
    "line": "acme\n2026-01-01 [info] login.accepted",
    "return": "acme\rroot",
    "next-line": "acme\x85root",
    "separator": "acme\u2028root",
    "reversed": "acme\u202etoor",
    "c1": "acme\x9b31m",
}


@pytest.fixture(params=["console", "json"])
def said(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    journal_lines.configure(request.param, "info", stream)
    yield stream
    journal_lines.configure("auto", "info")


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_name_of_a_stranger_commands_no_terminal(said: io.StringIO, name: str) -> None:
    journal.login_refused("ftp", "acme", "192.0.2.1", "password", "unknown-customer", None)
    usual = _unseen(said.getvalue())
    said.truncate(said.seek(0))
    journal.login_refused("ftp", name, "192.0.2.1", "password", "unknown-customer", None)
    assert _unseen(said.getvalue()) == usual  # colours of our own, and the line's end
    assert "acme" in said.getvalue() or "owned" in said.getvalue()


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_text_of_an_exception_commands_no_terminal(said: io.StringIO, name: str) -> None:
    try:
        int(name)  # which says what it found
    except ValueError:
        journal.request_failed("ftp", "acme", "STOR")
    lines = said.getvalue().replace("\x1b[0m", "").split("\n")[1:]
    assert all(line.isprintable() for line in lines)


def _unseen(text: str) -> list[str]:
    return [char for char in text if not char.isprintable()]
