"""The command line: what verbs print, write and exit with. Beside a daemon: tests/journeys.

Longer than most, because all verbs share the home, the customer and the deliveries made here.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from tests.unit.spine import claim_next, spine
from tilldrop import cli, cli_output, config, control
from tilldrop.customers import Customers
from tilldrop.delivery import Cause, State
from tilldrop.errors import TilldropError
from tilldrop.home_files import add_customer, make_home

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE8+gMFTwXtgJgMVRxDsnYtURPVgnvSrLEYHYXXEdRQQ till"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJZVYPRWxWkvkdlgzPBl0R4l6Ci6ABUWpkUSG4HNfMGW office"
FINGERPRINT = "SHA256:"

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


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Tilldrop = Callable[..., Ended]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_home(tmp_path / "home", "127.0.0.1", "var")
    return tmp_path / "home"


@pytest.fixture
def tilldrop(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Tilldrop:
    """Run a command line on the home, in this process."""
    monkeypatch.delenv("TILLDROP_HOME", raising=False)

    def run(*words: object, stdin: str = "", at: Path = home) -> Ended:
        monkeypatch.setattr(sys, "argv", ["tilldrop", "--home", str(at), *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        code = ended.value.code
        return Ended(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run


@pytest.fixture
def acme(home: Path) -> Path:
    """Add a customer with a feed; return its file."""
    path = add_customer(home, "acme", "Europe/Paris", "EUR")
    path.write_text(path.read_text() + FEED)
    return path


def every_verb(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path]
    for name, command in group.commands.items():
        inner = (*path, name)
        found += every_verb(command, inner) if isinstance(command, click.Group) else [inner]
    return found


# -- as a whole ----------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", every_verb(cli.tilldrop), ids=" ".join)
def test_every_verb_has_help_and_needs_no_home_for_it(
    tilldrop: Tilldrop, tmp_path: Path, verb: tuple[str, ...]
) -> None:
    ended = tilldrop(*verb, "--help", at=tmp_path / "nowhere")
    assert ended.status == 0
    assert ended.out.startswith("Usage: tilldrop")


@pytest.mark.parametrize(
    "words",
    [
        ("nosuch",),
        ("check", "--nosuch"),
        ("show",),
        ("deliveries", "--state", "lost"),
        ("deliveries", "--since", "yesterday"),
        ("customer", "key", "acme"),
        ("customer", "key", "acme", "a.pub", "--list"),
        ("customer", "passwd", "acme"),
        ("customer", "passwd", "acme", "--password-stdin", "--generate-password"),
        ("customer", "add", "Acme", "--zone", "UTC", "--currency", "EUR"),
        ("customer", "add", "b", "--zone", "Paris", "--currency", "EUR"),
        ("customer", "add", "b", "--zone", "UTC", "--currency", "euro"),
        ("customer", "add", "acme", "--zone", "UTC", "--currency", "EUR"),
        ("replay",),
        ("replay", "an-id", "--customer", "acme"),
        ("replay", "an-id", "--feed", "sales"),
        ("replay", "--customer", "acme", "--feed", "nosuch"),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("acme")
def test_wrong_usage_exits_64(tilldrop: Tilldrop, words: tuple[str, ...]) -> None:
    ended = tilldrop(*words)
    assert ended.status == 64
    assert ended.out == ""
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("status",), 69, "no daemon answers"),
        (("reload",), 69, "no daemon answers"),
        (("customer", "passwd", "acmee", "--generate-password"), 67, 'did you mean "acme"?'),
        (("customer", "disable", "nosuch"), 67, "there is no customer"),
        (("files", "nosuch"), 67, "there is no customer"),
        (("try", "nosuch", __file__), 67, "there is no customer"),
        (("deliveries",), 73, "no ledger yet"),
        (("hold", "an-id"), 73, "no ledger yet"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("acme")
def test_refusal_is_one_line_and_its_exit_code(
    tilldrop: Tilldrop, words: tuple[str, ...], status: int, said: str
) -> None:
    ended = tilldrop(*words)
    assert ended.status == status
    assert ended.err.startswith("tilldrop: ")
    assert ended.err.count("\n") == 1
    assert said in ended.err


def test_folder_that_is_no_home_is_refused(tilldrop: Tilldrop, tmp_path: Path) -> None:
    ended = tilldrop("check", at=tmp_path)
    assert ended.status == 73
    assert "is no Tilldrop home" in ended.err


def test_all_mistakes_of_a_configuration_are_printed(tilldrop: Tilldrop, home: Path) -> None:
    (home / config.MAIN_FILE).write_text("[sftp]\nport = -1\nprot = 1\n")
    ended = tilldrop("check")
    assert ended.status == 78
    assert ended.err.splitlines()[0] == "tilldrop: 2 mistakes in the configuration"
    assert "config/tilldrop.toml:2: sftp.port: found -1;" in ended.err
    assert "config/tilldrop.toml:3: sftp.prot: unknown key" in ended.err


def test_file_that_the_system_refuses_is_named(tilldrop: Tilldrop, home: Path, acme: Path) -> None:
    acme.chmod(0o644)
    (home / "keys" / "customers").rmdir()
    (home / "keys" / "customers").write_text("a file where a folder should be")
    ended = tilldrop("customer", "passwd", "acme", "--generate-password")
    assert ended.status == 74
    assert str(home / "keys" / "customers") in ended.err


def test_bug_is_no_refusal_and_keeps_its_traceback(
    tilldrop: Tilldrop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "ask", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        tilldrop("status")


# -- homes and configuration ---------------------------------------------------------------------


def test_init_makes_a_home_that_checks(tilldrop: Tilldrop, tmp_path: Path) -> None:
    made = tilldrop("init", tmp_path / "new", "--listen", "::1", "--state", "/srv/till")
    assert made.status == 0
    assert "customer add" in made.out
    assert tilldrop("check", at=tmp_path / "new").out == "ok: 0 customers, 0 feeds\n"
    loaded = config.load(tmp_path / "new")
    assert (loaded.sftp.listen, loaded.paths.state) == ("::1", Path("/srv/till"))


def test_init_overwrites_nothing(tilldrop: Tilldrop, home: Path) -> None:
    before = (home / config.MAIN_FILE).read_text()
    assert tilldrop("init", home).status == 73
    assert (home / config.MAIN_FILE).read_text() == before


def test_check_warns_of_what_looks_forgotten(tilldrop: Tilldrop, home: Path) -> None:
    add_customer(home, "acme", "UTC", "EUR")
    (home / "keys" / "customers" / "acme.pub").write_text("ssh-dss AAAA old\n")
    add_customer(home, "bakery", "UTC", "EUR")
    (home / "keys" / "ssh_host_rsa_key").touch(mode=0o644)
    checked = tilldrop("check", "--json")
    assert checked.status == 0
    warnings = "\n".join(checked.json["warnings"])
    assert "acme.pub:1: " in warnings
    assert "bakery has neither password nor key" in warnings
    assert "acme has no feed" in warnings
    assert "ssh_host_rsa_key is open to others (mode 0644)" in warnings


@pytest.mark.usefixtures("acme")
def test_check_of_a_sound_home_warns_of_nothing(tilldrop: Tilldrop) -> None:
    tilldrop("customer", "passwd", "acme", "--generate-password")
    ended = tilldrop("check")
    assert (ended.out, ended.err) == ("ok: 1 customer, 1 feed\n", "")


# -- customers -----------------------------------------------------------------------------------


def test_added_customer_logs_in_with_the_password_shown(tilldrop: Tilldrop, home: Path) -> None:
    words = ("customer", "add", "acme", "--zone", "UTC", "--currency", "EUR")
    ended = tilldrop(*words, "--generate-password")
    assert ended.status == 0
    assert "no daemon is running" in ended.err
    password = ended.out.strip()
    loaded = config.load(home)
    assert Customers(loaded.paths.keys, lambda: loaded).check_password("acme", password)
    assert (home / "keys" / "customers" / "acme.password").stat().st_mode & 0o777 == 0o600


def test_password_from_stdin_is_taken_without_its_line_end(tilldrop: Tilldrop, home: Path) -> None:
    words = ("customer", "add", "acme", "--zone", "UTC", "--currency", "EUR")
    ended = tilldrop(*words, "--password-stdin", stdin="correct horse\n")
    assert ended.status == 0
    assert "correct horse" not in ended.out + ended.err
    loaded = config.load(home)
    assert Customers(loaded.paths.keys, lambda: loaded).check_password("acme", "correct horse")


def test_short_password_is_refused_before_anything_is_written(
    tilldrop: Tilldrop, home: Path
) -> None:
    words = ("customer", "add", "acme", "--zone", "UTC", "--currency", "EUR")
    assert tilldrop(*words, "--password-stdin", stdin="short\n").status == 64
    assert config.load(home).customers == {}


def test_unusable_key_is_refused_before_anything_is_written(
    tilldrop: Tilldrop, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.pub").write_text("not a key\n")
    words = ("customer", "add", "acme", "--zone", "UTC", "--currency", "EUR")
    ended = tilldrop(*words, "--key", tmp_path / "bad.pub")
    assert ended.status == 65
    assert "bad.pub:1: " in ended.err
    assert config.load(home).customers == {}


def test_customer_with_a_key_is_listed_with_it(
    tilldrop: Tilldrop, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "till.pub").write_text(f"{ED25519}\n")
    words = ("customer", "add", "acme", "--zone", "UTC", "--currency", "EUR")
    assert tilldrop(*words, "--key", tmp_path / "till.pub").status == 0
    assert tilldrop("customer", "list", "--json").json == [
        {
            "name": "acme",
            "disabled": False,
            "password": False,
            "keys": 1,
            "zone": "UTC",
            "currency": "EUR",
            "feeds": [],
            "sandbox": [],
        }
    ]
    listed = tilldrop("customer", "list").out.splitlines()
    assert [line.split()[0] for line in listed] == ["CUSTOMER", "acme"]
    assert (home / "keys" / "customers" / "acme.pub").read_text() == f"{ED25519}\n"


@pytest.mark.usefixtures("acme")
def test_keys_are_taken_once_listed_and_removed(
    tilldrop: Tilldrop, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "two.pub").write_text(f"{ED25519}\n{OTHER}\n")
    pub = home / "keys" / "customers" / "acme.pub"
    pub.write_text(f"# the till in the back\n{ED25519}")
    assert tilldrop("customer", "key", "acme", tmp_path / "two.pub").err == "1 key taken\n"
    assert tilldrop("customer", "key", "acme", tmp_path / "two.pub").err == "known already\n"
    keys = tilldrop("customer", "key", "acme", "--list", "--json").json
    assert [key["comment"] for key in keys] == ["till", "office"]
    removed = tilldrop("customer", "key", "acme", "--remove", keys[1]["fingerprint"])
    assert removed.status == 0
    assert pub.read_text() == f"# the till in the back\n{ED25519}\n"
    again = tilldrop("customer", "key", "acme", "--remove", keys[1]["fingerprint"])
    assert again.status == 64


RFC_4716 = """\
---- BEGIN SSH2 PUBLIC KEY ----
Comment: "till"
AAAAC3NzaC1lZDI1NTE5AAAAIE8+gMFTwXtgJgMVRxDsnYtURP
VgnvSrLEYHYXXEdRQQ
---- END SSH2 PUBLIC KEY ----
"""


@pytest.mark.usefixtures("acme")
def test_key_in_a_block_is_removed_with_its_block(tilldrop: Tilldrop, home: Path) -> None:
    pub = home / "keys" / "customers" / "acme.pub"
    pub.write_text(f"# one\n{RFC_4716}# two\n{OTHER}\n")
    keys = tilldrop("customer", "key", "acme", "--list", "--json").json
    assert len(keys) == 2
    tilldrop("customer", "key", "acme", "--remove", keys[0]["fingerprint"])
    assert pub.read_text() == f"# one\n# two\n{OTHER}\n"


def test_disabled_customer_is_enabled_again(tilldrop: Tilldrop, home: Path, acme: Path) -> None:
    before = acme.read_text()
    assert tilldrop("customer", "disable", "acme").err.startswith("acme is disabled\n")
    assert config.load(home).customers["acme"].disabled
    assert tilldrop("customer", "disable", "acme").err == "acme is disabled already\n"
    assert tilldrop("customer", "enable", "acme").status == 0
    assert not config.load(home).customers["acme"].disabled
    assert set(before.splitlines()) <= set(acme.read_text().splitlines())


def test_running_daemon_is_told_of_a_new_customer(
    tilldrop: Tilldrop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(control, "ask", lambda _, do, **__: asked.append(do))
    words = ("customer", "add", "acme", "--zone", "UTC", "--currency", "EUR")
    assert "the running daemon knows" in tilldrop(*words).err
    assert asked == ["reload"]


# -- deliveries ----------------------------------------------------------------------------------

NASTY = "sales \x1b[31m\u202ered.csv"


@pytest.fixture
def sent(home: Path, acme: Path) -> list[str]:
    """Put two imported deliveries and one that waits into ledger and spool; return the ids."""
    assert acme.exists()
    ids = []
    with spine(home) as built:
        for name, content in (("sales-1.csv", b"one"), (NASTY, b"two"), ("sales-3.csv", b"three")):
            delivery = built.ledger.begin("acme", name, "sftp").result()
            (built.spool.receiving / delivery.id).write_bytes(content)
            built.ledger.move(
                delivery.id, State.RECEIVING, State.ARRIVED, Cause.CLOSE, size_bytes=len(content)
            ).result()
            built.spool.accept(delivery.id)
            ids.append(delivery.id)
        for delivery_id in ids[:2]:
            finish(built, delivery_id)
    return ids


def finish(built: Any, delivery_id: str) -> None:
    claimed = claim_next(built.ledger, Cause.WATCHDOG, lambda _: True)
    assert claimed is not None
    assert claimed.id == delivery_id
    built.ledger.move(
        delivery_id, State.IMPORTING, State.IMPORTED, Cause.REPORT, feed="sales"
    ).result()
    built.spool.keep(delivery_id)


def test_deliveries_are_listed_newest_first(tilldrop: Tilldrop, sent: list[str]) -> None:
    assert [one["id"] for one in tilldrop("deliveries", "--json").json] == sent[::-1]
    lines = tilldrop("deliveries").out.splitlines()
    assert [line.split()[0] for line in lines] == ["DELIVERY", *sent[::-1]]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--state", "imported"), [1, 0]),
        (("--name", "sales-3.csv"), [2]),
        (("--limit", "1"), [2]),
        (("--customer", "acme"), [2, 1, 0]),
        (("--since", "2999-01-01"), []),
        (("--since", "2020-01-01T12:00"), [2, 1, 0]),
    ],
    ids=str,
)
def test_deliveries_are_narrowed(
    tilldrop: Tilldrop, sent: list[str], options: tuple[str, ...], found: list[int]
) -> None:
    listed = tilldrop("deliveries", "--json", *options).json
    assert [one["id"] for one in listed] == [sent[number] for number in found]


@pytest.mark.usefixtures("sent")
def test_name_that_a_customer_chose_cannot_play_with_the_terminal(tilldrop: Tilldrop) -> None:
    for words in (("deliveries",), ("files", "acme")):
        printed = tilldrop(*words).out
        assert "\x1b" not in printed
        assert "\u202e" not in printed
        assert r"sales \x1b[31m\u202ered.csv" in printed


def test_show_tells_states_and_receipt(tilldrop: Tilldrop, sent: list[str]) -> None:
    printed = tilldrop("show", sent[0]).out
    assert "arrived" in printed
    assert "ACCEPTED" in printed
    shown = tilldrop("show", sent[0], "--json").json
    assert shown["delivery"]["name"] == "sales-1.csv"
    assert [move["after"] for move in shown["moves"]] == [
        "receiving",
        "arrived",
        "importing",
        "imported",
    ]


@pytest.mark.usefixtures("sent")
def test_unknown_delivery_exits_66(tilldrop: Tilldrop) -> None:
    assert tilldrop("show", "nosuch").status == 66
    assert tilldrop("fetch", "nosuch").status == 66


def test_report_of_a_run_that_was_not_exits_66(tilldrop: Tilldrop, sent: list[str]) -> None:
    assert tilldrop("show", sent[0], "--run", "7").status == 66


@pytest.mark.usefixtures("sent")
def test_files_are_listed_by_name(tilldrop: Tilldrop) -> None:
    names = [one["name"] for one in tilldrop("files", "acme", "--json").json]
    assert names == [NASTY, "sales-1.csv", "sales-3.csv"]


def test_fetch_writes_the_bytes_to_a_new_file(
    tilldrop: Tilldrop, sent: list[str], tmp_path: Path
) -> None:
    target = tmp_path / "fetched"
    assert tilldrop("fetch", sent[2], "-o", target).status == 0
    assert target.read_bytes() == b"three"
    assert tilldrop("fetch", sent[1], "-o", target).status == 74
    assert target.read_bytes() == b"three"


def test_fetch_of_bytes_that_are_gone_is_refused(
    tilldrop: Tilldrop, sent: list[str], home: Path
) -> None:
    (home / "var" / "spool" / "kept" / sent[0]).unlink()
    ended = tilldrop("fetch", sent[0])
    assert ended.status == 1
    assert "are gone" in ended.err


def state_of(tilldrop: Tilldrop, delivery_id: str) -> str:
    return str(tilldrop("show", delivery_id, "--json").json["delivery"]["state"])


def test_replay_works_without_a_daemon(tilldrop: Tilldrop, sent: list[str]) -> None:
    ended = tilldrop("replay", sent[1], sent[0])
    assert ended.status == 0
    assert ended.out.splitlines() == sent[:2]
    assert ended.err == "2 deliveries to be imported again\n"
    assert [state_of(tilldrop, one) for one in sent] == ["arrived"] * 3


def test_replay_of_a_customer_takes_what_ended(tilldrop: Tilldrop, sent: list[str]) -> None:
    ended = tilldrop("replay", "--customer", "acme", "--feed", "sales", "--yes", "--json")
    assert ended.json == {"deliveries": sent[:2], "gone": []}


def test_replay_of_what_has_not_ended_changes_nothing(tilldrop: Tilldrop, sent: list[str]) -> None:
    ended = tilldrop("replay", sent[0], sent[2])
    assert ended.status == 65
    assert state_of(tilldrop, sent[0]) == "imported"


def test_held_delivery_is_released(tilldrop: Tilldrop, sent: list[str]) -> None:
    assert tilldrop("hold", sent[2]).status == 0
    assert state_of(tilldrop, sent[2]) == "held"
    assert tilldrop("hold", sent[2]).status == 65
    assert tilldrop("release", sent[2]).status == 0
    assert state_of(tilldrop, sent[2]) == "arrived"
    assert tilldrop("release", sent[2]).status == 65


# -- try -----------------------------------------------------------------------------------------

GOOD = "Shop,No,Date,Total\n1,a,2026-03-14,10.50\n1,b,2026-03-15,-2\n2,a,2026-03-15,0.1\n"


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    path = tmp_path / "sales-1.csv"
    path.write_text(GOOD)
    return path


@pytest.mark.usefixtures("acme")
def test_try_tells_what_would_be_booked_and_touches_nothing(
    tilldrop: Tilldrop, home: Path, sales: Path
) -> None:
    ended = tilldrop("try", "acme", sales, "--json", "--rows", "2")
    assert ended.status == 0
    assert ended.json["report"]["outcome"] == "imported"
    assert ended.json["report"]["counts"]["transactions"] == 3
    assert [row["total_minor"] for row in ended.json["booked"]] == [1050, -200]
    assert not (home / "var").exists()


@pytest.mark.usefixtures("acme")
def test_try_prints_receipt_and_rows(tilldrop: Tilldrop, sales: Path) -> None:
    printed = tilldrop("try", "acme", sales).out
    assert "ACCEPTED" in printed
    assert "10.50" in printed
    assert "0.10" in printed


@pytest.mark.usefixtures("acme")
def test_try_tells_every_fault_and_exits_65(tilldrop: Tilldrop, tmp_path: Path) -> None:
    path = tmp_path / "sales-2.csv"
    path.write_text("Shop,No,Date,Total\n" + "1,a,2026-02-31,x\n" * 150)
    ended = tilldrop("try", "acme", path)
    assert ended.status == 65
    assert "line 151" in ended.out
    refused = tilldrop("try", "acme", path, "--json").json["refused"]
    assert [row["line"] for row in refused] == list(range(2, 152))


@pytest.mark.usefixtures("acme")
def test_try_takes_a_name_or_a_feed(tilldrop: Tilldrop, sales: Path, tmp_path: Path) -> None:
    other = sales.rename(tmp_path / "export.csv")
    assert tilldrop("try", "acme", other).status == 65
    assert tilldrop("try", "acme", other, "--name", "sales.csv").status == 0
    assert tilldrop("try", "acme", other, "--feed", "sales").status == 0
    assert tilldrop("try", "acme", other, "--feed", "sale").status == 64


# -- as a process --------------------------------------------------------------------------------


@pytest.mark.usefixtures("acme")
def test_key_comes_by_a_pipe(home: Path) -> None:
    words = ("--home", str(home), "customer", "key", "acme", "-")
    source = "from tilldrop.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", source, *words],
        input=ED25519,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "1 key taken\n")


# -- output --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "written"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 * 1024**3, "5.0 GiB")],
)
def test_size_is_short(count: int, written: str) -> None:
    assert cli_output.size(count) == written


def test_table_is_aligned_with_numbers_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    cli_output.write_table(("NAME", "COUNT"), [("a", 5), ("長い", 10)], "none")
    assert capsys.readouterr().out == "NAME  COUNT\na         5\n長い     10\n"


def test_empty_table_says_so_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    cli_output.write_table(("NAME",), [], "none here")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "none here\n")


def test_every_exit_code_of_an_error_is_one_of_sysexits() -> None:
    assert {error.exit_code for error in TilldropError.__subclasses__()} <= {1, *range(64, 79)}
