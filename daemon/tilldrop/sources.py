"""What a mapped value is made of: the nouns of the mapping language, as plain values.

Owns the source types and how they and the feeds cross a pipe as JSON. Promises that what
`encode` writes `decode` makes equal again. Never reads a customer's file. The grammar stands in
`mapping`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal

from tilldrop import expression

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tilldrop.expression import Tree

Take = Literal["sum", "first"]
Case = Literal["", "upper", "lower"]


@dataclass(frozen=True, slots=True)
class FromColumn:
    """The value of one column. take: how rows of one transaction are joined, if any are."""

    column: str
    take: Take = "first"


@dataclass(frozen=True, slots=True)
class FirstOf:
    """The first of several columns that is not empty."""

    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value in every row; of an amount, its decimal text."""

    value: str


@dataclass(frozen=True, slots=True)
class FromFileName:
    """What the pattern's one group finds in the file's name (its last part, case kept)."""

    pattern: str


@dataclass(frozen=True, slots=True)
class FromFolder:
    """What the pattern's one group finds in the folder part of the file's name."""

    pattern: str


@dataclass(frozen=True, slots=True)
class FromPreamble:
    """What the pattern's one group finds in a line before the header; the first line that fits."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Joined:
    """Several columns' values, blanks trimmed, joined; no part may be empty."""

    columns: tuple[str, ...]
    glue: str


@dataclass(frozen=True, slots=True)
class Computed:
    """Exact arithmetic over columns.

    text: as written. tree: as `expression.Tree` says. columns: those it names.
    empty_is_zero: an empty cell counts as 0 unless all are empty.
    """

    text: str
    tree: Tree
    columns: tuple[str, ...]
    take: Take = "sum"
    empty_is_zero: bool = False


@dataclass(frozen=True, slots=True)
class When:
    """A date, or a date and time, as `sold_at` takes it.

    date: a column, or "" where `given` says it for the whole file (file name, folder, preamble).
    times: no column, one, or several that are joined by ":" (hour and minute apart).
    formats: for date, or date + " " + time if there are times; tried in order.
    zone: IANA name, "" for the location's or the customer's; used where the value itself names
    no offset. zone_column: a column that names a zone in each row, "" for none; what it says is
    looked up in `zones`, an IANA name or a name that people use.
    """

    date: str
    times: tuple[str, ...]
    formats: tuple[str, ...]
    zone: str = ""
    zone_column: str = ""
    given: FromFileName | FromFolder | FromPreamble | None = None


@dataclass(frozen=True, slots=True)
class Refined:
    """A source with something done to its value, in this order.

    match: a pattern with one group that takes a part of it; no match is empty. case. values:
    what a value becomes (compared without case and outer blanks); others stay unless `strict`,
    where they are a fault. default: for empty.
    For an amount only `default` is there, a decimal text.
    """

    source: Source
    match: str = ""
    case: Case = ""
    values: dict[str, str] = field(default_factory=dict)
    strict: bool = False
    default: str = ""


@dataclass(frozen=True, slots=True)
class Lookup:
    """A column of an earlier master file of the same customer.

    table: products, shoppers or locations. value: its column, as targets are written.
    by: the column of this file that holds the key.
    """

    table: str
    value: str
    by: str


@dataclass(frozen=True, slots=True)
class Sql:
    """A DuckDB expression over this file's columns, all of them texts.

    columns: those it names.
    """

    text: str
    columns: tuple[str, ...]


Source = (
    FromColumn
    | FirstOf
    | Constant
    | FromFileName
    | FromFolder
    | FromPreamble
    | Joined
    | Computed
    | When
    | Refined
)


def compute(text: str, take: Take, *, empty_is_zero: bool = False) -> Computed:
    """Make a computed source. Raises ValueError if the expression has a mistake."""
    parsed = expression.parse(text)
    if isinstance(parsed, expression.Expression):
        return Computed(text, parsed.tree, parsed.columns, take, empty_is_zero)
    raise ValueError(parsed.text)


def columns_of(source: Source) -> tuple[str, ...]:
    """Return the names of the columns that a source needs, in the order in which it takes them."""
    match source:
        case FromColumn(column=column):
            return (column,)
        case FirstOf(columns=columns) | Joined(columns=columns) | Computed(columns=columns):
            return columns
        case When(date=date, times=times, zone_column=zone_column):
            return tuple(name for name in (date, *times, zone_column) if name)
        case Refined(source=inner):
            return columns_of(inner)
    return ()


def encode(value: object) -> Any:
    """Return plain values that `json` can write."""
    if isinstance(value, Computed):
        # The text says it all; the tree is made from it again.
        return {
            "is": "Computed",
            "text": value.text,
            "take": value.take,
            "empty_is_zero": value.empty_is_zero,
        }
    if is_dataclass(value):
        plain = {one.name: encode(getattr(value, one.name)) for one in fields(value)}
        return {"is": type(value).__name__, **plain}
    if isinstance(value, dict):
        # One level deeper, because a column may be called "is".
        return {"is": "dict", "of": {name: encode(one) for name, one in value.items()}}
    if isinstance(value, (tuple, list)):
        return [encode(one) for one in value]
    return value


def decode(plain: Any, types: Mapping[str, Callable[..., Any]]) -> Any:
    """Make the value that `encode` wrote. types: name -> type, of those beyond this module's.

    Raises KeyError, TypeError or ValueError on anything else.
    """
    if isinstance(plain, list):
        return tuple(decode(one, types) for one in plain)
    if not isinstance(plain, dict):
        return plain
    if plain["is"] == "dict":
        return {name: decode(one, types) for name, one in plain["of"].items()}
    values = {name: decode(one, types) for name, one in plain.items() if name != "is"}
    if plain["is"] == "Computed":
        return compute(values["text"], values["take"], empty_is_zero=values["empty_is_zero"])
    return (types.get(plain["is"]) or _TYPES[plain["is"]])(**values)


_TYPES: dict[str, Callable[..., Any]] = {
    made.__name__: made
    for made in (
        *(FromColumn, FirstOf, Constant, FromFileName, FromFolder, FromPreamble),
        *(Joined, When, Refined, Lookup, Sql),
    )
}
