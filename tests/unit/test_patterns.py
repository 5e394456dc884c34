"""Patterns in mappings: what is refused, and that what is taken ends soon."""

from __future__ import annotations

import re
import time

import pytest

from tilldrop import patterns

TAKEN = [
    r"store-([0-9]+)",
    r"^(\d{4}-\d{2}-\d{2})_",
    r"([\d.]+)\.csv$",
    r"(-?\d{1,3}(?:,\d{3})*)",
    r"(?:ab){3}(.*?)x",
    r"[(*+]+(a)",
    r"\(+(a)",
    r"(?i)(?P<n>\w+)_(?P=n)",
    r"(?:sale|refund) (.+)$",
    r"a(b+)?(?:c+)?",
    r"([^]*)]+)",
]


@pytest.mark.parametrize("pattern", TAKEN)
def test_pattern_with_one_group_is_taken(pattern: str) -> None:
    groups = re.compile(pattern).groups
    assert patterns.check(pattern, groups=groups) is None


@pytest.mark.parametrize("pattern", TAKEN)
def test_pattern_that_is_taken_ends_soon(pattern: str) -> None:
    began = time.monotonic()
    for text in ("a" * 3000 + "!", "1" * 3000 + "!", "ab" * 1500 + "!", ",000" * 800 + "x"):
        re.search(pattern, text)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("pattern", "at"),
    [
        (r"((?:a+)+)$", 8),
        (r"((?:a*)*)$", 8),
        (r"(?:a+?){2,}(b)", 8),
        (r"(?:\w+\s?)*(b)", 11),
        (r"(?:a|aa)+(b)", 9),
        (r"(?:a?a)*(b)", 8),
        (r"(?:(?:ab)*c){10,20}(x)", 13),
        (r"(?P<n>a{1,5})*", 14),
        (r"(?:(?:a+))*(b)", 11),
    ],
)
def test_repetition_of_what_varies_is_refused(pattern: str, at: int) -> None:
    assert (patterns.check(pattern) or "").startswith(f"at character {at}, ")


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(a", "missing ), unterminated subpattern, at character 1"),
        ("[a(b)", "unterminated character set, at character 1"),
        ("a", "expected one group in parentheses, found none"),
        ("(a)(b)", "expected one group in parentheses, found 2"),
        ("(a{99999999999999999999})", "the repetition number is too large"),
    ],
)
def test_what_is_wrong_is_said(pattern: str, said: str) -> None:
    assert patterns.check(pattern) == said


def test_pattern_that_only_finds_lines_needs_no_group() -> None:
    assert patterns.check("^(Total|EOF)", groups=None) is None
    assert patterns.check("^Total", groups=None) is None
