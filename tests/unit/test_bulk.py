"""`tilldrop customer import`: all customers of a list, or none and every mistake."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest
from click.testing import CliRunner

from tilldrop import cli, config
from tilldrop.customers import Customers
from tilldrop.errors import HomeUnusable, ListInvalid, NoSuchCustomer
from tilldrop.home_files import add_customer, make_home

if TYPE_CHECKING:
    from pathlib import Path

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE8+gMFTwXtgJgMVRxDsnYtURPVgnvSrLEYHYXXEdRQQ till"
OTHER_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJZVYPRWxWkvkdlgzPBl0R4l6Ci6ABUWpkUSG4HNfMGW office"
)
HASH = bcrypt.hashpw(b"ahoy-there", bcrypt.gensalt(4)).decode()
FEED = """
[[feeds]]
name = "sales"
files = "sales*.csv"
[feeds.map]
location_id = "Shop"
transaction_id = "No"
total = "Total"
sold_at = { date = "Date", format = "YYYY-MM-DD" }
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the customer `bakery`, which has a feed."""
    home = tmp_path / "home"
    make_home(home, "127.0.0.1", "var")
    path = add_customer(home, "bakery", "Europe/Dublin", "EUR")
    path.write_text(path.read_text() + FEED)
    return home


def write(home: Path, *lines: str) -> Path:
    path = home / "list.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(home: Path, *words: object) -> tuple[str, str]:
    """Run the verb; return what it wrote to stdout and stderr."""
    ended = CliRunner().invoke(
        cli.tilldrop,
        ["--home", str(home), "customer", "import", *map(str, words)],
        catch_exceptions=False,
    )
    assert ended.exit_code == 0, ended.output
    return ended.stdout, ended.stderr


def refused(home: Path, *words: object) -> list[str]:
    """Run the verb, which must write nothing; return its mistakes."""
    before = files(home)
    with pytest.raises(ListInvalid) as error:
        run(home, *words)
    assert files(home) == before
    return str(error.value).splitlines()[1:]


def files(home: Path) -> dict[str, bytes]:
    found = (*home.glob("config/**/*"), *home.glob("keys/**/*"))
    return {str(path): path.read_bytes() for path in found if path.is_file()}


def test_hundreds_of_customers_log_in_as_they_did_elsewhere(home: Path) -> None:
    lines = [f"bakery-{n:03},Europe/Dublin,EUR,{HASH},bakery" for n in range(300)]
    run(home, write(home, "name,zone,currency,password_hash,like", *lines))
    loaded = config.load(home)
    assert len(loaded.customers) == 301
    assert loaded.customers["bakery-299"].feeds == loaded.customers["bakery"].feeds
    customers = Customers(loaded.paths.keys, lambda: loaded)
    assert customers.check_password("bakery-123", "ahoy-there") is not None
    assert customers.check_password("bakery-123", "ahoy-where") is None


def test_key_in_the_list_and_key_in_a_file_beside_it_are_both_taken(home: Path) -> None:
    (home / "office.pub").write_text(OTHER_KEY + "\n")
    run(home, write(home, "name;key;key_file", f"cafe;{KEY};office.pub"), "--like", "bakery")
    loaded = config.load(home)
    comments = [key.comment for key in Customers(loaded.paths.keys, lambda: loaded).keys("cafe")]
    assert comments == ["till", "office"]


def test_zone_and_currency_are_those_of_like_unless_said(home: Path) -> None:
    run(home, write(home, "name,zone,like", "a,Asia/Tokyo,bakery", "b,,bakery"))
    loaded = config.load(home).customers
    assert (loaded["a"].zone, loaded["a"].currency) == ("Asia/Tokyo", "EUR")
    assert (loaded["b"].zone, loaded["b"].currency) == ("Europe/Dublin", "EUR")
    text = (home / "config" / "customers" / "b.toml").read_text()
    assert "bakery" not in text
    assert "# b: a customer" in text


def test_every_mistake_is_told_with_its_line_and_nothing_is_written(home: Path) -> None:
    mistakes = refused(
        home,
        write(
            home,
            "name,zone,currency,key,key_file,password_hash,like",
            f"good,Europe/Dublin,EUR,{KEY},,{HASH},bakery",
            "Bad Name,Europe/Dublin,EUR,,,,",
            "a,Europe/Dublln,EUR,,,,",
            "b,Europe/Dublin,EURO,,,,",
            "c,Europe/Dublin,EUR,ssh-ed25519 AAAA,,,",
            "d,Europe/Dublin,EUR,,nowhere.pub,,",
            "e,Europe/Dublin,EUR,,,my-secret-password,",
            "f,Europe/Dublin,EUR,,,,bakry",
            "good,Europe/Dublin,EUR,,,,",
            "bakery,,,,,,",
            "g,,,,,,",
            "h,Europe/Dublin,EUR,,,,bakery,more",
        ),
    )
    lines = [mistake.split(":")[0] for mistake in mistakes]
    assert lines == [
        "line 13",
        *(f"line {n}" for n in range(3, 12)),
        "line 12",
        "line 12",
    ]
    said = "\n".join(mistakes)
    assert 'did you mean "Europe/Dublin"?' in said
    assert "'bakry'; did you mean \"bakery\"?" in said
    assert "good stands in line 2 already" in said
    assert "bakery exists already; --update changes it" in said
    assert "nowhere.pub" in said
    assert "my-secret-password" not in said


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param([], "no column is called name", id="empty"),
        pytest.param(["name"], "there is no customer in it", id="header-only"),
        pytest.param(["zone,currency", "UTC,EUR"], "no column is called name", id="no-name"),
        pytest.param(["name,zones", "a,UTC"], 'did you mean "zone"?', id="unknown-column"),
        pytest.param(["name,name", "a,a"], "stands twice", id="column-twice"),
        pytest.param(["name,zone", '"a,UTC'], "line 2", id="quote-unclosed"),
    ],
)
def test_list_that_is_no_list_is_refused(home: Path, lines: list[str], said: str) -> None:
    assert said in "\n".join(refused(home, write(home, *lines)))


def test_list_of_a_spreadsheet_is_taken_and_one_in_another_encoding_is_not(home: Path) -> None:
    path = home / "list.csv"
    path.write_bytes("\ufeffName;Zone;Currency\r\na;Europe/Dublin;EUR\r\n".encode())
    run(home, path)
    assert "a" in config.load(home).customers
    path.write_bytes("name;zone\nb\u00fc;x\n".encode("cp1252"))
    with pytest.raises(ListInvalid, match="save it as UTF-8"):
        run(home, path)


def test_dry_run_shows_everything_and_writes_nothing(home: Path) -> None:
    path = write(home, "name,password_hash,like", f"a,{HASH},bakery")
    before = files(home)
    out, err = run(home, path, "--dry-run")
    assert files(home) == before
    assert "would be added" in err
    assert out.splitlines()[1].split() == [
        "a",
        "added",
        "Europe/Dublin",
        "EUR",
        "0",
        "bcrypt",
        "bakery",
    ]
    assert HASH not in out + err


def test_json_tells_the_same_without_secrets(home: Path) -> None:
    path = write(home, "name,password_hash,like", f"a,{HASH},bakery")
    told: list[dict[str, Any]] = json.loads(run(home, path, "--json")[0])
    assert told == [
        {
            "name": "a",
            "done": "added",
            "zone": "Europe/Dublin",
            "currency": "EUR",
            "keys": 0,
            "password": "bcrypt",
            "like": "bakery",
        }
    ]


def test_update_sets_what_the_list_says_and_leaves_feeds_and_comments(home: Path) -> None:
    path = home / "config" / "customers" / "bakery.toml"
    path.write_text("# a note of ours\n" + path.read_text())
    feeds = config.load(home).customers["bakery"].feeds
    for _ in range(2):
        run(home, write(home, "name,zone,key", f"bakery,Europe/Paris,{KEY}"), "--update")
    loaded = config.load(home)
    assert loaded.customers["bakery"].zone == "Europe/Paris"
    assert loaded.customers["bakery"].feeds == feeds
    assert path.read_text().startswith("# a note of ours\n")
    assert len(Customers(loaded.paths.keys, lambda: loaded).keys("bakery")) == 1


def test_disabled_and_notes_of_the_model_are_not_copied(home: Path) -> None:
    path = home / "config" / "customers" / "bakery.toml"
    path.write_text('disabled = true\nnotes = "pays late"\n' + path.read_text())
    run(home, write(home, "name", "a"), "--like", "bakery")
    made = (home / "config" / "customers" / "a.toml").read_text()
    assert not config.load(home).customers["a"].disabled
    assert "pays late" not in made


def test_unknown_like_is_refused_before_the_list_is_read(home: Path) -> None:
    with pytest.raises(NoSuchCustomer, match="bakery"):
        run(home, "nowhere.csv", "--like", "bakry")


def test_a_write_that_fails_says_how_far_it_came_and_update_goes_on(home: Path) -> None:
    path = write(home, "name,like,password_hash", f"a,bakery,{HASH}", f"b,bakery,{HASH}")
    obstacle = home / "keys" / "customers" / "b.password"
    obstacle.mkdir()  # a file of that name cannot be written
    (obstacle / "x").touch()
    with pytest.raises(HomeUnusable, match=r"1 of 2 customers are written.*--update"):
        run(home, path)
    (obstacle / "x").unlink()
    obstacle.rmdir()
    run(home, path, "--update")
    assert set(config.load(home).customers) == {"a", "b", "bakery"}


def test_customers_who_cannot_log_in_or_have_no_feed_are_told(home: Path) -> None:
    _, err = run(home, write(home, "name,zone,currency", "a,UTC,EUR"))
    assert "1 new customer with neither password nor key" in err
    assert "1 new customer without feeds" in err
