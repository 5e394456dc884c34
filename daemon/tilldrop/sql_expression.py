"""SQL expressions in mappings: what may be said, checked before a file is seen.

Owns the list of what an expression may be made of, the connection that works it out and the
statement that does. An expression is one value made of a record's own cells: columns, texts,
numbers, comparisons, CASE, casts and the functions named below, which come to the same on every
day and every machine. Nothing that opens a file or a connection, reads a setting, the environment,
the clock or another table is among them; what is not listed is refused.

The list is the first line of defence. The second is `connect`: what it returns has no file, no
network and no table, and cannot be told otherwise.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from duckdb import DuckDBPyConnection

MAX_CHARS = 1000
MAX_PADDED = 1000  # what lpad and rpad may fill up to
MEMORY_BYTES = 128 * 1024**2

_CLASSES = frozenset(
    {
        *("COLUMN_REF", "CONSTANT", "FUNCTION", "OPERATOR", "CAST", "TYPE", "CASE"),
        *("COMPARISON", "CONJUNCTION", "BETWEEN"),
    }
)
_TYPES = frozenset(
    {
        *("varchar", "text", "string", "char", "boolean", "bool"),
        *("tinyint", "smallint", "integer", "int", "bigint", "hugeint"),
        *("decimal", "numeric", "double", "float", "real"),
        *("date", "time", "timestamp", "timestamptz", "timestamp with time zone", "interval"),
    }
)
FUNCTIONS = frozenset(
    {
        # texts
        *("upper", "lower", "ucase", "lcase", "trim", "ltrim", "rtrim", "length", "len", "strlen"),
        *("left", "right", "substr", "substring", "reverse", "replace", "translate", "lpad"),
        *("rpad", "concat", "concat_ws", "||"),
        *("contains", "starts_with", "ends_with", "prefix", "suffix"),
        *("instr", "position", "strpos", "strip_accents", "ascii", "unicode", "chr"),
        *("~~", "!~~", "~~*", "!~~*", "~~~", "like_escape", "not_like_escape", "ilike_escape"),
        *("regexp_matches", "regexp_full_match", "regexp_extract", "regexp_replace"),
        *("split_part", "split", "str_split", "string_split", "string_split_regex"),
        *("md5", "sha256", "hex", "from_hex", "url_decode", "nfc_normalize"),
        # lists
        *("list_value", "list_extract", "array_extract", "list_element", "array_slice"),
        *("array_length", "list_contains", "list_position", "array_to_string"),
        # numbers
        *("+", "-", "*", "/", "//", "%", "mod", "abs", "sign", "round", "ceil", "ceiling"),
        *("floor", "trunc", "greatest", "least"),
        # dates
        *("strptime", "try_strptime", "strftime", "date_trunc", "date_part", "datepart"),
        *("year", "month", "day", "hour", "minute", "second", "dayofweek", "isodow", "dayofyear"),
        *("week", "dayname", "monthname", "last_day", "date_add", "date_diff", "datediff"),
        *("make_date", "make_time", "make_timestamp", "to_timestamp", "epoch", "epoch_ms"),
        *("to_years", "to_months", "to_weeks", "to_days", "to_hours", "to_minutes", "to_seconds"),
        "timezone",
        # choices and JSON
        *("nullif", "ifnull", "if", "json_extract_string", "->>", "json_value", "json_valid"),
    }
)
_PADDING = frozenset({"lpad", "rpad"})
_QUOTED = 'a column whose name is not a plain word stands in "double quotes"'


class _Refused(Exception):
    pass


# A reload checks what it checked before, of every customer.
@lru_cache(maxsize=1024)
def check(text: str) -> tuple[tuple[str, ...], str]:
    """Return the columns that an expression names, each once, and what is wrong with it or "".

    Never raises on a text. Cost: 30 ms, the first time another 100 to load DuckDB.
    """
    if not text.strip():
        return (), "it is empty"
    if len(text) > MAX_CHARS:
        return (), f"it is longer than {MAX_CHARS} characters"
    with connect() as connection:
        try:
            columns = tuple(_columns(_parsed(connection, text)))
        except _Refused as refused:
            return (), str(refused)
        return columns, _unbound(connection, text, columns)


def connect(memory_bytes: int = MEMORY_BYTES) -> DuckDBPyConnection:
    """Open a DuckDB that can compute and nothing else. Cost: 25 ms."""
    import duckdb  # noqa: PLC0415  the daemon loads it only if a mapping has such an expression

    connection = duckdb.connect(
        config={
            "threads": 1,
            "memory_limit": f"{memory_bytes}B",
            "temp_directory": "",
            "autoload_known_extensions": False,
            "autoinstall_known_extensions": False,
            "allow_community_extensions": False,
        }
    )
    # Else what two parts of an expression share is worked out before TRY can shield it.
    connection.execute("PRAGMA disable_optimizer")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def quoted(name: str) -> str:
    """Return a name as SQL writes any name."""
    return '"' + name.replace('"', '""') + '"'


def selected(text: str, *, shielded: bool = False) -> str:
    """Return what stands after SELECT to work an expression out as a text.

    shielded: a failure gives NULL; a second column then tells whether it was one.
    """
    # The line feed ends a comment that the expression may end with.
    value = f"CAST(({text}\n) AS VARCHAR)"
    return f"TRY({value}), TRY(({text}\n) IS NULL) IS NULL" if shielded else value


def _parsed(connection: DuckDBPyConnection, text: str) -> dict[str, Any]:
    """Return the syntax tree of an expression. Raises _Refused if it is anything else."""
    node, expected = (_node(connection, one) for one in (f"({text}\n)", "1"))
    chosen: list[dict[str, Any]] = node.pop("select_list", [])
    expected.pop("select_list")
    if node != expected or len(chosen) != 1 or chosen[0].get("alias"):
        raise _Refused("it must be one expression, as it stands between SELECT and FROM")
    return chosen[0]


def _node(connection: DuckDBPyConnection, text: str) -> dict[str, Any]:
    import duckdb  # noqa: PLC0415  see connect

    try:
        found = connection.execute("SELECT json_serialize_sql(?)", [f"SELECT {text}"]).fetchall()
    except duckdb.Error as error:
        raise _Refused(_first_line(error)) from error
    try:
        plain = json.loads(found[0][0])
    except RecursionError as error:
        raise _Refused("it is nested too deeply") from error
    if plain.get("error"):
        raise _Refused(f"{plain['error_message'].strip()}; {_QUOTED}")
    if len(plain["statements"]) != 1:
        raise _Refused("it must be one expression")
    node: dict[str, Any] = plain["statements"][0]["node"]
    return node


def _columns(tree: dict[str, Any]) -> Iterator[str]:
    """Yield the columns that a tree names. Raises _Refused on what is not allowed in it."""
    once: set[str] = set()
    ahead: list[Any] = [tree]
    while ahead:
        node = ahead.pop()
        if isinstance(node, list):
            ahead += reversed(node)
        elif isinstance(node, dict):
            if "class" in node:
                _judge(node)
            if node.get("class") == "COLUMN_REF":
                name = node["column_names"][0]
                if name.casefold() not in once:
                    once.add(name.casefold())
                    yield name
                continue
            ahead += reversed(node.values())
    if not once:
        raise _Refused("no column occurs in it")


def _judge(node: dict[str, Any]) -> None:
    """Raise _Refused if a part of an expression is not among what is allowed."""
    kind = node["class"]
    if kind not in _CLASSES:
        raise _Refused(_why_not(node))
    if kind == "FUNCTION":
        _judge_function(node)
    elif kind == "TYPE" and node["type_name"].casefold() not in _TYPES:
        raise _Refused(f"the type {node['type_name']} is not allowed")
    elif kind == "COLUMN_REF" and len(node["column_names"]) != 1:
        raise _Refused(f"{'.'.join(node['column_names'])}: {_QUOTED}")


def _judge_function(node: dict[str, Any]) -> None:
    name = node["function_name"].casefold()
    if name not in FUNCTIONS or node["schema"] or node["catalog"]:
        raise _Refused(f"the function {node['function_name']} is not allowed")
    if node["filter"] or node["distinct"] or node["order_bys"]["orders"]:
        raise _Refused("FILTER, DISTINCT and ORDER BY are not allowed")
    if name in _PADDING:
        literal = node["arguments"][1]["expression"].get("literal") if node["arguments"][1:] else {}
        width = (literal or {}).get("text", "")
        if not (width.isascii() and width.isdigit() and int(width) <= MAX_PADDED):
            raise _Refused(f"{name} takes a number up to {MAX_PADDED}")


def _why_not(node: dict[str, Any]) -> str:
    return {
        "SUBQUERY": "a query within the expression is not allowed",
        "LAMBDA": "-> and lambda are not allowed",
        "STAR": "* and COLUMNS are not allowed",
        "WINDOW": "OVER is not allowed: an expression sees one record",
        "PARAMETER": "$ and ? are not allowed",
        "POSITIONAL_REFERENCE": f"#{node.get('index')} counts columns; {_QUOTED}",
    }.get(node["class"], f"{node['class'].replace('_', ' ').lower()} is not allowed")


def _unbound(connection: DuckDBPyConnection, text: str, columns: Iterable[str]) -> str:
    """Return why DuckDB would not work an expression out over texts, or ""."""
    import duckdb  # noqa: PLC0415  see connect

    texts = ", ".join(f"NULL::VARCHAR AS {quoted(name)}" for name in columns)
    try:
        connection.execute(
            f"SELECT {selected(text, shielded=True)} FROM (SELECT {texts}) LIMIT 0"  # noqa: S608  judged above
        )
    except duckdb.Error as error:
        return f"{_first_line(error).rstrip('.')}; all columns are texts"
    return ""


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
