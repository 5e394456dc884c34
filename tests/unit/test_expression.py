"""Expressions: what they mean, and where a mistake in one is said to be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilldrop.expression import MAX_CHARS, Expression, Mistake, Tree, parse


def parsed(text: str) -> Expression:
    found = parse(text)
    assert isinstance(found, Expression), found
    return found


def mistake(text: str) -> Mistake:
    found = parse(text)
    assert isinstance(found, Mistake), found
    return found


A, B, C = (("column", name) for name in "ABC")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("A", A),
        ("[Unit Price]", ("column", "Unit Price")),
        ("[ Unit Price ]", ("column", "Unit Price")),
        ("[-]", ("column", "-")),
        ("Größe", ("column", "Größe")),
        ("A + B * C", ("+", A, ("*", B, C))),
        ("(A + B) * C", ("*", ("+", A, B), C)),
        ("A - B - C", ("-", ("-", A, B), C)),
        ("-A * B", ("*", ("negate", A), B)),
        ("A - -B", ("-", A, ("negate", B))),
        ("A*(1-B)", ("*", A, ("-", ("number", "1"), B))),
        ("A * 0.01", ("*", A, ("number", "0.01"))),
        ("  A  ", A),
    ],
)
def test_expression_becomes_this_tree(text: str, tree: Tree) -> None:
    assert parsed(text).tree == tree


def test_columns_are_named_once_in_order_of_appearance() -> None:
    assert parsed("B * [Unit Price] + B * A").columns == ("B", "Unit Price", "A")


@pytest.mark.parametrize(
    ("text", "position", "why"),
    [
        ("", 1, "found the end"),
        ("   ", 1, "found the end"),
        ("A +", 4, "found the end"),
        ("A * * B", 5, 'found "*"'),
        ("A B", 3, 'found "B"'),
        ("A / 2", 3, "no division"),
        ("0,5 * A", 2, "decimal point"),
        (".5 * A", 1, "begins with a digit"),
        ("1e5 * A", 2, 'found "e5"'),
        ("(A", 3, "the ( at 1 is not closed"),
        ("A)", 2, "not opened"),
        ("A + [B", 5, "not closed"),
        ("B]", 2, "not opened"),
        ("[]", 2, "between [ and ]"),
        ("A  ? B", 4, '"?" means nothing'),
        ("1 + 2", 1, "no column"),
        ("٣ * A", 1, "means nothing"),
        ("(" * 60 + "A" + ")" * 60, 51, "nested"),
        ("A" * (MAX_CHARS + 1), MAX_CHARS + 1, "longer than"),
    ],
)
def test_mistake_is_said_with_its_place(text: str, position: int, why: str) -> None:
    found = mistake(text)
    assert found.position == position
    assert why in found.text


@given(st.text(alphabet="AB1.0+-*()[] ,é\n\0", max_size=200))
def test_any_text_is_an_expression_or_a_mistake_within_it(text: str) -> None:
    found = parse(text)
    if isinstance(found, Mistake):
        assert 1 <= found.position <= len(text) + 1


NAMES = st.text("aB1-+*(.é", min_size=1, max_size=8)


def leaves() -> st.SearchStrategy[Tree]:
    numbers = st.decimals(0, 1000, places=2).map(lambda number: ("number", str(number)))
    return st.one_of(NAMES.map(lambda name: ("column", name)), numbers)


def branches(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.one_of(
        st.tuples(st.sampled_from("+-*"), inner, inner), inner.map(lambda one: ("negate", one))
    )


def written(tree: Tree) -> str:
    match tree:
        case ("column", name):
            return f"[{name}]"
        case ("number", number):
            return str(number)
        case ("negate", tuple(inner)):
            return f"-({written(inner)})"
        case (sign, tuple(left), tuple(right)):
            return f"({written(left)}) {sign} ({written(right)})"
    raise AssertionError(tree)


@given(st.recursive(leaves(), branches, max_leaves=8))
def test_every_tree_that_is_written_out_reads_back_the_same(tree: Tree) -> None:
    found = parse(written(tree))
    if isinstance(found, Expression):
        assert found.tree == tree
    else:
        assert "no column" in found.text
