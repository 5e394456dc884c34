"""What docs/data.md says of tables and columns is what data.db has, and its queries run."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tilldrop.importer.schema import migrate
from tilldrop.rows import CHILDREN, TABLES

MANUAL = (Path(__file__).parents[1] / "docs" / "data.md").read_text(encoding="utf-8")
PROVENANCE = ["arrival_seq", "delivery", "line", "extra", "gone_in", "replaced"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "data.db"
    migrate(path)
    return path


def cells(heading: str) -> list[list[str]]:
    """Return the rows of the tables below a heading, up to the next heading."""
    text = re.split(r"\n#+ ", MANUAL.split(f"\n{heading}\n", 1)[1], maxsplit=1)[0]
    rows = (line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `"))
    return [[cell.strip() for cell in row] for row in rows]


def names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", cell))


@pytest.mark.parametrize("table", TABLES)
def test_every_column_of_a_table_is_told_with_its_kind(table: str) -> None:
    *told, (provenance, *_) = cells(f"### {table}")
    expected = [["`customer`", "text, key"]]
    expected += [[f"`{c.name}`", c.kind + ", key" * c.key] for c in TABLES[table]]
    assert [row[:2] for row in told] == expected
    assert names(provenance) == (["delivery", "line"] if table in CHILDREN else PROVENANCE)


def test_every_provenance_column_is_told() -> None:
    assert [names(row[0]) for row in cells("## Where a row comes from")] == [
        [name] for name in PROVENANCE
    ]


def test_every_other_table_is_told_with_its_columns(path: Path) -> None:
    told = {names(row[0])[0]: names(row[2]) for row in cells("### What imports keep besides")}
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(
            "SELECT m.name, c.name FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS c"
            " WHERE m.type = 'table' AND m.name NOT GLOB '_sqlite*' AND m.name NOT GLOB 'sqlite*'"
        ).fetchall()
    others: dict[str, list[str]] = {}
    for table, column in found:
        if table not in TABLES:
            others.setdefault(table, []).append(column)
    assert told == others


def test_every_view_is_told(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view'").fetchall()
    text = MANUAL.split("\n### Views\n", 1)[1].split("\n## ", 1)[0]
    assert {name for (name,) in found} == set(re.findall(r"`(\w+_decimal|orphans)`", text))


@pytest.mark.parametrize("query", re.findall(r"```sql\n(.*?)```", MANUAL, re.DOTALL))
def test_query_of_the_manual_runs(path: Path, query: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(query).fetchall() == []
