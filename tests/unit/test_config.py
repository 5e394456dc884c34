"""Configuration: homes found, files read, all mistakes said. tests/bad-configs has the mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tilldrop import config
from tilldrop.config import ImporterSettings, Limits, LogSettings, SftpDoor
from tilldrop.errors import ConfigInvalid, HomeUnusable
from tilldrop.home_files import (
    add_customer,
    customer_template,
    main_template,
    make_home,
    set_disabled,
)
from tilldrop.toml_table import line_of

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_home_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TILLDROP_HOME", raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_home(tmp_path / "home", "127.0.0.1", "var")
    return tmp_path / "home"


def test_new_home_has_every_default(home: Path) -> None:
    loaded = config.load(home)
    assert loaded.sftp == SftpDoor(listen="127.0.0.1")
    assert (loaded.limits, loaded.importer, loaded.log) == (
        Limits(),
        ImporterSettings(),
        LogSettings(),
    )
    assert loaded.customers == {}


def test_keys_that_a_new_home_comments_out_show_their_defaults(home: Path) -> None:
    text = main_template("127.0.0.1", "var").replace("\n# Customers", "\n#  Customers")
    shown = [
        line.removeprefix("# ") if line.startswith("# ") and " = " in line else line
        for line in text.splitlines()
    ]
    defaults = config.load(home)
    (home / config.MAIN_FILE).write_text("\n".join(shown))
    assert config.load(home) == defaults


def test_checkout_is_a_home_that_listens_on_this_machine_only() -> None:
    written = (CHECKOUT / config.MAIN_FILE).read_text()
    assert written == main_template("127.0.0.1", "var")


def test_relative_state_is_below_the_home(home: Path) -> None:
    assert config.load(home).paths.state == home / "var"


def test_absolute_state_is_taken_as_it_is(tmp_path: Path) -> None:
    make_home(tmp_path / "home", "::", "/var/lib/tilldrop")
    assert config.load(tmp_path / "home").paths.state == Path("/var/lib/tilldrop")


def test_every_setting_is_read(home: Path) -> None:
    (home / config.MAIN_FILE).write_text(
        '[sftp]\nenabled = false\nlisten = "::1"\nport = 0\n[limits]\nempty_grace_s = 3\n'
        '[importer]\npolling = true\nretry_after_s = 0.5\n[log]\nform = "json"\nlevel = "debug"\n'
    )
    loaded = config.load(home)
    assert loaded.sftp == SftpDoor(enabled=False, listen="::1", port=0)
    assert loaded.limits == Limits(empty_grace_s=3.0)
    assert loaded.importer == ImporterSettings(polling=True, retry_after_s=0.5)
    assert loaded.log == LogSettings("json", "debug")


def test_customer_template_is_a_customer_without_feeds(home: Path) -> None:
    add_customer(home, "acme", "Europe/Paris", "EUR")
    customer = config.load(home).customers["acme"]
    assert (customer.zone, customer.currency, customer.feeds) == ("Europe/Paris", "EUR", ())
    assert not customer.disabled
    assert customer.finishing_rename


def test_feed_in_the_customer_template_works_once_its_marks_are_gone(home: Path) -> None:
    path = add_customer(home, "acme", "Europe/Paris", "EUR")
    before, marked, after = customer_template("acme", "Europe/Paris", "EUR").partition(
        "# [[feeds]]"
    )
    feed = "\n".join(line.removeprefix("# ").removeprefix("#") for line in after.splitlines())
    path.write_text(f"{before}[[feeds]]{feed}\n")
    assert marked
    assert [feed.name for feed in config.load(home).customers["acme"].feeds] == ["sales"]


@pytest.mark.parametrize("name", [".acme.toml.swp", ".#acme.toml", "acme.toml~", "README.md"])
def test_files_that_editors_and_people_leave_are_no_customers(home: Path, name: str) -> None:
    (home / config.CUSTOMERS_FOLDER / name).write_text("not = = toml")
    assert config.load(home).customers == {}


def test_file_of_a_windows_editor_is_read(home: Path) -> None:
    path = home / config.CUSTOMERS_FOLDER / "acme.toml"
    path.write_bytes(b'\xef\xbb\xbfzone = "UTC"\r\ncurrency = "EUR"\r\n')
    assert config.load(home).customers["acme"].zone == "UTC"


def test_home_without_customers_folder_has_no_customers(home: Path) -> None:
    (home / config.CUSTOMERS_FOLDER).rmdir()
    assert config.load(home).customers == {}


def test_home_option_wins(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_home(tmp_path / "other", "::", "var")
    monkeypatch.setenv("TILLDROP_HOME", str(tmp_path / "other"))
    assert config.find_home(home) == home
    assert config.find_home(None) == tmp_path / "other"


def test_working_folder_is_a_home_if_it_has_a_configuration(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    assert config.find_home(None) == home


def test_home_that_is_none_is_refused_even_if_the_working_folder_is_one(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    with pytest.raises(HomeUnusable, match=r"has no config/tilldrop\.toml"):
        config.find_home(tmp_path)


def test_without_any_home_all_places_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config, "SYSTEM_HOME", tmp_path / "etc")
    with pytest.raises(HomeUnusable, match="tilldrop init"):
        config.find_home(None)


def test_home_is_never_overwritten(home: Path) -> None:
    with pytest.raises(HomeUnusable, match="a home already"):
        make_home(home, "::", "elsewhere")


@pytest.mark.parametrize(
    "before",
    [
        '# a comment\n\nzone = "UTC"  # why\ncurrency = "EUR"\n\n[[feeds]]\n# note\nname = "a"\n',
        'zone = "UTC"\r\ncurrency = "EUR"\r\n',
        "# only a comment",
    ],
)
def test_disabling_and_enabling_leaves_the_rest_of_the_file_alone(home: Path, before: str) -> None:
    path = home / config.CUSTOMERS_FOLDER / "acme.toml"
    path.write_bytes(before.encode())
    assert set_disabled(home, "acme", disabled=True)
    assert not set_disabled(home, "acme", disabled=True)
    disabled = path.read_bytes().decode()
    kept = disabled.splitlines()
    kept.remove("disabled = true")
    assert kept == before.splitlines()
    assert set_disabled(home, "acme", disabled=False)
    assert path.read_bytes().decode() == disabled.replace("disabled = true", "disabled = false")
    assert not set_disabled(home, "acme", disabled=False)


def test_disabled_customer_is_read_as_disabled(home: Path) -> None:
    add_customer(home, "acme", "Europe/Paris", "EUR")
    set_disabled(home, "acme", disabled=True)
    assert config.load(home).customers["acme"].disabled


TOML = '''\
zone = "UTC"
notes = """
[[feeds]]
name = "no feed"
"""
[[feeds]]
name = "a"
[feeds.read]
delimiter = ","
[[feeds]]   # the second
"name" = "b"
[feeds.map]
sold_at = { date = "D" }
total.expr = "A"
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("zone", 1),
        ("notes", 2),
        ("feeds.1", 6),
        ("feeds.1.name", 7),
        ("feeds.1.read", 8),
        ("feeds.1.read.delimiter", 9),
        ("feeds.2", 10),
        ("feeds.2.name", 11),
        ("feeds.2.map.sold_at.date", 13),
        ("feeds.2.map.total.expr", 14),
        ("feeds.2.map.tax", 12),
        ("currency", 0),
    ],
)
def test_key_is_found_at_its_line(path: str, line: int) -> None:
    assert line_of(TOML, path) == line


def test_line_ends_where_toml_says_so() -> None:
    assert line_of('# a\u0085b\u2028c\x0bd\r\nzone = "x"\n', "zone") == 2


def test_unreadable_customers_folder_is_a_mistake_and_no_crash(home: Path) -> None:
    (home / config.CUSTOMERS_FOLDER).rmdir()
    (home / config.CUSTOMERS_FOLDER).write_text("a file")
    with pytest.raises(ConfigInvalid, match="config/customers: cannot be read: Not a directory"):
        config.load(home)


def test_customer_file_that_is_not_utf_8_is_a_mistake(home: Path) -> None:
    (home / config.CUSTOMERS_FOLDER / "acme.toml").write_bytes(b'zone = "UTC"\nnotes = "\xe9"\n')
    with pytest.raises(ConfigInvalid, match=r"acme\.toml: not UTF-8: .* at byte 22"):
        config.load(home)
