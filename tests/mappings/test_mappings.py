"""Each folder here shows one thing: an input file, a customer's TOML, and what is made of them.

Beside what a customer's file may say, `sent_as` is the name under which the input was sent.

`pytest tests/mappings --write-expected` writes expected.json and faults.json; review the diff.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.jobs import Place
from tilldrop.errors import FAULTS
from tilldrop.importer import run
from tilldrop.importer.worker import run_job
from tilldrop.mapping_toml import read_feed
from tilldrop.rows import CHILDREN, TABLES, Report

if TYPE_CHECKING:
    from tilldrop.mapping import Feed

HERE = Path(__file__).parent
FOLDERS = [
    folder for part in ("[0-9]*/", "preset-*/", "private/*/") for folder in sorted(HERE.glob(part))
]
README_LINES = 3


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_file_becomes_what_the_folder_says(
    folder: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "SMALL_BYTES", -1)
    made = imported(folder, tmp_path)
    for name, values in made.items():
        text = json.dumps(values, ensure_ascii=False, indent=2) + "\n"
        if request.config.getoption("--write-expected", default=False):
            (folder / name).write_text(text, encoding="utf-8")
        assert text == (folder / name).read_text(encoding="utf-8"), name


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_small_file_read_in_python_becomes_the_same(folder: Path, tmp_path: Path) -> None:
    made = imported(folder, tmp_path)
    assert made["expected.json"].pop("lane") != "fast"
    for name, values in made.items():
        expected = json.loads((folder / name).read_text(encoding="utf-8"))
        expected.pop("lane", None)
        assert json.loads(json.dumps(values)) == expected


def imported(folder: Path, root: Path) -> dict[str, dict[str, Any]]:
    """Import a folder's input; return what the files of the folder have to say."""
    [given] = folder.glob("input.*")
    customer = tomllib.loads((folder / "mapping.toml").read_text(encoding="utf-8"))
    place = Place.make(root)
    job = place.job(
        given.read_bytes(),
        feed=read(customer),
        name=customer.get("sent_as", given.name),
        zone=customer.get("zone", "Europe/Paris"),
        currency=customer.get("currency", "EUR"),
        locations=customer.get("locations", {}),
    )
    report = run_job(job)
    return {"expected.json": outcome(report, place), "faults.json": faults(report, place)}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_readme_tells_in_three_lines_what_the_folder_shows(folder: Path) -> None:
    lines = (folder / "README").read_text(encoding="utf-8").splitlines()
    assert len(lines) == README_LINES
    assert all(lines)


def test_line_of_three_million_characters_is_one_fault(tmp_path: Path) -> None:
    folder = HERE / "01-plain"
    [given] = folder.glob("input.*")
    customer = tomllib.loads((folder / "mapping.toml").read_text(encoding="utf-8"))
    place = Place.make(tmp_path)
    raw = given.read_bytes() + b"2,1002," + b"x" * 3_000_000 + b"\n2,1003,2026-01-05 09:30,5.00,,\n"
    report = run_job(place.job(raw, feed=read(customer)))
    assert [(fault.line, fault.code) for fault in report.faults] == [(5, "record-too-long")]
    assert (report.counts.read, report.counts.inserted) == (5, 4)


def read(customer: dict[str, Any]) -> Feed:
    mistakes: dict[str, str] = {}
    feed = read_feed(customer["feeds"][0], mistakes.__setitem__)
    assert feed is not None, mistakes
    return feed


def outcome(report: Report, place: Place) -> dict[str, Any]:
    """The report's figures and every row in data.db."""
    counts = {name: getattr(report.counts, name) for name in report.counts.__slots__}
    shown = {
        "outcome": report.outcome,
        "reason": report.reason,
        "reason_seen": report.reason_seen,
        "lane": report.lane,
        "counts": {name: count for name, count in counts.items() if count},
        "total_minor": report.total_minor,
        "refund_minor": report.refund_minor,
        "sold_from": report.sold_from,
        "sold_to": report.sold_to,
        "rows": rows(place, "transactions"),
    }
    others = {table: rows(place, table) for table in TABLES if table != "transactions"}
    return shown | {table: found for table, found in others.items() if found}


def rows(place: Place, table: str) -> list[dict[str, Any]]:
    """What a table holds, empty columns left out."""
    columns = ("line", *(column.name for column in TABLES[table]), "extra")
    if table in CHILDREN:
        columns = columns[:-1]
    order = ", ".join(column.name for column in TABLES[table] if column.key)
    found = place.read(f"SELECT {', '.join(columns)} FROM {table} ORDER BY line, {order}")
    return [
        {name: value for name, value in zip(columns, row, strict=True) if value is not None}
        for row in found
    ]


def faults(report: Report, place: Place) -> dict[str, Any]:
    """What the customer is told, and what is kept of the refused records."""
    return {
        "told": [
            {
                "line": fault.line,
                "code": fault.code,
                "text": FAULTS[fault.code].format(field=fault.field, seen=fault.seen),
            }
            for fault in report.faults
        ],
        "fault_count": report.fault_count,
        "warning_counts": report.warning_counts,
        "refused": [
            {"line": line, "code": code, "record": record}
            for line, code, record in place.read(
                "SELECT line, code, record FROM rejected_rows ORDER BY line"
            )
        ],
    }
