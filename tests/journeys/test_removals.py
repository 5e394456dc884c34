"""A customer is removed, a shopper is erased: nothing of them is left where it was."""

from __future__ import annotations

import gzip
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients import Account, ClientError, OpenSshSftp, Paramiko
from tests.daemon import Daemon, add_customer, make_key, tilldrop, wait_for
from tests.journeys.test_reload import SlowUpload
from tests.journeys.test_sandbox import ask, deliver, write_customer
from tilldrop.delivery import State
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHOP = """\
zone = "Europe/Paris"
currency = "EUR"

[[feeds]]
name = "shoppers"
files = "shoppers*"
table = "shoppers"
history = true
map.shopper_id = "Card"
map.name = "Name"
map.email = "Mail"

[[feeds]]
name = "sales"
files = "sales*"
history = true
extra = "all"
map.location_id = "Shop"
map.transaction_id = "No"
map.sold_at = { date = "Date", format = "YYYY-MM-DD" }
map.total = "Total"
map.shopper_id = "Card"
"""
SHOP_LINES = """
[feeds.line_items]
note = "Note"
amount = "Total"
"""
ADA, MAIL = "C-1001", "ada@example.net"
SHOPPERS = f"Card,Name,Mail\n{ADA},Ada Lovelace,{MAIL}\nC-2002,Bob,bob@example.net\n"
SALES = f"""\
Shop,No,Date,Total,Card,Said
12,1,2026-03-14,2.00,{ADA},for Ada
12,2,2026-03-14,3.00,C-2002,for Bob
12,3,2026-03-15,4.00,,{MAIL}
"""
REFUSED = f"12,4,not a day,5.00,{ADA},x\n" + "".join(
    f"12,{number},2026-03-15,1.00,,\n" for number in range(10, 40)
)
OTHER = "12,99,2026-03-15,1.00,,\n"
HOW = pytest.mark.parametrize("how", ["with the daemon", "without it"])


@pytest.fixture
def shop(idle_daemon: Daemon, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with a shop's files, those of Ada among them."""
    write_customer(idle_daemon, SHOP)
    add_customer(idle_daemon.home, "rival", SHOP)
    idle_daemon.start()
    deliver(idle_daemon, tmp_path, "shoppers.csv", SHOPPERS.replace("Lovelace", "Byron"))
    deliver(idle_daemon, tmp_path, "shoppers.csv", SHOPPERS)
    deliver(idle_daemon, tmp_path, "sales.csv", SALES.replace("2.00", "1.99"))
    deliver(idle_daemon, tmp_path, "sales.csv", SALES + REFUSED)
    local = tmp_path / "sales-rival.csv"
    local.write_text(SALES)
    OpenSshSftp(Account(idle_daemon, "rival")).put(local, "sales-rival.csv")
    wait_for("the rival's", lambda: of(idle_daemon, "rival", "transactions"))
    idle_daemon.wait_until_idle()
    yield idle_daemon
    idle_daemon.stop()


def of(daemon: Daemon, customer: str, table: str) -> list[tuple[Any, ...]]:
    sql = f"SELECT * FROM {table} WHERE customer = ?"
    return daemon.rows(sql, customer)


def customer_tables(path: Path) -> list[str]:
    sql = (
        "SELECT m.name FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS c"
        " WHERE m.type = 'table' AND c.name = 'customer'"
    )
    with closing(sqlite3.connect(path)) as connection:
        return [name for (name,) in connection.execute(sql)]


def holding(home: Path, text: str) -> list[str]:
    """Return which files below a home hold a text, logs apart."""
    return sorted(
        str(path.relative_to(home))
        for path in home.rglob("*")
        if path.is_file() and path.suffix != ".log" and text.encode() in path.read_bytes()
    )


# -- a customer ----------------------------------------------------------------------------------


@HOW
def test_removed_customer_has_nothing_left_and_the_others_have_all(shop: Daemon, how: str) -> None:
    make_key(shop.home, "acme")
    rival = of(shop, "rival", "transactions")
    if how == "without it":
        assert shop.stop() == 0
    done = json.loads(ask(shop, "customer", "remove", "acme", "--yes", "--json"))
    assert (done["deliveries"], done["files"]) == (4, 4)
    assert done["rows"]["transactions"] == 33
    if how == "without it":
        shop.start()
    with pytest.raises(ClientError):
        Paramiko(Account(shop)).listing("/")
    for table in customer_tables(shop.paths.data):
        assert of(shop, "acme", table) == []
    assert shop.deliveries(customer="acme") == []
    assert of(shop, "rival", "transactions") == rival
    assert len(shop.deliveries(customer="rival")) == 1
    assert [one.name for one in (shop.home / "keys" / "customers").glob("acme.*")] == []
    assert not (shop.home / "config" / "customers" / "acme.toml").exists()
    [kept] = (shop.paths.spool / "kept").iterdir()
    assert kept.name == shop.deliveries(customer="rival")[0].id
    if how == "with the daemon":
        [said] = shop.events("customer.removed")
        assert said["deliveries"] == 4
    assert shop.stop() == 0
    assert holding(shop.home, "Lovelace") == []
    assert holding(shop.home, "Byron") == []
    again = tilldrop(shop.home, "customer", "remove", "acme", "--yes")
    assert again.returncode == 67


def test_removed_customer_may_come_again_and_begins_anew(shop: Daemon, tmp_path: Path) -> None:
    ask(shop, "customer", "remove", "acme", "--yes")
    add_customer(shop.home, "acme", SHOP)
    ask(shop, "reload")
    deliver(shop, tmp_path, "sales.csv", SALES)
    assert len(of(shop, "acme", "transactions")) == 3


def test_removal_that_was_interrupted_goes_on(shop: Daemon) -> None:
    (shop.home / "config" / "customers" / "acme.toml").unlink()
    early = tilldrop(shop.home, "customer", "remove", "acme", "--yes", "--json")
    assert early.returncode == 0, early.stderr
    assert json.loads(early.stdout)["deliveries"] == 4
    assert of(shop, "acme", "transactions") == []


def test_customer_is_not_removed_while_it_uploads(shop: Daemon, tmp_path: Path) -> None:
    with closing(SlowUpload(shop, tmp_path)):
        refused = tilldrop(shop.home, "customer", "remove", "acme", "--yes")
        assert refused.returncode == 75
        assert "is receiving" in refused.stderr
    assert (shop.home / "config" / "customers" / "acme.toml").exists()
    assert len(of(shop, "acme", "shoppers")) == 2


def test_removal_asks_and_no_is_no(shop: Daemon) -> None:
    asked = tilldrop(shop.home, "customer", "remove", "acme", typed="n\n")
    assert asked.returncode != 0
    assert "Remove acme with 4 deliveries" in asked.stderr
    assert len(of(shop, "acme", "shoppers")) == 2


def test_customer_of_a_folder_is_not_removed(shop: Daemon) -> None:
    main = shop.home / "config" / "tilldrop.toml"
    main.write_text(main.read_text() + '\n[[folders]]\npath = "in"\ncustomer = "acme"\n')
    refused = tilldrop(shop.home, "customer", "remove", "acme", "--yes")
    assert (refused.returncode, "[[folders]]" in refused.stderr) == (64, True)


# -- a shopper -----------------------------------------------------------------------------------


def persons(daemon: Daemon) -> list[tuple[Any, ...]]:
    return daemon.rows("SELECT shopper_id, name FROM shoppers WHERE customer = 'acme'")


def buyers(daemon: Daemon) -> list[tuple[Any, ...]]:
    sql = "SELECT transaction_id, shopper_id, extra FROM transactions WHERE customer = 'acme'"
    return daemon.rows(sql + " AND CAST(transaction_id AS INTEGER) < 4 ORDER BY 1")


@HOW
def test_erased_shopper_is_nowhere_and_the_sales_stay(
    shop: Daemon, tmp_path: Path, how: str
) -> None:
    other = deliver(shop, tmp_path, "sales-other.csv", f"{SALES.splitlines()[0]}\n{OTHER}")
    if how == "without it":
        assert shop.stop() == 0
    words = ("shopper", "erase", "acme", ADA, "--drop-files", "--yes", "--json")
    done = json.loads(ask(shop, *words))
    assert len(done["dropped"]) == 4
    assert done["files"] == []
    if how == "without it":
        shop.start()
    assert persons(shop) == [("C-2002", "Bob")]
    bob = ("2", "C-2002", '{"Said":"for Bob"}')
    assert buyers(shop) == [("1", None, None), bob, ("3", None, None)]
    assert of(shop, "rival", "transactions")[0][19] is not None
    assert [one.id for one in shop.deliveries() if one.bytes_gone_at is None] == [other]
    ask(shop, "customer", "remove", "rival", "--yes")  # who has a file of the same texts
    assert shop.stop() == 0
    for text in (ADA, MAIL, "Lovelace", "Byron", "for Ada"):
        assert holding(shop.home, text) == [], text


def test_erased_shopper_does_not_come_back(shop: Daemon, tmp_path: Path) -> None:
    listed = tilldrop(shop.home, "shopper", "erase", "acme", ADA, "--yes")
    assert listed.returncode == 0
    assert "4 still mention it" in listed.stdout
    assert "backups" in listed.stderr
    ask(shop, "replay", "--customer", "acme", "--yes")
    shop.wait_until_idle()
    deliver(shop, tmp_path, "shoppers-later.csv", SHOPPERS)
    deliver(shop, tmp_path, "sales-later.csv", SALES + REFUSED)
    assert persons(shop) == [("C-2002", "Bob")]
    assert [row[:2] for row in buyers(shop)] == [("1", None), ("2", "C-2002"), ("3", None)]
    for sql in ("SELECT record FROM rejected_rows", "SELECT version FROM history"):
        assert [row for row in shop.rows(sql) if row[0] and ADA in row[0]] == []
    [(counts,)] = shop.rows(
        "SELECT report ->> '$.counts' FROM deliveries WHERE name = 'shoppers-later.csv'"
    )
    assert (json.loads(counts)["unchanged"], json.loads(counts)["superseded"]) == (1, 1)


def test_packed_file_that_mentions_the_shopper_is_listed(shop: Daemon, tmp_path: Path) -> None:
    local = tmp_path / "sales-packed.csv.gz"
    local.write_bytes(gzip.compress(SALES.encode()))
    OpenSshSftp(Account(shop)).put(local, local.name)
    packed = shop.wait_for_state(local.name, State.IMPORTED)
    done = json.loads(ask(shop, "shopper", "erase", "acme", "C-2002", "--yes", "--json"))
    assert packed.id in done["files"]
    assert len(done["files"]) == 5


def test_restored_backup_names_who_was_taken_out_since(shop: Daemon, tmp_path: Path) -> None:
    ask(shop, "backup", str(tmp_path / "b"))
    ask(shop, "shopper", "erase", "acme", ADA, "--yes")
    ask(shop, "customer", "remove", "rival", "--yes")
    shop.stop()
    again = tmp_path / "again"
    words = ("restore", str(tmp_path / "b"), str(again), "--since", str(shop.home), "--json")
    done = json.loads(ask(shop, *words))
    erase = ["shopper", "erase", "acme", ADA, "--drop-files"]
    assert done["again"] == [["customer", "remove", "rival"], erase]
    for command in done["again"]:
        assert tilldrop(again, *command, "--yes").returncode == 0
    assert holding(again / "var", "Lovelace") == []
    remembered = "SELECT count(*) FROM erased_shoppers"
    assert Daemon(again).rows(remembered) == [(1,)]


def test_person_in_free_texts_and_names_is_found(shop: Daemon, tmp_path: Path) -> None:
    toml = shop.home / "config" / "customers" / "acme.toml"
    toml.write_text(toml.read_text() + SHOP_LINES)
    ask(shop, "reload")
    head, *rows = SALES.splitlines()
    lines = "\n".join(f"{row},gift of {ADA} to Bob" for row in rows)
    for total in ("2.00", "2.50"):
        changed = lines.replace(",2.00,", f",{total},")
        deliver(shop, tmp_path, f"sales-{ADA}.csv", f"{head},Note\n{changed}\n")
    assert len(shop.rows("SELECT note FROM line_items WHERE note LIKE '%C-1001%'")) == 3
    done = json.loads(ask(shop, "shopper", "erase", "acme", ADA, "--drop-files", "--yes", "--json"))
    assert done["rewritten"] is True
    assert len(done["named"]) == 2
    assert shop.rows("SELECT count(*) FROM line_items WHERE note IS NOT NULL") == [(0,)]
    ask(shop, "customer", "remove", "rival", "--yes")
    assert holding(shop.home / "var", "gift of C-1001") == []  # the daemon runs on
    assert holding(shop.home / "var", "Lovelace") == []


def test_audit_log_does_not_name_who_was_erased(shop: Daemon) -> None:
    ask(shop, "shopper", "erase", "acme", ADA, "--also", "Lovelace", "--yes")
    text = ask(shop, "audit", "list", "--event", "operator", "--json")
    assert "erase" in text
    assert ADA not in text
    assert "Lovelace" not in text
    [said] = shop.events("shopper.erased")
    assert ADA not in json.dumps(said)
