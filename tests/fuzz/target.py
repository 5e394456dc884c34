"""What a target of the fuzzer is, and the mutations that know what they change.

A target takes any bytes and returns, or raises: whatever it raises is a finding. Its judgements
stand in the target itself. Never imports the fuzzing engine: the cases that were found are
replayed without it.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

MAPPINGS = Path(__file__).parents[1] / "mappings"
CASES = Path(__file__).parent / "cases"
# Between a mapping and the file that it reads: one input of the fuzzer has both.
RULE = b"\n=====\n"
SEED_MOST_BYTES = 20_000

_LIES = (0, 1, 0x7F, 0xFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1)
_TOKEN = re.compile(rb'"[^"\n]*"|[A-Za-z0-9_#.:-]+|[^\sA-Za-z0-9]')
_DELIMITERS = (b",", b";", b"\t", b"|", b"\n", b" ")
# Cells and marks at which readers of numbers, dates, quotation and text have gone wrong.
_ODD = tuple(
    text.encode()
    for text in (
        *(
            '"',
            '""',
            "\r",
            "\r\n",
            "\n",
            "\0",
            "\ufeff",
            "\t",
            "'",
            " ",
            "\u00a0",
            "\u2028",
            "\x85",
        ),
        *("0", "-0", "-1", "1.005", "1e3", "nan", "inf", "9" * 19, "9" * 40, "0." + "9" * 20),
        *("1,234.56", "1.234,56", "(5)", "5-", "$5", "€ 5,00", "\u22125", "٣", "½", "+", ".", ","),
        *("2026-02-30", "0000-00-00", "2026-03-29 02:30", "2026-10-25T02:30:00Z", "24:00"),
        *("12/31/99", "9999-12-31T23:59:59.999999+14:00", "-0001-01-01", "1 Jan 26", "noon"),
        *(
            "=1+1",
            "NULL",
            "\U0001f4a9",
            "é",
            "e\u0301",
            "\u0130",
            "\u017f",
            "\u01c5",
            "\x1b[31m",
            "\x1a",
        ),
        *("4111111111111111", "4111 1111 1111 1111", "x" * 300),
    )
)


@dataclass(frozen=True)
class Target:
    """One part of Tilldrop, and how it is fed.

    begin: with an empty folder of its own, gives what takes each input. mutate: changes an input
    as that part understands it; None: bytes alone. within_s: what one input may take.
    """

    name: str
    what: str
    begin: Callable[[Path], AbstractContextManager[Callable[[bytes], None]]]
    seeds: Callable[[], Iterable[bytes]]
    mutate: Callable[[random.Random, bytes], bytes] | None = None
    most_bytes: int = 4096
    within_s: int = 60  # what one input may take, on a machine that does much else


def bend(dice: random.Random, seed: bytes, odd: Sequence[bytes] = _ODD) -> bytes:
    """Change bytes here and there: flip, cut, repeat, insert, and lengths that lie.

    odd: what has gone wrong before, to be put in.
    """
    found = bytearray(seed)
    for _ in range(dice.choice((1, 1, 2, 4))):
        at = dice.randrange(len(found) + 1)
        match dice.randrange(6):
            case 0 if at < len(found):
                found[at] ^= 1 << dice.randrange(8)
            case 1:
                del found[at : at + dice.randint(1, 8)]
            case 2:
                found[at:at] = found[at : at + dice.randint(1, 32)]
            case 3:
                found[at:at] = dice.randbytes(dice.choice((1, 2, 4, 16)))
            case 4:
                size = dice.choice((1, 2, 4, 8))
                order = dice.choice(("big", "little"))
                found[at : at + size] = (dice.choice(_LIES) % 256**size).to_bytes(size, order)
            case _:
                found[at:at] = dice.choice(odd)
    return bytes(found)


def bend_table(dice: random.Random, raw: bytes) -> bytes:
    """Change a file of records: a cell, a record, a mark; sometimes its bytes."""
    if not raw or dice.random() < 0.15:
        return bend(dice, raw)
    lines = raw.split(b"\n")
    at = dice.randrange(len(lines))
    match dice.randrange(7):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[dice.randrange(len(lines))])
        case 2 if len(lines) < 200:
            lines[at:at] = [lines[at]] * dice.randint(1, 20)
        case 3:
            mark, other = dice.choice(_DELIMITERS), dice.choice((*_DELIMITERS, *_ODD))
            lines[at] = lines[at].replace(mark, other)
        case _:
            mark = dice.choice((b",", b",", b",", b";", b"\t", b"|"))
            cells = lines[at].split(mark)
            cell = dice.randrange(len(cells))
            cells[cell] = dice.choice(
                (dice.choice(_ODD), bend(dice, cells[cell]), b'"' + cells[cell] + b'"', b"")
            )
            lines[at] = mark.join(cells)
    return b"\n".join(lines)


def bend_mapping(dice: random.Random, text: bytes) -> bytes:
    """Change a mapping by its own words: those of all mappings of the tests and presets."""
    tokens, lines_known = grammar()
    lines = text.split(b"\n")
    at = dice.randrange(len(lines))
    match dice.randrange(6):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, dice.choice(lines_known))
        case 2:
            key = lines[at].partition(b"=")[0]
            lines[at] = key + b"=" + dice.choice(lines_known).partition(b"=")[2]
        case 3:
            lines[at] = bend(dice, lines[at])
        case _:
            found = list(_TOKEN.finditer(lines[at]))
            if found:
                place = dice.choice(found)
                new = dice.choice((*dice.sample(tokens, 3), *_numbers(dice)))
                lines[at] = lines[at][: place.start()] + new + lines[at][place.end() :]
    return b"\n".join(lines)


def _numbers(dice: random.Random) -> tuple[bytes, ...]:
    return (str(dice.choice(_LIES)).encode(), b"-1", b'""', b'"' + dice.choice(_ODD) + b'"')


def bend_mapping_and_table(dice: random.Random, raw: bytes) -> bytes:
    """Change a mapping, the file below it, or both."""
    mapping, rule, table = raw.partition(RULE)
    if not rule:
        return dice.choice(mapped_files())
    which = dice.random()
    if which < 0.5:
        mapping = bend_mapping(dice, mapping)
    if which > 0.35:
        table = bend_table(dice, table)
    return mapping + rule + table


@cache
def grammar() -> tuple[list[bytes], list[bytes]]:
    """Return the words and the lines of all mappings that are here."""
    presets = MAPPINGS.parents[1] / "daemon" / "tilldrop" / "importer" / "presets"
    paths = [*sorted(MAPPINGS.glob("[!p]*/mapping.toml")), *sorted(presets.glob("*.toml"))]
    lines = sorted({line for path in paths for line in path.read_bytes().splitlines() if line})
    return sorted({token for line in lines for token in _TOKEN.findall(line)}), lines


@cache
def mapped_files() -> list[bytes]:
    """Return each mapping of the tests with its input below, as targets take them."""
    return list(_mapped_files())


def _mapped_files() -> Iterator[bytes]:
    for folder in sorted(MAPPINGS.iterdir()):
        mapping = folder / "mapping.toml"
        if mapping.exists() and folder.parent.name != "private":
            [given] = folder.glob("input.*")
            raw = mapping.read_bytes() + RULE + given.read_bytes()
            if len(raw) <= SEED_MOST_BYTES:
                yield raw


def inputs() -> list[bytes]:
    """Return the files alone."""
    return [raw.partition(RULE)[2] for raw in mapped_files()]


def parse(text: bytes) -> dict[str, object] | None:
    """Read a mapping's TOML as the configuration does; None if it is none."""
    try:
        return tomllib.loads(text.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError):
        return None


def cases(name: str) -> dict[str, bytes]:
    """Return what was found by a target and mended since: a name that tells it, and the input."""
    folder = CASES / name
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*")) if path.is_file()}
