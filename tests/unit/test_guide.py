"""The page for a customer: complete, right, harmless in HTML, and without a secret."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import bcrypt
import pytest
from click.testing import CliRunner

from tests.unit.test_bulk import FEED, KEY
from tilldrop import cli, config, formats, guide_feeds, hostkeys, presets, receipt_words
from tilldrop.customers import Customers
from tilldrop.delivery import State
from tilldrop.errors import HomeUnusable, UsageWrong
from tilldrop.home_files import add_customer, make_home
from tilldrop.importer.moments import read_moment
from tilldrop.mapping_toml import read_feed

if TYPE_CHECKING:
    from tilldrop.mapping import Feed

EVERYTHING = r"""
name = "all"
files = "shop-1/x.csv"
rows = "mixed"
signs = "by-kind"
complete = "day"
skip = { Status = ["Void", ""] }
only = { Type = "Sale" }
[read]
widths = [3, 4]
header_line = 0
optional = ["Tip"]
[columns]
price = { lookup = "products.price", by = "Item" }
cost = { sql = "price || Extra" }
[map]
location_id = { folder = '-(.)' }
transaction_id = { column = "No", match = '(.*)' }
total = { expr = "cost * Quantity", empty = "0" }
tip = { column = "Tip", default = "0" }
sold_at.file_name = '([0-9]+)'
sold_at.time = ["H", "M"]
sold_at.format = "YYYYMMDD H:mm"
sold_at.zone.column = "Z"
as_of = { date = "Day", format = "epoch" }
tender = { first_of = ["Card", "Cash"], values = { visa = "card" } }
operator_id = { const = "x" }
kind = { column = "Type", values = { return = "refund" }, default = "sale" }
register_id = { preamble = 'Till (.)' }
[map.where]
"Line Type" = "Sale"
[[taxes]]
repeat = 2
amount = "Tax {n}"
[control]
records = { line = '^T(.*)' }
total = { file_name = '(.)' }
transactions = { companion = "{stem}.ctl", match = '(.)' }
"""
LINES = """
name = "lines"
files = ["lines-*.csv", "daily/*.csv"]
rows = "per-line"
[read]
delimiter = ";"
decimal = ","
thousands = "."
encoding = "cp1252"
[map]
location_id = { file_name = 'lines-(.+)' }
transaction_id = { join = ["Date", "Till", "No"] }
total = { expr = "Quantity * [Unit Price]" }
sold_at = { date = "Date", time = "Time", format = ["D/M/YYYY HH:mm", "iso"] }
tender = "Paid|by <b>"
"""


@pytest.fixture
def home(tmp_path: Path, host_keys: Path) -> Path:
    """A home with host keys and the customer `bakery`."""
    home = tmp_path / "home"
    make_home(home, "192.0.2.7", "var")
    for key in host_keys.glob("ssh_host_*"):
        (home / "keys" / key.name).write_bytes(key.read_bytes())
    path = add_customer(home, "bakery", "Europe/Dublin", "EUR")
    path.write_text(path.read_text() + FEED)
    return home


def write(home: Path, *words: str) -> tuple[str, str]:
    """Write the guide; return its Markdown and its HTML."""
    folder = home / "out"
    ended = CliRunner().invoke(
        cli.tilldrop,
        ["--home", str(home), "customer", "guide", "bakery", "-o", str(folder), *words],
        catch_exceptions=False,
    )
    assert ended.exit_code == 0, ended.output
    paths = [Path(line) for line in ended.stdout.splitlines()]
    assert paths == [folder / "bakery-guide.md", folder / "bakery-guide.html"]
    return paths[0].read_text(), paths[1].read_text()


def feed(toml: str) -> Feed:
    complaints: dict[str, str] = {}
    found = read_feed(tomllib.loads(toml), complaints.__setitem__)
    assert found is not None, complaints
    return found


def test_tells_where_to_connect_and_every_fingerprint(home: Path) -> None:
    text, page = write(home)
    for key in hostkeys.listing(home / "keys"):
        assert key.fingerprint in text
        assert key.fingerprint in page
    for words in ("`192.0.2.7`", "`2222`", "`bakery`", "sftp -P 2222 bakery@192.0.2.7"):
        assert words in text


def test_host_and_port_may_be_said(home: Path) -> None:
    text, _ = write(home, "--host", "sftp.example.com", "--port", "22")
    assert "open sftp://bakery@sftp.example.com:22/" in text
    assert "192.0.2.7" not in text


def test_port_that_the_system_picks_must_be_said_without_a_daemon(home: Path) -> None:
    main = home / "config" / "tilldrop.toml"
    main.write_text(main.read_text().replace("port = 2222", "port = 0"))
    with pytest.raises(UsageWrong, match="--port"):
        write(home)


def test_without_host_keys_there_is_no_guide(home: Path) -> None:
    for key in (home / "keys").glob("ssh_host_*"):
        key.unlink()
    with pytest.raises(HomeUnusable, match="tilldrop run"):
        write(home)


def test_line_for_known_hosts_is_one_that_openssh_takes(home: Path) -> None:
    text, _ = write(home)
    (line,) = re.findall(r"^\[192\.0\.2\.7\]:2222 .*$", text, re.MULTILINE)
    listed = {f"[192.0.2.7]:2222 {key.line}" for key in hostkeys.listing(home / "keys")}
    assert line in listed


def test_fingerprint_for_winscp_is_padded_base64_alone(home: Path) -> None:
    text, _ = write(home)
    (found,) = re.findall(r'-hostkey="([^"]*)"', text)
    assert len(found) == 44
    assert f"SHA256:{found.rstrip('=')}" in text


def test_no_secret_is_in_it(home: Path) -> None:
    loaded = config.load(home)
    stored = bcrypt.hashpw(b"ahoy-there", bcrypt.gensalt(4)).decode()
    Customers(loaded.paths.keys, lambda: loaded).set_password_hash("bakery", stored)
    (home / "keys" / "customers" / "bakery.pub").write_text(KEY + "\n")
    text, page = write(home)
    for secret in (home / "keys").glob("ssh_host_*_key"):
        inner = secret.read_text().splitlines()[2]
        assert inner not in text + page
    assert stored not in text + page
    assert "public key, or password" in text


@pytest.mark.parametrize(
    ("key", "password", "said"),
    [
        (True, True, "public key, or password"),
        (True, False, "| Log in by | public key |"),
        (False, True, "password, which you were given in another way"),
        (False, False, "not set up yet"),
    ],
    ids=["both", "key", "password", "neither"],
)
def test_tells_how_that_customer_logs_in(
    home: Path, *, key: bool, password: bool, said: str
) -> None:
    loaded = config.load(home)
    if password:
        Customers(loaded.paths.keys, lambda: loaded).set_password("bakery", "ahoy-there")
    if key:
        (home / "keys" / "customers" / "bakery.pub").write_text(KEY + "\n")
    assert said in write(home)[0]


def test_every_column_that_the_mapping_reads_is_told_once() -> None:
    told = guide_feeds.told(feed(LINES))
    assert [column.name for column in told.columns] == [
        "Date",
        "Till",
        "No",
        "Quantity",
        "Unit Price",
        "Time",
        "Paid|by <b>",
    ]
    assert {column.name: column.needed for column in told.columns} == {
        **dict.fromkeys(("Date", "Till", "No"), guide_feeds.YES),
        **dict.fromkeys(("Quantity", "Unit Price", "Time"), guide_feeds.ONCE),
        "Paid|by <b>": guide_feeds.NO,
    }
    assert (told.delimiter, told.decimal, told.thousands) == ("semicolon", "comma", "point")
    assert told.encoding == "Windows-1252 (ANSI)"
    assert "one for each item sold" in told.rows
    assert told.notes == ("The shop is taken from the file's name.",)


def test_whatever_a_mapping_says_is_told_by_the_columns_of_the_file() -> None:
    told = guide_feeds.told(feed(EVERYTHING))
    assert {column.name for column in told.columns} == {
        *("No", "Item", "Extra", "Quantity", "Tip", "H", "M", "Z", "Day", "Card", "Cash"),
        *("Line Type", "Tax 1", "Tax 2", "Status", "Type"),
    }
    needs = {column.name: column.needed for column in told.columns}
    assert (needs["No"], needs["Tip"], needs["H"]) == ("yes", "may be missing", guide_feeds.ONCE)
    assert told.delimiter == "nothing; they are 3, 4 characters wide"
    assert told.header == ""
    assert told.notes == (
        "The shop is taken from the folder it is put into.",
        "When it was sold is taken from the file's name.",
        "The till is taken from the lines above the column names.",
        "Rows are left out where `Status` is `Void` or empty.",
        "Rows are taken only where `Type` is `Sale`.",
        "Amounts of a refund are written without a minus.",
        "Each file holds whole days: what a later file of a day lacks counts as cancelled.",
        "The number of rows is compared with the one that the file declares.",
        "The number of transactions is compared with the file `{stem}.ctl`, sent beside it.",
        "The sum of all totals is compared with the one in the file's name.",
    )


STOCK = """
name = "stock"
files = "stock*.zip"
table = "stock_levels"
complete = "all"
[read]
header_line = "find"
delimiter = "blanks"
member = "*.txt"
sheet = "Stock"
[map]
location_id = "Shop"
product_id = "Item"
quantity = "On hand"
"""


def test_master_file_is_told_by_what_it_holds() -> None:
    told = guide_feeds.told(feed(STOCK))
    assert told.delimiter == "one or more blanks"
    assert told.header == "in the first line that has all of those below"
    assert told.rows == "one for each product in each shop"
    assert [column.meanings for column in told.columns] == [
        ("the shop",),
        ("the product",),
        ("the quantity",),
    ]
    assert told.notes == (
        "The sheet `Stock` is read.",
        "Of a packed file, `*.txt` is read.",
        "Each file holds everything: what a later file lacks counts as gone.",
    )


def test_workbook_is_told_without_character_set(home: Path) -> None:
    path = home / "config" / "customers" / "bakery.toml"
    text, _ = write(home)
    assert "| Character set |" in text
    path.write_text(path.read_text().replace("sales*.csv", "sales*.xlsx"))
    text, _ = write(home)
    assert "| Character set |" not in text
    assert "| Kind | workbook |" in text


@pytest.mark.parametrize("name", presets.names())
def test_feed_that_is_a_preset_is_told(home: Path, name: str) -> None:
    path = home / "config" / "customers" / "bakery.toml"
    settings = 'zone = "Europe/Dublin"\ncurrency = "EUR"\n'
    path.write_text(f'{settings}[[feeds]]\nname = "a"\nfiles = "*.csv"\npreset = "{name}"\n')
    text, _ = write(home)
    told = guide_feeds.told(config.load(home).customers["bakery"].feeds[0])
    assert told.columns
    for column in told.columns:
        assert f"| {guide_feeds.code(column.name)} | " in text


def test_every_letter_of_a_date_format_has_an_example() -> None:
    assert set(guide_feeds._EXAMPLES) >= set(formats._ROLES)


@pytest.mark.parametrize(
    "written",
    [
        "D/M/YYYY HH:mm",
        "DD.MM.YY H:mm:ss",
        "MMM D YYYY hh:mm a",
        "YYYY-MM-DDTHH:mm:ss.fffZ",
        "M/D/YYYY h:mm a",
        "D/M/YYYY HH'h'mm",
        *formats.NAMED,
    ],
)
def test_example_of_a_date_is_read_by_the_importer_as_that_instant(written: str) -> None:
    shown = guide_feeds.example(written).split("`")[1]
    found = read_moment(shown, (written,))
    assert found is not None
    assert found.local.date() == date(2026, 3, 14)


def test_markup_in_a_column_name_stays_text(home: Path) -> None:
    path = home / "config" / "customers" / "bakery.toml"
    path.write_text(
        path.read_text().replace('"Total"', '"<script>alert(1)</script>"').replace("No", "N|o`")
    )
    _, page = write(home)
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<code>N|o`</code>" in page


def test_every_verdict_of_a_receipt_is_explained(home: Path) -> None:
    text, _ = write(home)
    unfinished = {State.RECEIVING, State.WAITING, State.ARRIVED, State.IMPORTING}
    verdicts = {said for state, said in receipt_words.VERDICTS.items() if state not in unfinished}
    for said in (*verdicts, receipt_words.ACCEPTED_WITH_FAULTS):
        assert f"| `{said}` |" in text


def test_customer_without_feeds_is_told_so(home: Path) -> None:
    path = home / "config" / "customers" / "bakery.toml"
    path.write_text('zone = "Europe/Dublin"\ncurrency = "EUR"\n')
    assert "No kind of file has been agreed yet" in write(home)[0]


@pytest.mark.parametrize(
    ("ftp", "said"),
    [
        ("", None),
        ('[ftp]\nenabled = true\nport = 2100\ntls = "required"\n', "must be switched on"),
        ('[ftp]\nenabled = true\ntls = "optional"\n', "your password is readable on the way"),
        ('[ftp]\nenabled = true\ntls = "off"\n', "Nothing is encrypted"),
    ],
    ids=["no-door", "required", "optional", "off"],
)
def test_ftp_is_told_only_if_there_is_such_a_door(home: Path, ftp: str, said: str | None) -> None:
    main = home / "config" / "tilldrop.toml"
    text = main.read_text()
    main.write_text((text.partition("[ftp]")[0] if ftp else text) + ftp)
    text, _ = write(home)
    assert ("## FTP" in text) == (said is not None)
    assert said is None or said in text


def test_page_needs_nothing_from_elsewhere(home: Path) -> None:
    _, page = write(home)
    assert not re.search(r"(src|href)\s*=|@import|url\(", page)
