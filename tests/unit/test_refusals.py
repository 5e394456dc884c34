"""What `tilldrop why-refused` tells of journals and ledgers, and that the healed is left out."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from tests.unit.spine import Spine, claim_next, spine
from tests.unit.test_bulk import FEED, KEY
from tilldrop import cli, journal, journal_lines, refusals
from tilldrop.customers import Customers
from tilldrop.delivery import Cause, Delivery, State
from tilldrop.home_files import add_customer, make_home
from tilldrop.rows import Report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tilldrop.refusals import Trouble

FINGERPRINT = "SHA256:Mawb2swh8ufzOfQfcvQhjmj1ngbh5v20Sa6EYRpIiKo"
HERE, THERE = "192.0.2.7", "198.51.100.4"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the daemon writes, from here on."""
    stream = io.StringIO()
    journal_lines.configure("json", "info", stream)
    yield stream
    journal_lines.configure("auto", "warning")


@pytest.fixture
def built(tmp_path: Path) -> Iterator[Spine]:
    """A ledger, and the customer `acme` with a password."""
    with spine(tmp_path) as made:
        Customers(tmp_path / "keys", lambda: made.config).set_password("acme", "ahoy-there")
        yield made


def told(built: Spine, log: io.StringIO, name: str = "acme") -> list[Trouble]:
    heard = refusals.listen(log.getvalue().splitlines(), name)
    return list(refusals.troubles(name, built.config, heard, built.ledger))


def refuse(
    reason: str, method: str = "password", key: str | None = None, name: str = "acme"
) -> None:
    journal.login_refused("sftp", name, HERE, method, reason, key)


def deliver(built: Spine, name: str, after: State, reason: str | None = None) -> Delivery:
    """Put a delivery into the ledger that has come as far as `after`."""
    delivery = built.ledger.begin("acme", name, "sftp").result()
    if after is State.BROKEN:
        return built.ledger.move(
            delivery.id, State.RECEIVING, State.BROKEN, Cause.LOST, size_bytes=1234
        ).result()
    built.ledger.move(delivery.id, State.RECEIVING, State.ARRIVED, Cause.CLOSE).result()
    if after is State.HELD:
        return built.ledger.move(
            delivery.id, State.ARRIVED, State.HELD, Cause.OPERATOR, reason=reason
        ).result()
    claimed = claim_next(built.ledger, Cause.WATCHDOG, lambda _: True)
    assert claimed is not None
    report = Report(delivery.id, 1, after.value, reason=reason, reason_seen="Total")  # type: ignore[arg-type]
    return built.ledger.record_report(report).result()


@pytest.mark.parametrize(
    ("reason", "method", "key", "said", "to_do"),
    [
        ("wrong-password", "password", None, "wrong password", "customer passwd acme"),
        ("key-not-listed", "publickey", FINGERPRINT, FINGERPRINT, "customer key acme FILE"),
        ("disabled", "password", None, "is disabled", "customer enable acme"),
        ("forbidden-source", "password", None, "not among its sources", "customers/acme.toml"),
        ("something-new", "password", None, "something-new", "docs/operations.md"),
    ],
)
def test_refused_login_is_told_with_what_to_do(
    built: Spine, log: io.StringIO, reason: str, method: str, key: str | None, said: str, to_do: str
) -> None:
    for _ in range(3):
        refuse(reason, method, key)
    (trouble,) = told(built, log)
    assert said in trouble.what
    assert to_do in trouble.to_do
    assert trouble.times == 3
    assert trouble.peers == (HERE,)


def test_keys_tried_before_the_one_that_fits_are_no_trouble(built: Spine, log: io.StringIO) -> None:
    refuse("key-not-listed", "publickey", FINGERPRINT)
    journal.login_accepted("sftp", "acme", HERE, "publickey", "SHA256:other")
    assert told(built, log) == []


def test_a_login_from_elsewhere_heals_nothing(built: Spine, log: io.StringIO) -> None:
    refuse("key-not-listed", "publickey", FINGERPRINT)
    journal.login_accepted("sftp", "acme", THERE, "publickey", "SHA256:other")
    assert len(told(built, log)) == 1


@pytest.mark.parametrize("claimed", ["Acme", "ACME ", "TILLS\\acme"])
def test_a_login_under_a_name_nearly_right_is_told(
    built: Spine, log: io.StringIO, claimed: str
) -> None:
    refuse("unknown-customer", name=claimed)
    (trouble,) = told(built, log)
    assert repr(claimed) in trouble.what


def test_what_befell_others_is_not_told(built: Spine, log: io.StringIO) -> None:
    refuse("wrong-password", name="bakery")
    journal.request_refused("sftp", "bakery", "remove", "delivered-stays", "x is delivered")
    journal.connection_refused("sftp", THERE, "too-many")
    assert told(built, log) == []


def test_a_connection_refused_to_an_address_of_the_customer_is_told(
    built: Spine, log: io.StringIO
) -> None:
    journal.login_accepted("sftp", "acme", HERE, "password", None)
    journal.connection_refused("sftp", HERE, "too-many")
    (trouble,) = told(built, log)
    assert "too many connections" in trouble.what


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("key-not-proved", "did not prove"),
        ("No matching key exchange algorithm found, sent a and received b", "received b"),
    ],
)
def test_a_login_that_never_came_to_its_end_is_told(
    built: Spine, log: io.StringIO, reason: str, said: str
) -> None:
    journal.login_accepted("sftp", "acme", HERE, "password", None)
    journal.login_abandoned("sftp", "", HERE, reason)
    (trouble,) = told(built, log)
    assert said in trouble.what


def test_refused_requests_are_told_once_each_with_what_to_do(
    built: Spine, log: io.StringIO
) -> None:
    for code in ("delivered-stays", "folder-fixed", "spool-full", "no-such-file"):
        for _ in range(2):
            journal.request_refused("sftp", "acme", "remove", code, f"why {code}")
    found = {one.what: one for one in told(built, log)}
    assert len(found) == 4
    assert all(one.times == 2 for one in found.values())
    assert "remove refused (folder-fixed): why folder-fixed" in found


def test_upload_that_broke_off_is_told_until_the_file_came_whole(
    built: Spine, log: io.StringIO
) -> None:
    deliver(built, "sales.csv", State.BROKEN)
    (trouble,) = told(built, log)
    assert "sales.csv broke off after 1,234 bytes" in trouble.what
    deliver(built, "sales.csv", State.IMPORTED)
    assert told(built, log) == []


@pytest.mark.parametrize(
    ("state", "reason", "said", "to_do"),
    [
        (State.REJECTED, "header-lacks", "Columns are missing: Total", "tilldrop replay"),
        (State.UNCLAIMED, "no-feed", "no feed takes that name", "add a feed"),
        (State.HELD, "import-crashed", "is held (import-crashed)", "tilldrop release"),
    ],
)
def test_file_that_was_not_imported_is_told_with_its_reason(
    built: Spine, log: io.StringIO, state: State, reason: str, said: str, to_do: str
) -> None:
    delivery = deliver(built, "sales.csv", state, reason)
    (trouble,) = told(built, log)
    assert said in trouble.what
    assert to_do in trouble.to_do
    assert delivery.id in trouble.to_do


def test_what_would_keep_it_out_now_is_told_first(
    built: Spine, log: io.StringIO, tmp_path: Path
) -> None:
    refuse("wrong-password")
    acme = built.config.customers["acme"]
    built.configure({"acme": replace(acme, disabled=True, feeds=())})
    folder = tmp_path / "keys" / "customers"
    (folder / "acme.password").write_text("ahoy-there\n")
    (folder / "acme.pub").write_text(f"{KEY}\nssh-rsa AAAA short\n")
    found = [one.what for one in told(built, log)]
    assert found[0] == "the customer is disabled"
    assert "acme.pub:2" in found[1]
    assert "password file cannot be used" in found[2]
    assert "ahoy-there" not in "".join(found)
    assert "no feed" in found[3]
    assert "wrong password" in found[4]


def test_customer_without_password_and_key_is_told(
    built: Spine, log: io.StringIO, tmp_path: Path
) -> None:
    (tmp_path / "keys" / "customers" / "acme.password").unlink()
    (trouble,) = told(built, log)
    assert "neither password nor key" in trouble.what


def test_unknown_name_is_told_with_the_one_it_may_have_meant(
    built: Spine, log: io.StringIO
) -> None:
    refuse("unknown-customer", name="acmee")
    found = [one.what for one in told(built, log, "acmee")]
    assert found[0] == "there is no customer 'acmee'; did you mean \"acme\"?"
    assert len(found) == 2


def test_older_events_and_lines_that_are_no_events_are_skipped(log: io.StringIO) -> None:
    refuse("wrong-password")
    lines = [
        "Traceback",
        "{not json",
        '["a"]',
        '{"event": "login.refused"}',
        *log.getvalue().splitlines(),
    ]
    assert refusals.listen(lines, "acme").lines == 1
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert refusals.listen(lines, "acme", later).lines == 0


# -- the verb ------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the customer `acme`, which has a key; no daemon ever ran on it."""
    home = tmp_path / "home"
    make_home(home, "127.0.0.1", "var")
    path = add_customer(home, "acme", "Europe/Dublin", "EUR")
    path.write_text(path.read_text() + FEED)
    (home / "keys" / "customers" / "acme.pub").write_text(KEY + "\n")
    return home


def run(home: Path, *words: str, typed: str = "") -> str:
    ended = CliRunner().invoke(
        cli.tilldrop,
        ["--home", str(home), "why-refused", *words],
        input=typed,
        catch_exceptions=False,
    )
    assert ended.exit_code == 0
    return ended.stdout


def test_verb_reads_a_file_or_stdin_and_tells_for_people_and_scripts(
    home: Path, log: io.StringIO
) -> None:
    journal.login_accepted("sftp", "acme", HERE, "password", None)
    refuse("wrong-password", name="acme")
    refuse("wrong-password", name="acme")
    journal.request_refused("sftp", "acme", "open", "name-refused", "not acceptable: \x1b[31m")
    written = log.getvalue()
    (home / "log").write_text(written)
    for out in (
        run(home, "acme", "--log", str(home / "log")),
        run(home, "acme", "--log", "-", typed=written),
    ):
        assert out.startswith("acme logged in last at ")
        assert "wrong password, or none is set, 2 times, from 192.0.2.7\n    compare" in out
        assert "\x1b" not in out
    found = json.loads(run(home, "acme", "--log", str(home / "log"), "--json"))
    assert [one["times"] for one in found] == [1, 2]


def test_verb_says_that_nothing_was_refused(home: Path) -> None:
    (home / "log").touch()
    assert run(home, "acme", "--log", str(home / "log")) == "nothing was refused to acme\n"
