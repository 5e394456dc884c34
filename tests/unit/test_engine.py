"""What a customer's file cannot make DuckDB do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

from tilldrop.importer.engine import Terms, connect, drop_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    for name in ("arrived", "temp"):
        (tmp_path / name).mkdir()
    (tmp_path / "arrived" / "d1").write_text("a\n1\n")
    (tmp_path / "secret").write_text("a\n2\n")
    (tmp_path / "arrived" / "link").symlink_to(tmp_path / "secret")
    terms = Terms(str(tmp_path / "arrived"), str(tmp_path / "temp"), 10**9, 2)
    with connect(terms) as connection:
        yield connection


def test_delivery_is_readable(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    path = str(tmp_path / "arrived" / "d1")
    assert con.execute("SELECT * FROM read_csv(?, header = true)", [path]).fetchall() == [(1,)]


@pytest.mark.parametrize("name", ["secret", "arrived/../secret", "arrived/link", "arriv*/link"])
def test_no_other_file_is_readable(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, name: str
) -> None:
    with pytest.raises(duckdb.PermissionException):
        con.execute("SELECT * FROM read_csv(?, header = true)", [str(tmp_path / name)])


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO '/tmp/tilldrop-test-out.csv'",
        "ATTACH '/tmp/tilldrop-test-out.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')",
    ],
)
def test_locks_hold(con: duckdb.DuckDBPyConnection, statement: str) -> None:
    with pytest.raises(duckdb.Error):
        con.execute(statement)


def test_spool_reached_through_a_link_is_readable(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    assert con is not None
    (tmp_path / "var").symlink_to(tmp_path / "arrived")
    terms = Terms(str(tmp_path / "var"), str(tmp_path / "temp"), 10**9, 2)
    with connect(terms) as linked:
        path = str(tmp_path / "var" / "d1")
        found = linked.execute("SELECT * FROM read_csv(?, header = true)", [path])
        assert found.fetchall() == [(1,)]


def test_dropping_leaves_no_table_and_no_view(con: duckdb.DuckDBPyConnection) -> None:
    con.execute('CREATE TEMP TABLE staged (a INTEGER); CREATE TEMP TABLE "odd name" (a INTEGER)')
    con.execute("CREATE TEMP VIEW candidates AS FROM staged")
    drop_all(con)
    left = "SELECT table_name FROM duckdb_tables() UNION ALL"
    left += " SELECT view_name FROM duckdb_views() WHERE NOT internal"
    assert con.execute(left).fetchall() == []
