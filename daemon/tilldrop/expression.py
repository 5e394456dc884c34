"""Arithmetic over columns, as mappings write it: text to a tree.

    expression = term { ("+" | "-") term }
    term       = factor { "*" factor }
    factor     = "-" factor | "(" expression ")" | number | column
    number     = digits, with a decimal point and digits if wanted
    column     = a plain word | "[" any name without "]" "]"

There is no division, because it is not exact: `* 0.01` divides by a hundred. At least one
column must occur. Never evaluates anything; the importer does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# ("column", name) | ("number", decimal text) | ("+" | "-" | "*", left, right) | ("negate", operand)
Tree = tuple[object, ...]

MAX_CHARS = 1000
_MAX_DEPTH = 50  # nobody nests deeper by hand, and the parser is recursive
_PIECE = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?)|(?P<word>[^\W\d]\w*)|\[(?P<name>[^\[\]]*)\]|(?P<sign>[-+*()]))"
)


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression. columns: each once, in order of first appearance."""

    tree: Tree
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mistake:
    """position: the character, counted from 1, at which reading stopped."""

    position: int
    text: str


class _Stopped(Exception):
    def __init__(self, position: int, text: str) -> None:
        super().__init__(text)
        self.mistake = Mistake(position, text)


@dataclass(frozen=True, slots=True)
class _Piece:
    kind: str  # number, column, sign, or "end"
    text: str
    position: int


def parse(text: str) -> Expression | Mistake:
    """Read an expression; never raises."""
    if len(text) > MAX_CHARS:
        return Mistake(MAX_CHARS + 1, f"longer than {MAX_CHARS} characters")
    try:
        pieces = _pieces(text)
        parser = _Parser(pieces)
        tree = parser.expression()
        parser.expect_end()
    except _Stopped as stopped:
        return stopped.mistake
    columns = tuple(dict.fromkeys(piece.text for piece in pieces if piece.kind == "column"))
    if not columns:
        return Mistake(1, "no column occurs in it")
    return Expression(tree, columns)


def _pieces(text: str) -> list[_Piece]:
    """Cut the text; the last piece is the end."""
    pieces = []
    at = 0
    end = len(text.rstrip())
    while at < end:
        found = _PIECE.match(text, at)
        if found is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise _Stopped(at + 1, _why_not(text[at]))
        kind = found.lastgroup or ""
        position = found.start(kind) + 1
        name = found[kind].strip() if kind == "name" else found[kind]
        if not name:
            raise _Stopped(position, "a column's name stands between [ and ]")
        pieces.append(_Piece("column" if kind in {"word", "name"} else kind, name, position))
        at = found.end()
    pieces.append(_Piece("end", "the end", end + 1))
    return pieces


def _why_not(char: str) -> str:
    """Say why a character begins no piece."""
    return {
        "/": "there is no division, it is not exact; multiply, as in * 0.01",
        ",": "numbers are written with a decimal point, as in 0.5",
        "[": "this [ is not closed by a ]",
        "]": "this ] was not opened by a [",
        ".": "a number begins with a digit, as in 0.5",
    }.get(char, f'"{char}" means nothing here; a column with an odd name stands in [brackets]')


class _Parser:
    def __init__(self, pieces: list[_Piece]) -> None:
        self._pieces = pieces
        self._next = 0
        self._depth = 0

    def expression(self) -> Tree:
        tree = self._term()
        while self._peek().text in {"+", "-"} and self._peek().kind == "sign":
            tree = (self._take().text, tree, self._term())
        return tree

    def expect_end(self) -> None:
        piece = self._peek()
        if piece.kind == "end":
            return
        if piece.text == ")":
            raise _Stopped(piece.position, "this ) was not opened by a (")
        raise _Stopped(
            piece.position,
            f'expected + - * or the end, found "{piece.text}";'
            " a column name with blanks stands in [brackets]",
        )

    def _term(self) -> Tree:
        tree = self._factor()
        while self._peek().text == "*" and self._peek().kind == "sign":
            tree = (self._take().text, tree, self._factor())
        return tree

    def _factor(self) -> Tree:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _Stopped(self._peek().position, f"nested more than {_MAX_DEPTH} deep")
        piece = self._take()
        if piece.kind in {"number", "column"}:
            tree: Tree = (piece.kind, piece.text)
        elif piece.text == "-" and piece.kind == "sign":
            tree = ("negate", self._factor())
        elif piece.text == "(" and piece.kind == "sign":
            tree = self.expression()
            closing = self._take()
            if closing.text != ")" or closing.kind != "sign":
                raise _Stopped(closing.position, f"the ( at {piece.position} is not closed")
        else:
            seen = piece.text if piece.kind == "end" else f'"{piece.text}"'
            raise _Stopped(piece.position, f"expected a column, a number or (, found {seen}")
        self._depth -= 1
        return tree

    def _peek(self) -> _Piece:
        return self._pieces[self._next]

    def _take(self) -> _Piece:
        piece = self._pieces[self._next]
        if piece.kind != "end":
            self._next += 1
        return piece
