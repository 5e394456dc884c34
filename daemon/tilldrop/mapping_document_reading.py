"""A filled mapping document becomes feeds; what cannot be used is said cell by cell.

Promises that every complaint names sheet and cell, and that nothing filled in is passed over in
silence. Never writes a file: the feeds are TOML text for an operator to look at.
"""

from __future__ import annotations

import codecs
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import tomlkit

from tilldrop.errors import FAULTS, DocumentUnreadable
from tilldrop.importer.parts import Limits, Unreadable
from tilldrop.importer.sheets import read_all
from tilldrop.mapping import targets
from tilldrop.mapping_document import (
    CALCULATION,
    CHOICES,
    COLUMN,
    FIELD,
    FILE_COLUMNS,
    FILES_SHEET,
    FIXED,
    FORMAT,
    REMARKS,
    TABLE_COLUMNS,
    VALUE_COLUMNS,
    VALUES_SHEET,
    sheet_tables,
)
from tilldrop.mapping_toml import read_feed
from tilldrop.mapping_toml_reading import ENCODINGS
from tilldrop.mapping_words import FILES
from tilldrop.rows import CHILDREN
from tilldrop.toml_table import nearest, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_DATES = frozenset({"instant", "day"})
_FEED_NAMES = {"transactions": "sales"}
_MOST_CELLS = 100_000  # a document has a few hundred
_MEMORY_BYTES = 512 * 1024**2


@dataclass(frozen=True, slots=True)
class Complaint:
    """cell: sheet and cell, as in `Files!C3`. text: what was found and expected."""

    cell: str
    text: str


@dataclass(frozen=True, slots=True)
class Read:
    """What a document came to. toml: [[feeds]] tables, remarks as comments. feeds: names."""

    toml: str
    feeds: tuple[str, ...]
    complaints: tuple[Complaint, ...]


@dataclass(slots=True)
class _Draft:
    """One feed as it grows. cells: key path -> the cell that said it."""

    table: str
    raw: dict[str, Any]
    cells: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


class _Sheet:
    """One sheet's rows by the names of their columns."""

    def __init__(
        self, name: str, rows: Sequence[Sequence[object]], complaints: list[Complaint]
    ) -> None:
        self.name = name
        self._head = [_text(cell) for cell in rows[0]] if rows else []
        self._rows = rows[1:]
        self._complaints = complaints

    def check_head(self, wanted: tuple[str, ...]) -> bool:
        """Tell whether the columns that are needed are there; complain if not."""
        missing = [name for name in wanted if name not in self._head]
        for name in missing:
            text = f'the column "{name}" is missing; it is part of the template'
            self._complaints.append(Complaint(f"{self.name}!A1", text))
        return not missing

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield row numbers as people see them, and the filled cells by column name."""
        for number, row in enumerate(self._rows, start=2):
            cells = {
                name: text
                for name, cell in zip(self._head, row, strict=False)
                if (text := _text(cell)) and name
            }
            if cells:
                yield number, cells

    def cell(self, number: int, column: str) -> str:
        """Return a cell's address."""
        return f"{self.name}!{_letters(self._head.index(column))}{number}"


def read_document(path: Path) -> Read:
    """Read a filled mapping document (.xlsx, .xls, .ods).

    Raises DocumentUnreadable if it is no workbook, or not one made from the template.
    """
    complaints: list[Complaint] = []
    sheets = _open(path, complaints)
    drafts = {draft.table: draft for draft in _files(sheets[FILES_SHEET], complaints)}
    for table in sheet_tables():
        if table in sheets and sheets[table].check_head((FIELD, COLUMN)):
            _fill(sheets[table], table, drafts, complaints)
    if VALUES_SHEET in sheets and sheets[VALUES_SHEET].check_head(VALUE_COLUMNS):
        _fill_values(sheets[VALUES_SHEET], drafts, complaints)
    for draft in drafts.values():
        _check(draft, complaints)
    if not drafts and not complaints:
        text = "no file has a name; give one at least"
        complaints.append(Complaint(f"{FILES_SHEET}!C2", text))
    made = "\n".join(_toml(draft) for draft in drafts.values())
    return Read(made, tuple(str(one.raw["name"]) for one in drafts.values()), tuple(complaints))


def _open(path: Path, complaints: list[Complaint]) -> dict[str, _Sheet]:
    try:
        found = read_all(path, _MOST_CELLS, Limits(memory_bytes=_MEMORY_BYTES))
    except OSError as error:
        raise DocumentUnreadable(f"{path}: {error.strerror}") from error
    except Unreadable as unreadable:
        fault = unreadable.fault
        said = FAULTS[fault.code].format(field=fault.field, seen=fault.seen)
        raise DocumentUnreadable(f"{path}: {said}") from unreadable
    sheets = {name: _Sheet(name, rows, complaints) for name, rows in found.items()}
    if FILES_SHEET not in sheets or not sheets[FILES_SHEET].check_head(("File", "File name")):
        raise DocumentUnreadable(
            f'{path}: it has no sheet "{FILES_SHEET}" like the template\'s;'
            " `tilldrop mapping template` writes one"
        )
    return sheets


def _files(sheet: _Sheet, complaints: list[Complaint]) -> Iterator[_Draft]:
    """Begin a feed for every file that has a name."""
    for number, cells in sheet.rows():
        table = cells.get("File", "")
        if table not in FILES:
            hint = nearest(table, FILES)
            text = f"found {show(table)}; expected one of {', '.join(FILES)}{hint}"
            complaints.append(Complaint(f"{FILES_SHEET}!A{number}", text))
            continue
        if "File name" not in cells:
            continue
        raw: dict[str, Any] = {"name": _FEED_NAMES.get(table, table), "read": {}, "map": {}}
        if table != "transactions":
            raw["table"] = table
        draft = _Draft(table, raw, {"": f"{FILES_SHEET}!A{number}"})
        for column, key in FILE_COLUMNS.items():
            if column in cells and key:
                value, complaint = _chosen(key, cells[column])
                _set(draft, key, value, sheet.cell(number, column))
                if complaint:
                    complaints.append(Complaint(sheet.cell(number, column), complaint))
        if "Remarks" in cells:
            draft.remarks.append(cells["Remarks"])
        if table != "transactions":
            raw.pop("rows", None)
        yield draft


def _chosen(key: str, text: str) -> tuple[object, str]:
    """Return what a word of the document is in the mapping, and a complaint or ""."""
    if key == "files":
        names = [part.strip() for part in re.split(r"[;\n]", text) if part.strip()]
        return (names if len(names) > 1 else text), ""
    if key == "read.header_line" and text.isdecimal():
        return int(text), ""
    choices = CHOICES.get(key, {})
    words = {word.casefold(): value for word, value in choices.items()}
    if text.casefold() in words:
        return words[text.casefold()], ""
    if key == "read.encoding":
        return _encoding(text), ""
    if text in words.values() or not choices or (key == "read.delimiter" and len(text) == 1):
        return text, ""
    hint = nearest(text, tuple(choices))
    first = next(iter(choices.values()))  # so that it is complained of once
    return first, f"found {show(text)}; expected one of {', '.join(choices)}{hint}"


def _encoding(text: str) -> str:
    """Return what we call an encoding that Python knows by another name; others as they are."""
    with suppress(LookupError):
        meant = codecs.lookup(text).name
        return next((one for one in ENCODINGS if codecs.lookup(one).name == meant), text)
    return text


def _fill(
    sheet: _Sheet, table: str, drafts: dict[str, _Draft], complaints: list[Complaint]
) -> None:
    """Take over what a table's sheet says."""
    owner = "transactions" if table in CHILDREN else table
    known = targets(table)
    for number, cells in sheet.rows():
        name = cells.get(FIELD, "")
        filled = [column for column in TABLE_COLUMNS[3:-1] if column in cells]
        if not filled:
            continue
        if name not in known:
            text = f"found {show(name)}; expected a field of {table}{nearest(name, known)}"
            complaints.append(Complaint(sheet.cell(number, FIELD), text))
            continue
        if owner not in drafts:
            text = f'the file "{owner}" has no name in the sheet "{FILES_SHEET}"'
            complaints.append(Complaint(sheet.cell(number, filled[0]), text))
            continue
        draft = drafts[owner]
        is_date = known[name].kind in _DATES
        source, complaint = _source(cells, is_date=is_date)
        if complaint:
            complaints.append(Complaint(sheet.cell(number, filled[-1]), complaint))
            continue
        key = f"{'map' if table == owner else table}.{name}"
        _set(draft, key, source, sheet.cell(number, filled[0]))
        if FORMAT in cells:
            draft.cells[f"{key}.format"] = sheet.cell(number, FORMAT)
        if REMARKS in cells:
            draft.remarks.append(f"{table}.{name}: {cells[REMARKS]}")


def _source(cells: dict[str, str], *, is_date: bool) -> tuple[object, str]:
    """Return a source as TOML writes it, and a complaint or ""."""
    given = [column for column in (COLUMN, FIXED, CALCULATION) if column in cells]
    if len(given) != 1:
        what = " and ".join(f'"{column}"' for column in given) or f'only "{FORMAT}"'
        return "", f"found {what}; expected one of the three ways to give a value"
    if is_date:
        return _date(cells)
    if FORMAT in cells:
        return "", f'found "{FORMAT}"; this field is no date'
    if given == [FIXED]:
        return {"const": cells[FIXED]}, ""
    if given == [CALCULATION]:
        return {"expr": cells[CALCULATION].removeprefix("=").strip()}, ""
    parts = _parts(cells[COLUMN])
    return (parts[0] if len(parts) == 1 else {"join": parts}), ""


def _date(cells: dict[str, str]) -> tuple[object, str]:
    if COLUMN not in cells:
        return "", "a date comes from a column"
    if FORMAT not in cells:
        return "", f'"{FORMAT}" is missing; write for instance DD.MM.YYYY HH:mm'
    parts = _parts(cells[COLUMN])
    times: object = parts[1] if len(parts) == 2 else parts[1:]  # noqa: PLR2004  date and time
    time = {"time": times} if len(parts) > 1 else {}
    return {"date": parts[0], **time, "format": cells[FORMAT]}, ""


def _parts(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"\s\+\s", text)]


def _fill_values(sheet: _Sheet, drafts: dict[str, _Draft], complaints: list[Complaint]) -> None:
    """Turn pairs of words into `values` of the field's source."""
    for number, cells in sheet.rows():
        place = sheet.cell(number, FIELD)
        name, yours, ours = (cells.get(column, "") for column in VALUE_COLUMNS)
        table, _, target = name.rpartition(".")
        table = table or "transactions"
        draft = drafts.get("transactions" if table in CHILDREN else table)
        section = "map" if draft and table == draft.table else table
        source = draft.raw.get(section, {}).get(target) if draft else None
        if draft is None or source is None:
            text = f"found {show(name)}; expected a field that has a column, as in kind or"
            complaints.append(Complaint(place, f"{text} tenders.method"))
        elif not (yours and ours):
            complaints.append(Complaint(place, "expected your value and ours"))
        else:
            refined = source if isinstance(source, dict) else {"column": source}
            refined.setdefault("values", {})[yours] = ours
            _set(draft, f"{section}.{target}", refined, draft.cells[f"{section}.{target}"])
            draft.cells[f"{section}.{target}.values.{yours}"] = place


def _set(draft: _Draft, key: str, value: object, cell: str) -> None:
    table, _, name = key.rpartition(".")
    (draft.raw.setdefault(table, {}) if table else draft.raw)[name] = value
    draft.cells[key] = cell


def _check(draft: _Draft, complaints: list[Complaint]) -> None:
    """Have the feed read as the configuration would, and lead each mistake to its cell."""

    def complain(key: str, text: str) -> None:
        parts = key.replace('"', "").split(".")
        places = (".".join(parts[:end]) for end in range(len(parts), -1, -1))
        found = next(place for place in places if place in draft.cells)
        where = "" if found == key else f"{key}: "
        sheet = draft.cells[found]
        if not found and parts[0] == "map":
            sheet = f"{draft.table}!{_letters(TABLE_COLUMNS.index(COLUMN))}1"
        complaints.append(Complaint(sheet, f"{where}{text}"))

    read_feed(draft.raw, complain)


def _toml(draft: _Draft) -> str:
    """Write one feed, remarks as comments."""
    lines = [f"# {line}" for remark in draft.remarks for line in remark.splitlines()]
    feed = tomlkit.table()
    for name, value in draft.raw.items():
        if not isinstance(value, dict):
            feed.add(name, value)
        elif value:
            inner = tomlkit.table()
            for key, one in value.items():
                inner.add(key, _inline(one) if isinstance(one, dict) else one)
            feed.add(name, inner)
    document = tomlkit.document()
    feeds = tomlkit.aot()
    feeds.append(feed)
    document.add("feeds", feeds)
    return "\n".join([*lines, tomlkit.dumps(document)])


def _inline(value: dict[str, Any]) -> tomlkit.items.InlineTable:
    made = tomlkit.inline_table()
    for key, one in value.items():
        made.add(key, _inline(one) if isinstance(one, dict) else one)
    return made


def _text(cell: object) -> str:
    """Return a cell as a person sees it: whole numbers without a decimal point."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def _letters(index: int) -> str:
    """Return a column's letters: 0 is A, 26 is AA."""
    letters = ""
    number = index + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
