"""The manual of mappings says what the code knows, and each of its examples is one.

`TILLDROP_WRITE_EXPECTED=1 pytest tests/test_mapping_manual.py` copies the grammars from the
docstrings into the manual; read the diff.
"""

from __future__ import annotations

import json
import os
import re
import textwrap
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tilldrop import expression, formats, mapping
from tilldrop.mapping import REQUIRED, feed_from_json, feed_to_json, targets
from tilldrop.mapping_toml import read_feed
from tilldrop.mapping_toml_reading import FEED_KEYS
from tilldrop.rows import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = Path(__file__).parents[1] / "docs" / "mapping.md"
MANUAL = PATH.read_text()
BASE: dict[str, Any] = {
    "location_id": "L",
    "transaction_id": "T",
    "total": "A",
    "sold_at": {"date": "D", "format": "iso"},
}


def block(doc: str | None, first: str, after: str = "") -> str:
    """Cut a grammar out of a docstring, from its first words to those after it."""
    text = (doc or "").partition(f"    {first}")
    found = text[1] + (text[2].partition(after)[0] if after else text[2])
    return textwrap.dedent(found).strip("\n")


GRAMMAR = block(mapping.__doc__, "[[feeds]]", "Targets of `transactions`")
GRAMMARS = {
    "[[feeds]]": GRAMMAR,
    "YYYY": block(formats.__doc__, "YYYY four", "Every character"),
    "iso": block(formats.__doc__, "iso "),
    "expression =": block(expression.__doc__, "expression =", "There is no division"),
}


@pytest.mark.parametrize("begins", GRAMMARS)
def test_grammar_is_the_docstrings(begins: str) -> None:
    (found,) = [
        text
        for text in re.findall(r"```text\n(.*?)\n```", MANUAL, re.DOTALL)
        if text.startswith(begins)
    ]
    if os.environ.get("TILLDROP_WRITE_EXPECTED"):
        PATH.write_text(PATH.read_text().replace(found, GRAMMARS[begins]))
        found = GRAMMARS[begins]
    assert found == GRAMMARS[begins]


def test_prose_below_the_grammar_is_the_docstrings() -> None:
    prose = (mapping.__doc__ or "").partition("Targets of `transactions`")
    assert (prose[1] + prose[2]).strip() in MANUAL


def test_every_target_is_listed() -> None:
    lines = MANUAL.split("## What can be filled")[1].split("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "| `" in line]
    listed = {
        table.strip("`"): (re.findall(r"`(\w+)`", must), set(re.findall(r"`(\w+)`", may)))
        for table, must, may in rows
    }
    for table in TABLES:
        known = targets(table)
        keys = [name for name, target in known.items() if target.key]
        must = list(REQUIRED) if table == "transactions" else keys
        assert listed.pop(table) == (must, set(known) - set(must))
    assert not listed


def feeds(text: str) -> Iterator[dict[str, Any]]:
    """Read an example; what it does not say of a feed is filled in."""
    if "[[feeds]]" in text:
        yield from tomllib.loads(text)["feeds"]
        return
    head = "" if re.search(r"^files = ", text, re.MULTILINE) else 'files = "*"\n'
    raw = tomllib.loads(f'[[feeds]]\nname = "example"\n{head}{text}')["feeds"][0]
    raw["map"] = {**BASE, **raw.get("map", {})}
    yield raw


def mistakes(raw: dict[str, Any]) -> dict[str, str]:
    said: dict[str, str] = {}
    feed = read_feed(raw, said.__setitem__)
    if feed:
        assert feed_from_json(json.loads(json.dumps(feed_to_json(feed)))) == feed
    return said


EXAMPLES = re.findall(r"```toml\n(.*?)```", MANUAL, re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.partition("\n")[0])
def test_example_is_a_mapping(text: str) -> None:
    for raw in feeds(text):
        assert not mistakes(raw)


def test_manual_has_examples() -> None:
    assert len(EXAMPLES) > 30


def test_common_case_is_short() -> None:
    assert len(EXAMPLES[0].splitlines()) <= 7


def grammar_lines() -> Iterator[tuple[str, str]]:
    """Yield each setting of the grammar with the header of its table."""
    header = ""
    lines: list[str] = []
    for line in GRAMMAR.splitlines():
        if line.startswith(" ") and not line.lstrip().startswith("#"):
            lines[-1] += line  # what the manual breaks for its width is one line in TOML
        elif line.strip() and not line.startswith(" "):
            lines.append(line)
    for line in lines:
        if line.startswith("["):
            header = line.partition("#")[0].strip()
        else:
            yield header, line


@pytest.mark.parametrize(("header", "line"), list(grammar_lines()))
def test_every_line_of_the_grammar_is_taken(header: str, line: str) -> None:
    name = line.partition(" ")[0]
    section = header.replace("[[feeds]]", "").strip("[]").removeprefix("feeds").strip(".")
    raw: dict[str, Any] = {"name": "a", "files": "*", "rows": "per-line", "map": dict(BASE)}
    if "number_repeats" in line:
        raw["rows"] = "per-transaction"
    if name == "key":
        raw["map"] |= dict.fromkeys(("register_id", "receipt_number"), "R")
    if "{n}" in line or name == "repeat":
        raw["taxes"] = {"repeat": 2, "amount": "Tax {n}"}
    if name in {"where", "once", "method"}:
        raw[section] = {"amount": "A"}
    inner = raw
    for part in section.split("."):
        inner = inner.setdefault(part, {}) if part else inner
    inner |= tomllib.loads(line)
    assert not mistakes(raw)


def known_keys(raw: dict[str, Any], path: str) -> set[str]:
    """Put a key that nobody knows into a feed's table and read which are known there."""
    inner: Any = raw
    for part in path.split("."):
        inner = inner.setdefault(part, {}) if part else inner
    inner["zzzz"] = 1
    (said,) = [what for key, what in mistakes(raw).items() if key.endswith("zzzz")]
    return set(said.partition("known are ")[2].split(", "))


SHAPES: dict[str, list[dict[str, Any]]] = {
    "location_id": [{"column": "A"}, {"join": ["A", "B"]}],
    "transaction_id": [{"column": "A"}],
    "total": [{"column": "A"}, {"expr": "A"}],
    "sold_at": [{"date": "A", "format": "iso"}, {"file_name": "(.)", "format": "iso"}],
}


def every_known_key() -> Iterator[str]:
    for path in ("", "read", "taxes", "control"):
        yield from known_keys({"name": "a", "files": "*", "map": dict(BASE)}, path)
    for target, shapes in SHAPES.items():
        for shape in shapes:
            raw = {"name": "a", "files": "*", "map": {**BASE, target: dict(shape)}}
            yield from known_keys(raw, f"map.{target}")
    for column in ({"lookup": "products.price", "by": "A"}, {"sql": "A"}):
        raw = {"name": "a", "files": "*", "map": dict(BASE), "columns": {"x": dict(column)}}
        yield from known_keys(raw, "columns.x")
    for control in ({"line": "(.)"}, {"companion": "x", "match": "(.)"}):
        raw = {"name": "a", "files": "*", "map": dict(BASE), "control": {"records": dict(control)}}
        yield from known_keys(raw, "control.records")


def test_keys_of_a_feed_are_those_that_are_looked_for_elsewhere() -> None:
    assert known_keys({"name": "a", "files": "*", "map": dict(BASE)}, "") == FEED_KEYS


def test_every_key_that_is_known_is_in_the_grammar() -> None:
    told = set(re.findall(r"([\w]+)\]?\]? *(?==|$|\])", GRAMMAR, re.MULTILINE))
    of_taxes = set(targets("taxes"))
    assert set(every_known_key()) - of_taxes - told == set()
