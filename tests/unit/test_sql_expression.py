"""SQL expressions in mappings: what may be said, and that nothing gets out of the sandbox."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilldrop.sql_expression import FUNCTIONS, MAX_CHARS, check, connect, selected

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("split_part(Terminal, '/', 2)", ("Terminal",)),
        ('"Unit Price"::DECIMAL(10, 2) * Qty::INT', ("Unit Price", "Qty")),
        ("CASE WHEN a = 'x' THEN b ELSE coalesce(c, 'none') END", ("a", "b", "c")),
        ('a || A || "a"', ("a",)),
        ("strftime(strptime(D, '%d%m%Y'), '%Y-%m-%d')", ("D",)),
        ("string_split(a, '-')[2]", ("a",)),
        ("lpad(a, 8, '0') -- as the till prints it", ("a",)),
        (
            "try_cast(a AS DECIMAL(18, 2)) IS NULL OR b IN ('x', 'y') AND c NOT LIKE 'z%'",
            tuple("abc"),
        ),
        ("a BETWEEN b AND c", tuple("abc")),
        ("regexp_extract(a, '(\\d+)', 1)", ("a",)),
        ("a ->> '$.shop'", ("a",)),
        ('"#1"', ("#1",)),
        ('"sale ""x"""', ('sale "x"',)),
        ("a::DATE + INTERVAL 1 DAY", ("a",)),
        # Without a column of that name it would be the session's; so it is a column or missing.
        ("current_user", ("current_user",)),
    ],
)
def test_columns_are_named_once_in_the_order_in_which_they_stand(
    text: str, columns: tuple[str, ...]
) -> None:
    assert check(text) == (columns, "")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("a" * (MAX_CHARS + 1), "it is longer than 1000 characters"),
        ("'x'", "no column occurs in it"),
        ("Unit Price * 2", 'at or near "Price"; a column whose name is not a plain word'),
        ("upper(a", 'syntax error at or near ")"'),
        ("a.b", 'a.b: a column whose name is not a plain word stands in "double quotes"'),
        ("a + b", "'+(VARCHAR, VARCHAR)'"),
        ("a::INT + b", "all columns are texts"),
        ("a AS b", "syntax error"),
        ("#1", "#1 counts columns; a column whose name is not a plain word"),
        ("lpad(a, b::INT, ' ')", "lpad takes a number up to 1000"),
        ("rpad(a, 1001, ' ')", "rpad takes a number up to 1000"),
        ("a::INT[]", "the type list is not allowed"),
        ("[" * 490 + "a" + "]" * 490, "it is nested too deeply"),
    ],
)
def test_mistake_is_said(text: str, complaint: str) -> None:
    assert complaint in check(text)[1]


# What an expression might try. Wherever the check does not refuse it, the connection must.
ATTACKS = [
    # files
    "(SELECT content FROM read_text('{secret}'))",
    "(SELECT a FROM read_csv('{secret}'))",
    "(SELECT count(*) FROM '{secret}')",
    "(SELECT string_agg(file) FROM glob('{folder}/*'))",
    "(SELECT first(x) FROM read_json('{secret}') AS t(x))",
    "(SELECT count(*) FROM read_blob('{secret}'))",
    "(SELECT count(*) FROM parquet_scan('{secret}'))",
    "a IN (FROM read_text('{secret}') SELECT content)",
    "EXISTS (FROM '{secret}')",
    "a = ANY (SELECT content FROM read_text('{secret}'))",
    "list_transform(['{secret}'], x -> (SELECT content FROM read_text(x)))",
    "list_transform(['{secret}'], lambda x: (SELECT content FROM read_text(x)))",
    "[(SELECT content FROM read_text(x)) FOR x IN ['{secret}']]",
    "(SELECT count(*) FROM query('SELECT * FROM read_text(''{secret}'')'))",
    "(SELECT count(*) FROM query_table('{secret}'))",
    "(SELECT count(*) FROM read_duckdb('{secret}'))",
    "(SELECT count(*) FROM sqlite_scan('{secret}', 't'))",
    # out of the expression
    "a) FROM read_text('{secret}') --",
    "a) FROM read_text('{secret}') /*",
    "a); COPY (SELECT 1) TO '{folder}/out.csv'; SELECT (a",
    "a; COPY (SELECT 1) TO '{folder}/out.csv'",
    "a; ATTACH '{folder}/other.db'",
    "a; INSTALL httpfs",
    "a; LOAD httpfs",
    "a; SET enable_external_access = true",
    "a; RESET lock_configuration",
    "a; PRAGMA enable_external_access = true",
    "a; CALL pragma_version()",
    "a; EXPORT DATABASE '{folder}/out'",
    "a; CREATE TABLE '{folder}/t.db'.t AS SELECT 1",
    "a; CREATE SECRET (TYPE s3, KEY_ID 'x', SECRET 'y')",
    "a UNION SELECT content FROM read_text('{secret}')",
    "a) UNION (SELECT content FROM read_text('{secret}')",
    "COPY (SELECT 1) TO '{folder}/out.csv'",
    # the environment
    "getenv('{variable}')",
    "main.getenv('{variable}')",
    "system.main.getenv('{variable}')",
    "(SELECT getenv('{variable}'))",
]

# Nothing worth having is behind these on the connection they would run on; they are refused so
# that an expression comes to the same on every day and every machine.
REFUSED_ONLY = [
    "current_setting('temp_directory')",
    "(SELECT value FROM duckdb_settings() LIMIT 1)",
    "(SELECT count(*) FROM duckdb_secrets())",
    "(SELECT count(*) FROM information_schema.tables)",
    "getvariable('x')",
    "current_database()",
    "version()",
    "now()",
    "random()",
    "uuid()",
    "txid_current()",
    "nextval('s')",
    "write_log('x')",
    "sleep_ms(100000)",
    "pg_sleep(100)",
    "error(a)",
    "json_serialize_sql(a)",
    "json_deserialize_sql(a)",
    "list_sum(range(1000000000000))",
    "repeat(a, 1000000000)",
    "lpad(a, 1000000000, 'x')",
    "printf('%1000000000s', a)",
    "format('{{:1000000000}}', a)",
    "sum(a::INT)",
    "count(*)",
    "row_number() OVER ()",
    "unnest([a])",
    "COLUMNS('.*')",
    "*",
    "*COLUMNS(*)",
    "$1",
    "?",
    "list_transform([a], x -> x)",
    "list_reduce([a], lambda x, y: x || y)",
    "a COLLATE NOCASE",
    "a::regclass",
    "{{'k': a}}.k",
    "upper(a) FILTER (WHERE true)",
    "upper(DISTINCT a)",
    "a.upper().getenv()",
    "(a, a)",
    "GROUPING(a)",
    "(VALUES (1))",
    "DEFAULT",
]


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\nthe secret\n")
    monkeypatch.setenv("TILLDROP_SECRET", "the secret")
    return {"secret": str(secret), "folder": str(tmp_path), "variable": "TILLDROP_SECRET"}


@pytest.mark.parametrize("attack", [*ATTACKS, *REFUSED_ONLY])
def test_what_is_no_plain_expression_is_refused_before_it_runs(
    attack: str, places: dict[str, str]
) -> None:
    assert check(attack.format(**places))[1] != ""


@pytest.mark.parametrize("shielded", [False, True])
@pytest.mark.parametrize("attack", ATTACKS)
def test_what_were_not_refused_would_still_reach_nothing(
    attack: str, places: dict[str, str], tmp_path: Path, *, shielded: bool
) -> None:
    before = sorted(tmp_path.iterdir())
    query = f"SELECT {selected(attack.format(**places), shielded=shielded)} FROM (SELECT 'x' AS a)"
    with closing(connect()) as connection:
        try:
            found = str(connection.execute(query).fetchall())
        except duckdb.Error as error:
            found = str(error)
        settings = connection.execute(
            "SELECT current_setting('enable_external_access'),"
            " current_setting('lock_configuration')"
        ).fetchall()
    assert "the secret" not in found
    assert sorted(tmp_path.iterdir()) == before
    assert settings == [(False, True)]


@pytest.mark.parametrize(
    "statement",
    [
        "SET enable_external_access = true",
        "SET allowed_paths = ['/']",
        "RESET enable_external_access",
        "SET memory_limit = '100GB'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "ATTACH '{folder}/other.db'",
        "COPY (SELECT 1) TO '{folder}/out.csv'",
        "CREATE TABLE t AS FROM read_csv('{secret}')",
        "EXPORT DATABASE '{folder}/out'",
    ],
)
def test_connection_cannot_be_told_otherwise(statement: str, places: dict[str, str]) -> None:
    with closing(connect()) as connection, pytest.raises(duckdb.Error):
        connection.execute(statement.format(**places))


def test_no_listed_function_opens_reads_or_waits_for_anything() -> None:
    telling = ("read", "scan", "glob", "env", "setting", "sleep", "random", "uuid", "now", "query")
    assert not {name for name in FUNCTIONS for word in telling if word in name}


def test_every_listed_function_exists() -> None:
    with closing(connect()) as connection:
        known = connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions()"
            " WHERE function_type IN ('scalar', 'macro')"
        ).fetchall()
    # These two are read as COALESCE by the parser.
    assert FUNCTIONS - {name for (name,) in known} <= {"ifnull"}


def test_memory_is_bounded() -> None:
    query = "SELECT string_agg(i::VARCHAR || repeat('x', 100)) FROM range(1000000) AS t(i)"
    with closing(connect(16 * 1024**2)) as connection, pytest.raises(duckdb.OutOfMemoryException):
        connection.execute(query)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ab'\"()[]{}*,;-/ \n$#1<>=|:\\", max_size=40))
def test_no_text_makes_the_check_raise(text: str) -> None:
    columns, complaint = check(text)
    assert columns or complaint
