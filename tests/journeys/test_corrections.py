"""What an operator puts right: a mapping, a wrong file, a file that holds other figures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.daemon import CUSTOMER_TOML, HEADER, Daemon, make_home, sales, tilldrop, wait_for
from tests.journeys.test_sandbox import ask, booked, deliver, put, rows, write_customer
from tilldrop.delivery import State
from tilldrop.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

WRONG = CUSTOMER_TOML + 'tip = "Tip"\nreceipt_number = "Id"\n'
RIGHT = CUSTOMER_TOML.replace(
    'transaction_id = "Id"', 'transaction_id = { join = ["Store", "Id"], with = "/" }'
)
TIPS = HEADER.replace("Total", "Total,Tip")
PLAIN = (
    "SELECT location_id, transaction_id, sold_at, total_minor, tip_minor, receipt_number,"
    " arrival_seq FROM transactions ORDER BY 1, 2"
)


def with_tips(first: int, count: int) -> str:
    lines = sales(first, count).splitlines()[1:]
    return TIPS + "".join(f"{line},0.50\n" for line in lines)


def files(daemon: Daemon, folder: Path) -> list[str]:
    """Send three files, the third of which overlaps the second."""
    texts = {"a.csv": (1, 3), "b.csv": (10, 3), "c.csv": (12, 3)}
    return [deliver(daemon, folder, name, with_tips(*where)) for name, where in texts.items()]


def reload(daemon: Daemon, toml: str) -> None:
    write_customer(daemon, toml)
    ask(daemon, "reload")


def wait_for_run(daemon: Daemon, delivery: str, run: int) -> None:
    wait_for(f"run {run} of {delivery}", lambda: daemon.ledger().report(delivery, run))
    daemon.wait_until_idle()


# -- replay --------------------------------------------------------------------------------------


def fresh_state(daemon: Daemon, folder: Path, toml: str) -> list[tuple[Any, ...]]:
    """Return what the rows would be, had the mapping always been this one."""
    reload(daemon, toml)
    (folder / "fresh").mkdir()
    files(daemon, folder / "fresh")
    found = daemon.rows(PLAIN)
    assert found
    return found


@pytest.mark.parametrize("how", ["with the daemon", "without it"])
def test_a_replay_after_a_mapping_was_put_right_equals_the_fresh_state(
    daemon: Daemon, idle_daemon: Daemon, tmp_path: Path, how: str, host_keys: Path
) -> None:
    other = Daemon(make_home(tmp_path / "other", host_keys)).start()
    try:
        expected = fresh_state(other, tmp_path, RIGHT)
    finally:
        other.kill()
    reload(daemon, WRONG)
    *_, last = files(daemon, tmp_path)
    assert daemon.rows(PLAIN) != expected
    reload(daemon, RIGHT)
    if how == "without it":
        assert daemon.stop() == 0
    ask(daemon, "replay", "--customer", "acme", "--since", "2020-01-01", "--yes")
    if how == "without it":
        idle_daemon.start()
    wait_for_run(daemon, last, 2)
    assert daemon.rows(PLAIN) == expected


def test_a_replay_that_was_cut_by_a_crash_ends_in_the_same_state(
    daemon: Daemon, tmp_path: Path, host_keys: Path
) -> None:
    other = Daemon(make_home(tmp_path / "other", host_keys)).start()
    try:
        expected = fresh_state(other, tmp_path, RIGHT)
    finally:
        other.kill()
    reload(daemon, WRONG)
    first, _, last = files(daemon, tmp_path)
    reload(daemon, RIGHT)
    ask(daemon, "replay", "--customer", "acme", "--yes")
    wait_for("the first import", lambda: daemon.ledger().report(first, 2))
    daemon.kill()
    daemon.start()
    wait_for_run(daemon, last, 2)
    assert daemon.rows(PLAIN) == expected


def test_a_replay_asks_first_and_says_what_is_no_longer_kept(
    daemon: Daemon, tmp_path: Path
) -> None:
    gone, kept, _ = files(daemon, tmp_path)
    assert daemon.stop() == 0
    (daemon.paths.spool / "kept" / gone).unlink()
    ledger = Ledger(daemon.paths.ledger)
    now = ledger.one(gone).changed_at
    ledger.amend(gone, State.IMPORTED, bytes_gone_at=now).result()
    ledger.close()
    daemon.start()
    refused = tilldrop(daemon.home, "replay", "--customer", "acme", typed="n\n")
    assert refused.returncode != 0
    assert "1 delivery of that time is no longer kept" in refused.stderr
    assert "a.csv" in refused.stderr
    assert "Import 2 deliveries of acme again?" in refused.stderr
    assert daemon.ledger().one(kept).run == 1
    accepted = tilldrop(daemon.home, "replay", "--customer", "acme", typed="y\n")
    assert accepted.returncode == 0
    wait_for_run(daemon, kept, 2)
    assert len(daemon.rows(PLAIN)) == 8


# -- undo ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["with the daemon", "without it"])
def test_an_undo_takes_back_what_only_that_file_brought(
    daemon: Daemon, tmp_path: Path, how: str
) -> None:
    history = CUSTOMER_TOML.replace('files = "*.csv"\n', 'files = "*.csv"\nhistory = true\n')
    reload(daemon, history)
    deliver(daemon, tmp_path, "monday.csv", sales(1, 3))
    wrong = deliver(daemon, tmp_path, "wrong.csv", sales(2, 4, cents=900))
    deliver(daemon, tmp_path, "later.csv", sales(5, 1, cents=700))
    if how == "without it":
        assert daemon.stop() == 0
    done = json.loads(ask(daemon, "undo", wrong, "--json"))
    assert (done["restored"], done["removed"], len(done["kept"])) == (2, 1, 1)
    assert booked(daemon.paths.data) == rows("12", 1, 3) + rows("12", 5, 1, 700)
    again = tilldrop(daemon.home, "undo", wrong)
    assert again.returncode == 65
    shown = json.loads(ask(daemon, "show", wrong, "--json"))
    assert (shown["delivery"]["state"], shown["delivery"]["reason"]) == ("rejected", "undone")
    assert "TAKEN BACK BY THE OPERATOR" in ask(daemon, "show", wrong)


def test_a_file_of_the_sandbox_is_taken_back_there(daemon: Daemon, tmp_path: Path) -> None:
    reload(daemon, 'mode = "sandbox"\nlive_locations = ["12"]\n' + CUSTOMER_TOML)
    both = sales(1, 2, store="12") + sales(1, 3, store="14").removeprefix(HEADER)
    delivery = deliver(daemon, tmp_path, "sales.csv", both)
    done = json.loads(ask(daemon, "undo", delivery, "--json"))
    assert done == {"delivery": delivery, "restored": 0, "removed": 5, "kept": []}
    assert booked(daemon.paths.data) == booked(daemon.paths.sandbox) == []


def test_what_was_taken_back_can_be_sent_or_taken_in_again(daemon: Daemon, tmp_path: Path) -> None:
    delivery = deliver(daemon, tmp_path, "sales.csv", sales(1, 3))
    ask(daemon, "undo", delivery)
    assert booked(daemon.paths.data) == []
    ask(daemon, "replay", delivery)
    wait_for_run(daemon, delivery, 2)
    assert booked(daemon.paths.data) == rows("12", 1, 3)
    ask(daemon, "undo", delivery)
    deliver(daemon, tmp_path, "sales.csv", sales(1, 3))
    assert booked(daemon.paths.data) == rows("12", 1, 3)


# -- control figures -----------------------------------------------------------------------------

TRAILER = CUSTOMER_TOML.replace("[feeds.map]", "[feeds.read]\nskip_lines = '^END'\n\n[feeds.map]")
BY_TRAILER = TRAILER + "\n[feeds.control]\nrecords = { line = '^END,([0-9]+)' }\n"
BY_COMPANION = (
    CUSTOMER_TOML
    + "\n[feeds.control]\ntransactions = { companion = \"{stem}.ctl\", match = 'count=([0-9]+)' }\n"
)


def test_a_file_that_holds_less_than_it_declares_is_held_until_it_is_released(
    daemon: Daemon, tmp_path: Path
) -> None:
    reload(daemon, BY_TRAILER)
    put(daemon, tmp_path, "short.csv", sales(1, 3) + "END,4\n")
    held = daemon.wait_for_state("short.csv", State.HELD)
    assert held.reason == "control-differs"
    assert booked(daemon.paths.data) == []
    receipt = ask(daemon, "show", held.id)
    assert "BEING LOOKED AT BY THE OPERATOR" in receipt
    assert "the file declares other figures" in receipt.lower()
    deliver(daemon, tmp_path, "right.csv", sales(10, 2) + "END,2\n")
    ask(daemon, "release", held.id)
    released = daemon.wait_for_state("short.csv", State.IMPORTED)
    assert booked(daemon.paths.data) == rows("12", 1, 3) + rows("12", 10, 2)
    report = daemon.ledger().report(released.id)
    assert report is not None
    assert report.warning_counts.get("control-accepted") == 1


def test_an_undo_ends_the_wait_of_a_file_that_is_held(daemon: Daemon, tmp_path: Path) -> None:
    reload(daemon, BY_TRAILER)
    put(daemon, tmp_path, "short.csv", sales(1, 3) + "END,4\n")
    held = daemon.wait_for_state("short.csv", State.HELD)
    ask(daemon, "undo", held.id)
    assert daemon.wait_for_state("short.csv", State.REJECTED).reason == "undone"
    assert booked(daemon.paths.data) == []


def test_a_file_waits_for_its_companion_and_a_right_one_lets_it_in(
    daemon: Daemon, tmp_path: Path
) -> None:
    reload(daemon, BY_COMPANION)
    put(daemon, tmp_path, "sales.ctl", "count=4\n")
    put(daemon, tmp_path, "sales.csv", sales(1, 3))
    assert daemon.wait_for_state("sales.csv", State.HELD).reason == "control-differs"
    put(daemon, tmp_path, "sales.ctl", "count=3\n")
    daemon.wait_for_state("sales.csv", State.IMPORTED)
    put(daemon, tmp_path, "late.csv", sales(10, 2))
    put(daemon, tmp_path, "late.ctl", "count=2\n")
    daemon.wait_for_state("late.csv", State.IMPORTED)
    assert booked(daemon.paths.data) == rows("12", 1, 3) + rows("12", 10, 2)
