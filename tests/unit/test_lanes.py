"""The two lanes leave the same rows, faults and figures, whatever the file.

Longer than most, because both lanes read the same tables made here.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tilldrop.importer import careful, fast
from tilldrop.importer.plan import mapping_faults
from tilldrop.importer.reading import prepare
from tilldrop.importer.stage import Clean, Context, Staged
from tilldrop.mapping import Feed, Reading, Rows, Section
from tilldrop.month_names import MONTHS
from tilldrop.rows import Fault
from tilldrop.sources import (
    Computed,
    Constant,
    FromColumn,
    FromFileName,
    Joined,
    Source,
    Take,
    When,
    compute,
)

if TYPE_CHECKING:
    from decimal import Decimal
    from pathlib import Path

    from tilldrop.importer.few import FewTables

MAX_RECORD_BYTES = 4000
HEADER = ("Store", "No", "Day", "Clock", "Net", "Tax", "Qty", "Note")

Table = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Lab:
    con: duckdb.DuckDBPyConnection
    folder: Path


@dataclass(frozen=True)
class Seen:
    staged: Staged
    rows: Table
    refused: Table
    children: dict[str, Table]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    con = duckdb.connect(config={"threads": 2})
    con.execute("SET TimeZone = 'UTC'")
    return Lab(con, tmp_path_factory.mktemp("lab"))


def look(lab: Lab, staged: Staged) -> Seen:
    return Seen(
        staged,
        lab.con.execute("SELECT * FROM staged ORDER BY line").fetchall(),
        lab.con.execute("SELECT * FROM refused ORDER BY line").fetchall(),
        {
            table: sorted(lab.con.execute(f"SELECT * FROM staged_{table}").fetchall(), key=repr)
            for table in staged.children
        },
    )


def look_at_few(staged: Staged) -> Seen:
    """The same of a file whose rows stayed in Python."""
    tables = cast("FewTables", staged.tables).tables
    return Seen(
        staged,
        sorted(tables["staged"].rows),
        sorted(tables["refused"].rows),
        {table: sorted(tables[f"staged_{table}"].rows, key=repr) for table in staged.children},
    )


def read(lab: Lab, raw: bytes, feed: Feed, zone: str) -> tuple[Clean, Context] | Fault:
    path = lab.folder / "delivery"
    path.write_bytes(raw)
    clean, _, _ = prepare(path, feed.reading, lab.folder, MAX_RECORD_BYTES)
    if isinstance(clean, Fault):
        return clean
    at = Context(zone, "EUR", "in/shop-7.csv", lab.folder, MAX_RECORD_BYTES)
    return mapping_faults(clean, feed, at) or (clean, at)


def both(lab: Lab, raw: bytes, feed: Feed, zone: str) -> tuple[Seen | None, Seen | Fault] | Fault:
    """What each lane makes of a file; None where the fast lane steps aside."""
    ready = read(lab, raw, feed, zone)
    if isinstance(ready, Fault):
        return ready
    clean, at = ready
    quick = fast.stage(lab.con, clean, feed, at)
    quick_seen = look(lab, quick) if quick else None
    exact = careful.stage(lab.con, clean, feed, at)
    exact_seen = exact if isinstance(exact, Fault) else look(lab, exact)
    if isinstance(exact_seen, Seen):
        assert exact_seen.staged.read == clean.records
    few = careful.stage(None, clean, feed, at)
    assert (few if isinstance(few, Fault) else look_at_few(few)) == exact_seen
    return quick_seen, exact_seen


def assert_equal(quick: Seen, exact: Seen | Fault) -> None:
    assert isinstance(exact, Seen)
    assert quick.rows == exact.rows
    assert quick.refused == exact.refused
    assert quick.children == exact.children
    # A faulty record's date was read as well, but only one lane knows in which format.
    assert set(quick.staged.formats) <= set(exact.staged.formats)
    formats = exact.staged.formats
    assert replace(quick.staged, lane="careful", formats=formats) == exact.staged


def assert_consistent(seen: Seen) -> None:
    staged = seen.staged
    assert staged.transactions == len(seen.rows)
    assert staged.refused == len(seen.refused)
    keys = {row[1:3] for row in seen.rows}
    assert len(keys) == len(seen.rows)
    names = ["line", *(column.name for column in staged.columns)]
    totals = [row[names.index("total_minor")] for row in seen.rows]
    assert staged.total_minor == sum(totals)
    assert staged.refund_minor == sum(total for total in totals if total < 0)


# Feeds

TAKES: tuple[Take, ...] = ("sum", "first")
SHAPES: tuple[Rows, ...] = ("per-transaction", "per-line", "per-payment")
DATES = ("DD.MM.YYYY", "D/M/YYYY", "M/D/YY", "YYYY-MM-DD", "D MMM YYYY")
TIMES = ("HH:mm", "H:mm:ss", "h:mm a", "HH:mm:ss.fff", "HH:mm Z", "H'h'mm")
WHOLE = (
    *("iso", "compact", "DD/MM/YYYY HH:mm", "YYYYMMDD", "D-MMM-YY h:mm:ss a", "YYYY.MM.DD HHmmZ"),
    *("D 'de' MMM 'de' YYYY", "'am' DD.MM.YYYY 'um' HH:mm 'Uhr 100%'"),
)


SECTIONS = (
    Section(
        "line_items",
        {
            "sku": FromColumn("Note"),
            "quantity": FromColumn("Qty"),
            "amount": compute("Qty * Net", "first"),
            "unit_price": FromColumn("Net"),
        },
    ),
    Section("line_items", {"description": Joined(("No", "Note"), " "), "tax": FromColumn("Tax")}),
    Section("line_items", {"note": Constant("it's"), "quantity": FromColumn("Qty")}, once=True),
    Section("tenders", {"method": FromColumn("Note"), "amount": FromColumn("Net")}),
    Section(
        "tenders",
        {"method": Constant("cash"), "amount": FromColumn("Qty"), "tip": FromColumn("Tax")},
        once=True,
    ),
    Section(
        "taxes",
        {"rate": Constant("5.5"), "amount": FromColumn("Tax"), "taxable": FromColumn("Net")},
    ),
    Section("taxes", {"name": FromColumn("Store"), "rate": FromColumn("Tax")}, once=True),
)


@st.composite
def sold_ats(draw: st.DrawFn) -> When:
    zone = draw(st.sampled_from(["", "America/New_York", "Australia/Lord_Howe"]))
    if draw(st.booleans()):
        dates = draw(st.lists(st.sampled_from(WHOLE), min_size=1, max_size=3, unique=True))
        return When("Day", (), tuple(dates), zone)
    dates = draw(st.lists(st.sampled_from(DATES), min_size=1, max_size=2, unique=True))
    time = draw(st.sampled_from(TIMES))
    return When("Day", ("Clock",), tuple(f"{date} {time}" for date in dates), zone)


@st.composite
def feeds(draw: st.DrawFn, quotes: tuple[str, ...]) -> Feed:
    decimal, thousands = draw(
        st.sampled_from([(".", ""), (",", ""), (".", ","), (",", "."), (",", " "), (".", "'")])
    )
    reading = Reading(
        encoding=draw(st.sampled_from(["utf-8", "utf-16", "cp1252"])),
        delimiter=draw(st.sampled_from([",", ";", "\t", "|", " "])),
        quote=draw(st.sampled_from(quotes)),
        header_line=draw(st.sampled_from([1, 1, 1, 3, 0])),
        decimal=decimal,
        thousands=thousands,
    )
    take: Take = draw(st.sampled_from(TAKES))
    locations: list[Source] = [FromColumn("Store"), Constant("it's"), FromFileName(r"shop-(\d+)")]
    location = draw(st.sampled_from(locations))
    numbers: list[Source] = [
        FromColumn("No"),
        Joined(("No", "Store"), "-"),
        Joined(("Note", "No"), ""),
    ]
    number = draw(st.sampled_from(numbers))
    totals: list[Source] = [
        FromColumn("Net", take),
        compute("Net + Tax", take),
        compute("Qty * net * (1 - [tax]) * 0.5", take),
        compute("-Net", take),
    ]
    total = draw(st.sampled_from(totals))
    sources: dict[str, Source] = {
        "location_id": location,
        "transaction_id": number,
        "total": total,
        "sold_at": draw(sold_ats()),
    }
    optional: dict[str, Source] = {
        "tax": FromColumn("Tax", take),
        "net": compute("Net - Tax", "sum"),
        "item_count": FromColumn("Qty", "sum"),
        "tender": FromColumn("Note"),
        "receipt_number": Joined(("Note", "No"), "/"),
        "register_id": Constant("7"),
    }
    for name in draw(st.sets(st.sampled_from(sorted(optional)))):
        sources[name] = optional[name]
    rows: Rows = draw(st.sampled_from(SHAPES))
    sections = tuple(draw(st.lists(st.sampled_from(SECTIONS), max_size=4)))
    feed = Feed("sales", ("*",), rows, 0.5, reading, sources, sections=sections)
    return numbered(feed) if reading.header_line == 0 else feed


def numbered(feed: Feed) -> Feed:
    """Name the columns as they are called where there is no header."""
    names = {name.casefold(): f"#{at}" for at, name in enumerate(HEADER, 1)}

    def renamed(source: Source) -> Source:
        match source:
            case FromColumn():
                return replace(source, column=names[source.column.casefold()])
            case Joined():
                return replace(
                    source, columns=tuple(names[one.casefold()] for one in source.columns)
                )
            case When():
                return replace(
                    source,
                    date=names[source.date.casefold()],
                    times=tuple(names[one.casefold()] for one in source.times),
                )
            case Computed():
                text = re.sub(
                    r"\[?\b(Net|Tax|Qty)\b\]?",
                    lambda found: f"[{names[found[1].casefold()]}]",
                    source.text,
                    flags=re.IGNORECASE,
                )
                return compute(text, source.take)
        return source

    def all_renamed(sources: dict[str, Source]) -> dict[str, Source]:
        return {target: renamed(one) for target, one in sources.items()}

    sections = tuple(replace(one, sources=all_renamed(one.sources)) for one in feed.sections)
    return replace(feed, sources=all_renamed(feed.sources), sections=sections)


# Cells: most are good, so that whole files come through; some are anything

ODD_NUMBERS = st.sampled_from(
    [
        *("1.005", "-1.005", "0,125", "12,345.67", "12.345,67", "1 234,50", "1'234.5", "(3.50)"),
        *(
            "$5",
            "€ 5,00",
            "5.00 EUR",
            "usd 5",
            "5-",
            "- 5",
            "\u22125",
            "$-5",
            "-$5",
            "($5)",
            "5 eur -",
        ),
        *("", " ", "x", "1e3", "1_0", "nan", "--5", "(5", "+-5", ".5", "5.", ".", "1,23,456"),
        *("123456789012345678", "999999999999.999999", "1234567890123", "0.12345678901", "٣"),
        *("000000000000000000012.50", "5 kr", "R$ 7,00", "5.00\u00a0€", "12 %", "9" * 31),
    ]
)
ODD_DAYS = st.sampled_from(
    [
        *("2026-03-29T02:30:00Z", "2026-07-18 12:59:30.123+0530", "202607181259", "31/02/2026"),
        *("20260718T125930", "0026-01-01", "2500-01-01", "1899-12-31", "18 july 2026", "gestern"),
        *("18-Jul-69 12:00:00 A.M.", "2026.07.18 1259Z", "", "2026-07-18 24:00", "29.02.2026"),
        *("2026-07-18 12:60", "2026-07-18 12:59 +02", "2026.07.18 1259-0330", "18.07.2026x"),
    ]
)
ODD_CLOCKS = st.sampled_from(
    ["24:00", "", "noon", "1:5", "12:59 Z", "0:00 PM", " 12:59", "9:00:59"]
)
# Without control characters, of which a text file has few.
ODD_TEXTS = st.text(st.characters(codec="cp1252", exclude_categories=["Cc"]), max_size=6)
TEXTS = st.sampled_from(
    [
        "two\nlines",
        "b",
        "7",
        "it's",
        'say "so"',
        "",
        " a ",
        "a\u00a0",
        "é",
        "x y",
        "NULL",
        "-",
        "a, b",
        ", ",
    ]
)
# Around the hours that are skipped or repeated in the zones of this test, and anywhere.
MOMENTS = st.one_of(
    st.sampled_from(
        [
            *("2026-03-29T02:30:00", "2026-10-25T02:30:00", "2026-03-08T02:15:30"),
            *("2026-11-01T01:30:00", "2026-04-05T01:45:00", "2026-10-04T02:10:00"),
            *("2018-11-04T00:00:00", "2018-02-17T23:30:00", "2026-03-29T03:00:00"),
            *("2026-03-29T02:00:00", "2026-10-25T02:00:00", "2026-10-25T03:00:00"),
        ]
    ).map(datetime.fromisoformat),
    st.datetimes(datetime(1969, 1, 1), datetime(2068, 12, 31)),  # noqa: DTZ001  wall clock
)
FIELDS = {
    "YYYY": "%Y",
    "YY": "%y",
    "MMM": "%b",
    "MM": "%m",
    "M": "%-m",
    "DD": "%d",
    "D": "%-d",
    "HH": "%H",
    "H": "%-H",
    "hh": "%I",
    "h": "%-I",
    "mm": "%M",
    "ss": "%S",
    "fff": "%f",
    "a": "%p",
    "Z": "+0130",
}
NAMED = {"iso": "%Y-%m-%d %H:%M:%S", "compact": "%Y%m%d%H%M"}


def spell(at: datetime, written: str) -> str:
    if written in NAMED:
        return at.strftime(NAMED[written])
    names = MONTHS[at.month - 1].split()
    directives = {**FIELDS, "MMM": names[at.day % len(names)]}
    pieces = re.compile("'[^']*'|" + "|".join(sorted(FIELDS, key=len, reverse=True)))
    return at.strftime(
        pieces.sub(lambda found: directives.get(found[0]) or found[0].strip("'"), written)
    )


@st.composite
def records(draw: st.DrawFn, feed: Feed) -> tuple[str, ...]:
    def mostly(good: st.SearchStrategy[str], odd: st.SearchStrategy[str]) -> str:
        return draw(odd) if draw(st.integers(0, 11)) == 0 else draw(good)

    def spell_number(number: Decimal) -> str:
        grouped = f"{number:,}" if feed.reading.thousands else str(number)
        marks = {",": feed.reading.thousands, ".": feed.reading.decimal}
        return "".join(marks.get(char, char) for char in grouped)

    numbers = st.decimals(-99999, 99999, places=2).map(spell_number)
    sold_at = feed.sources["sold_at"]
    assert isinstance(sold_at, When)
    at, written = draw(MOMENTS), draw(st.sampled_from(sold_at.formats))
    date, _, time = written.partition(" ") if sold_at.times else (written, "", "")
    if sold_at.times and written.startswith("D MMM"):
        date, time = "D MMM YYYY", written.removeprefix("D MMM YYYY ")
    return (
        mostly(st.sampled_from(["A", "A", "B"]), st.sampled_from(["A ", ""])),
        mostly(st.sampled_from(["1", "2", "3"]) | st.integers(10, 99).map(str), ODD_TEXTS),
        mostly(st.just(spell(at, date)), ODD_DAYS),
        mostly(st.just(spell(at, time)), ODD_CLOCKS),
        mostly(numbers, ODD_NUMBERS),
        mostly(numbers, ODD_NUMBERS),
        mostly(st.integers(-9, 9).map(str), ODD_NUMBERS),
        mostly(TEXTS, ODD_TEXTS),
    )


@st.composite
def files(draw: st.DrawFn, *quotes: str, least: int) -> tuple[Feed, Table]:
    feed = draw(feeds(quotes))
    return feed, draw(st.lists(records(feed), min_size=least, max_size=12))


def write(table: Table, reading: Reading, breaks: str, *, ends: bool) -> bytes:
    """Write a table as a well-behaved program would, without delimiters where it cannot quote."""
    out = io.StringIO()
    if reading.quote:
        writer = csv.writer(
            out, delimiter=reading.delimiter, quotechar=reading.quote, lineterminator="\n"
        )
        writer.writerows(table)
    else:
        for row in table:
            cells = (cell.replace(reading.delimiter, "").replace("\n", " ") for cell in row)
            out.write(reading.delimiter.join(cells) + "\n")
    text = out.getvalue()
    text = text if ends else text[:-1]
    return text.replace("\n", breaks).encode(reading.encoding, "replace")


def with_header(rows: Table, reading: Reading) -> Table:
    preamble: Table = [("Report", "7")] * (reading.header_line - 1)
    return [*preamble, *([HEADER] if reading.header_line else []), *rows]


QUICK = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ZONES = st.sampled_from(["Europe/Paris", "UTC", "Asia/Kolkata", "America/Sao_Paulo"])


@QUICK
@given(
    file=files('"', "'", "", least=1),
    zone=ZONES,
    breaks=st.sampled_from(["\n", "\r\n"]),
    ends=st.booleans(),
)
def test_lanes_agree_on_well_formed_files_with_any_cells(
    lab: Lab, file: tuple[Feed, Table], zone: str, breaks: str, *, ends: bool
) -> None:
    feed, rows = file
    raw = write(with_header(rows, feed.reading), feed.reading, breaks, ends=ends)
    made = both(lab, raw, feed, zone)
    assert not isinstance(made, Fault), made
    quick, exact = made
    assert isinstance(exact, Seen)
    assert_consistent(exact)
    assert exact.staged.read == len(rows)
    if quick:
        assert_equal(quick, exact)


PIECES = st.sampled_from(
    [
        *(
            ",",
            ";",
            "|",
            '"',
            "'",
            "\t",
            "\n",
            "\n",
            "\r\n",
            "\r",
            " ",
            '""',
            '","',
            '"\n',
            ' "',
            '" ',
        ),
        *(
            "a",
            "1",
            "5.00",
            "2026-07-18",
            "é",
            "A,1,2026-07-18,,5,1,1,x\n",
            "B,2,2026-07-18,,7,1,1,x\n",
        ),
    ]
)


@QUICK
@given(file=files('"', "", least=0), body=st.lists(PIECES, max_size=30).map("".join))
def test_lanes_and_the_count_on_bytes_agree_on_any_garbage(
    lab: Lab, file: tuple[Feed, Table], body: str
) -> None:
    feed, rows = file
    reading = replace(feed.reading, encoding="utf-8", header_line=min(feed.reading.header_line, 1))
    feed = replace(feed, reading=reading)
    raw = write(with_header(rows, reading), reading, "\n", ends=True) + body.encode()
    made = both(lab, raw, feed, "Europe/Paris")
    if isinstance(made, Fault):
        return
    quick, exact = made
    if isinstance(exact, Seen):
        assert_consistent(exact)
    if quick and isinstance(exact, Seen) and quick.staged.read == exact.staged.read:
        assert_equal(quick, exact)


@pytest.mark.parametrize("rows", SHAPES)
def test_fast_lane_takes_an_ordinary_file_with_faults(lab: Lab, rows: Rows) -> None:
    raw = b"""Store,No,Day,Net
A,1,2026-07-18,5.00
A,2,2026-07-18,"1,000.00"
A,3,31.02.2026,5.00
A,1,2026-07-18,$7
A,4,2026-07-18,a lot
A,5,2026-07-18,2
"""
    sources: dict[str, Source] = {
        "location_id": FromColumn("Store"),
        "transaction_id": FromColumn("No"),
        "total": FromColumn("Net", "sum"),
        "sold_at": When("Day", (), ("iso",), ""),
    }
    feed = Feed("sales", ("*",), rows, 0.5, Reading(thousands=","), sources)
    made = both(lab, raw, feed, "Europe/Paris")
    assert not isinstance(made, Fault)
    quick, exact = made
    assert quick is not None
    assert_equal(quick, exact)
    assert quick.staged.lane == "fast"
    assert [fault.line for fault in quick.staged.faults if not fault.warning] == [4, 6]


def test_lines_stay_those_of_the_file_where_two_threads_read(lab: Lab) -> None:
    rows = 400_000
    body = "".join(f"A,{line},2026-07-18,5.00,padding\n" for line in range(2, rows + 2))
    sources: dict[str, Source] = {
        "location_id": FromColumn("Store"),
        "transaction_id": FromColumn("No"),
        "total": FromColumn("Net", "sum"),
        "sold_at": When("Day", (), ("iso",), ""),
    }
    feed = Feed("sales", ("*",), "per-transaction", 0.5, Reading(), sources)
    ready = read(lab, f"Store,No,Day,Net,Note\n{body}".encode(), feed, "UTC")
    assert not isinstance(ready, Fault)
    clean, at = ready
    staged = fast.stage(lab.con, clean, feed, at)
    assert staged is not None
    assert (staged.transactions, staged.total_minor) == (rows, 500 * rows)
    moved = lab.con.execute("SELECT count(*) FROM staged WHERE transaction_id <> line::VARCHAR")
    assert moved.fetchall() == [(0,)]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Paris", "2026-03-29", (1, 2, 3)),
        ("Europe/Paris", "2026-10-25", (1, 2, 3)),
        ("America/New_York", "2026-11-01", (0, 1, 2)),
        ("Australia/Lord_Howe", "2026-10-04", (1, 2, 3)),
        ("America/Sao_Paulo", "2018-11-04", (0, 1, 2)),
    ],
)
def test_lanes_agree_on_every_second_at_which_clocks_change(
    lab: Lab, zone: str, day: str, hours: tuple[int, ...]
) -> None:
    times = [
        f"{hour:02}:{minute}" for hour in hours for minute in ("00:00", "29:59", "30:00", "59:59")
    ]
    body = "".join(f"A,{time},{day} {time},1\n" for time in times)
    sources: dict[str, Source] = {
        "location_id": FromColumn("Store"),
        "transaction_id": FromColumn("No"),
        "total": FromColumn("Net", "sum"),
        "sold_at": When("Day", (), ("YYYY-MM-DD HH:mm:ss",), ""),
    }
    feed = Feed("sales", ("*",), "per-transaction", 0.5, Reading(), sources)
    made = both(lab, f"Store,No,Day,Net\n{body}".encode(), feed, zone)
    assert not isinstance(made, Fault)
    quick, exact = made
    assert quick is not None
    assert_equal(quick, exact)
    assert quick.staged.warning_counts
