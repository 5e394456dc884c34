"""Files that nobody should send: the receipt says what is wrong, and everything stays up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients import Account, OpenSshSftp
from tests.daemon import HEADER, Daemon, sales
from tests.journeys.test_clients import receipt
from tilldrop.delivery import FINISHED, State

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "".join(f"12,{number},2026-03-14,10:30,1.00\n" for number in range(20))


def with_line(record: str) -> bytes:
    """Twenty good records with a bad one on line 12."""
    lines = (HEADER + GOOD).splitlines(keepends=True)
    lines.insert(11, record + "\n")
    return "".join(lines).encode()


REFUSED = [
    pytest.param(b"", ["The file is empty"], id="empty"),
    pytest.param(HEADER.encode(), ["header line but no rows"], id="header-only"),
    pytest.param(bytes(range(256)) * 400, ["NUL", "not a text file"], id="binary-junk"),
    pytest.param(bytes(range(1, 256)) * 400, ["not text"], id="binary-junk-without-nul"),
    pytest.param(with_line('12,77,2026-03-14,10:30,"1.00'), ["line 12"], id="unterminated-quote"),
    pytest.param(
        (HEADER + GOOD).replace("12,3,", "Caf\u00e9,3,").encode("latin-1"), ["utf-8"], id="encoding"
    ),
    pytest.param(with_line("12,77,2026-03-14,10:30,1\0.00"), ["NUL"], id="nul-byte"),
    pytest.param(b"Shop,Number,When\n1,2,3\n", ["columns are missing"], id="other-columns"),
]

PARTLY = [
    pytest.param(with_line("12,77,2026-02-31,10:30,1.00"), ["line 12", "Date"], id="31-february"),
    pytest.param(with_line("12,77,2026-03-14,10:30,one"), ["line 12", "Total"], id="no-number"),
    pytest.param(with_line("12,77,2026-03-14"), ["line 12", "3 fields"], id="ragged"),
    pytest.param(
        with_line("12,77,2026-03-14,10:30," + "9" * 3_000_000), ["line 12"], id="3-million-chars"
    ),
]


def told(daemon: Daemon, folder: Path, content: bytes) -> tuple[State, str]:
    """Deliver bytes and return what became of them, and the receipt."""
    local = folder / "sales.csv"
    local.write_bytes(content)
    client = OpenSshSftp(Account(daemon))
    client.put(local, "sales.csv")
    delivery = daemon.wait_for_state("sales.csv", *FINISHED)
    return delivery.state, receipt(client, delivery)


@pytest.mark.parametrize(("content", "said"), REFUSED)
def test_refused_whole_with_reason(
    daemon: Daemon, tmp_path: Path, content: bytes, said: list[str]
) -> None:
    pids = daemon.pid, daemon.worker_pid()
    state, text = told(daemon, tmp_path, content)
    assert state is State.REJECTED
    assert text.startswith("REFUSED\n")
    for words in said:
        assert words.lower() in text.lower()
    assert daemon.rows("SELECT count(*) FROM transactions") == [(0,)]
    assert (daemon.pid, daemon.worker_pid()) == pids


@pytest.mark.parametrize(("content", "said"), PARTLY)
def test_bad_record_is_named_and_the_good_ones_are_booked(
    daemon: Daemon, tmp_path: Path, content: bytes, said: list[str]
) -> None:
    pids = daemon.pid, daemon.worker_pid()
    state, text = told(daemon, tmp_path, content)
    assert state is State.IMPORTED
    assert text.startswith("ACCEPTED WITH FAULTS\n")
    for words in said:
        assert words.lower() in text.lower()
    booked = daemon.rows("SELECT count(*), sum(total_minor) FROM transactions")
    assert booked == [(20, 2000)]
    assert (daemon.pid, daemon.worker_pid()) == pids


def test_after_all_that_a_good_file_is_imported_as_ever(daemon: Daemon, tmp_path: Path) -> None:
    for parameter in (*REFUSED, *PARTLY):
        told(daemon, tmp_path, parameter.values[0])  # type: ignore[arg-type]
    pid = daemon.worker_pid()
    state, text = told(daemon, tmp_path, sales(500, 3).encode())
    assert (state, text.splitlines()[0]) == (State.IMPORTED, "ACCEPTED")
    assert daemon.worker_pid() == pid
