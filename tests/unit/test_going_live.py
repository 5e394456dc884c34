"""A customer's modes and locations, and how its file says that it goes live."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tilldrop import config
from tilldrop.config import load
from tilldrop.config_customers import Customer, Location
from tilldrop.errors import NoSuchCustomer
from tilldrop.home_files import customer_file, customer_live, make_home, write_customer
from tilldrop.importer import jobs

if TYPE_CHECKING:
    from pathlib import Path

FEED = """
[[feeds]]  # of the new tills
name = "{name}"
files = "{name}*.csv"{mode}
map.location_id = "Shop"
map.transaction_id = "No"
map.total = "Total"
map.sold_at = {{ date = "Date", format = "iso" }}
"""
HEAD = """\
# Quayside Bakery.
# Ask for Ada.

zone = "Europe/Dublin"
currency = "EUR"
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_home(tmp_path / "home", "127.0.0.1", "var")
    return tmp_path / "home"


def written(home: Path, text: str) -> Customer:
    """Write the customer and read it."""
    write_customer(home, "bakery", text)
    return load(home).customers["bakery"]


def feed(name: str, mode: str = "") -> str:
    return FEED.format(name=name, mode=f'\nmode = "{mode}"  # until May' if mode else "")


def test_a_customer_is_live_and_refuses_card_data_unless_it_says_otherwise(home: Path) -> None:
    customer = written(home, HEAD + feed("sales"))
    assert (customer.mode, customer.card_data, customer.sandboxed) == ("live", "refuse", ())


def test_settings_of_a_customer_and_its_locations_are_read(home: Path) -> None:
    customer = written(
        home,
        HEAD
        + 'mode = "sandbox"\nlive_locations = ["12"]\ncard_data = "mask"\n'
        + '[locations."12"]\nname = "Quayside"\nzone = "Europe/Lisbon"\ncurrency = "USD"\n'
        + 'aliases = ["Store 12", "Q"]\n[locations."14"]\n',
    )
    assert (customer.mode, customer.live_locations) == ("sandbox", ("12",))
    assert customer.card_data == "mask"
    twelve = Location("Quayside", "Europe/Lisbon", "USD", ("Store 12", "Q"))
    assert customer.locations == {"12": twelve, "14": Location()}


@pytest.mark.parametrize(
    ("mode", "of_feed", "sandboxed"),
    [
        ("live", "", ()),
        ("live", "sandbox", ("sales",)),
        ("sandbox", "", ("sales", "items")),
        ("sandbox", "live", ("sales", "items")),
    ],
)
def test_a_feed_is_in_sandbox_if_it_or_its_customer_is(
    home: Path, mode: str, of_feed: str, sandboxed: tuple[str, ...]
) -> None:
    text = f'{HEAD}mode = "{mode}"\n{feed("sales", of_feed)}{feed("items")}'
    assert written(home, text).sandboxed == sandboxed


def test_a_job_of_the_sandbox_knows_both_databases_and_what_is_live(home: Path) -> None:
    head = HEAD + 'live_locations = ["12"]\n'
    customer = written(home, head + feed("sales", "sandbox") + feed("items"))
    loaded = load(home)
    first, second = (jobs.draft(loaded, customer, one, "a.csv") for one in customer.feeds)
    assert first.sandbox_path == str(loaded.paths.sandbox)
    assert first.data_path == str(loaded.paths.data)
    assert first.live_locations == ("12",)
    assert (second.sandbox_path, second.live_locations) == ("", ())
    assert first.shares_transactions


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", 'mode = "sandbox"\n'),
        ('mode = "sandbox"\n', 'mode = "sandbox"\nlive_locations = ["12"]\n'),
        ("", '[locations."12"]\naliases = ["Store 12"]\n'),
        ("", '[locations."12"]\nzone = "Europe/Lisbon"\n'),
    ],
    ids=["mode", "live-location", "alias", "zone"],
)
def test_what_changes_rows_or_their_place_makes_the_same_bytes_another_import(
    home: Path, before: str, after: str
) -> None:
    def print_of(more: str) -> str:
        customer = written(home, HEAD + more + feed("sales"))
        return jobs.fingerprint(customer, customer.feeds[0])

    assert print_of(before) != print_of(after)
    assert print_of(after) == print_of(after)


def test_a_locations_name_is_for_people_and_changes_no_import(home: Path) -> None:
    prints = set()
    for name in ("Quayside", "The Quay"):
        customer = written(home, f'{HEAD}[locations."12"]\nname = "{name}"\n{feed("sales")}')
        prints.add(jobs.fingerprint(customer, customer.feeds[0]))
    assert len(prints) == 1


def test_going_live_changes_the_modes_and_nothing_else(home: Path) -> None:
    more = 'mode = "sandbox"  # since March\nlive_locations = ["12"]\n'
    text = HEAD + more + feed("sales", "sandbox") + feed("items")
    written(home, text)
    path = customer_file(home, "bakery")
    path.chmod(0o640)
    after = customer_live(home, "bakery")
    kept = text.replace('live_locations = ["12"]\n', "").replace('"sandbox"', '"live"')
    assert after == kept
    assert written(home, after).sandboxed == ()
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("there", "live"),
    [
        ("", ("14", 'the "old" one')),
        ('live_locations = ["12"]  # the pilot\n', ("12", "14", 'the "old" one')),
        ('live_locations = "12"\n', ("12", "14", 'the "old" one')),
        ("live_locations = []\n", ("14", 'the "old" one')),
    ],
    ids=["none", "list", "text", "empty"],
)
def test_a_location_goes_live_beside_those_that_are(
    home: Path, there: str, live: tuple[str, ...]
) -> None:
    written(home, HEAD + 'mode = "sandbox"\n' + there + feed("sales"))
    customer = written(home, customer_live(home, "bakery", ("14", 'the "old" one')))
    assert customer.live_locations == live
    assert customer.mode == "sandbox"
    text = customer_file(home, "bakery").read_text()
    for comment in ("# Ask for Ada.", "# of the new tills", *(["# the pilot"] * ("#" in there))):
        assert comment in text


def test_who_is_no_customer_cannot_go_live(home: Path) -> None:
    with pytest.raises(NoSuchCustomer):
        customer_live(home, "nobody")
    assert not (home / config.CUSTOMERS_FOLDER / "nobody.toml").exists()
