"""A draft as TOML, each choice with its evidence beside it.

Promises that what is written is read again as the same feed, and that a draft with open
questions is written so that it cannot be used unseen.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tilldrop.guess.draft import Draft, Question

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_MARK = {"high": "", "medium": " (likely)", "low": " (uncertain)"}
_ORDER = ("location_id", "transaction_id", "total", "sold_at")


def to_toml(drafts: list[Draft]) -> str:
    """Write all feeds."""
    return "\n".join(_feed(draft) for draft in drafts)


def value(plain: object) -> str:
    """Write a TOML value on one line."""
    if isinstance(plain, bool):
        return "true" if plain else "false"
    if isinstance(plain, int | float):
        return str(plain)
    if isinstance(plain, str):
        return text(plain)
    if isinstance(plain, list | tuple):
        return "[" + ", ".join(map(value, plain)) + "]"
    if isinstance(plain, dict):
        return "{ " + ", ".join(f"{key(name)} = {value(one)}" for name, one in plain.items()) + " }"
    raise TypeError(type(plain).__name__)


def text(plain: str) -> str:
    """Write a string, literally where it holds backslashes."""
    if "\\" in plain and "'" not in plain and plain.isprintable():
        return f"'{plain}'"
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    escaped = "".join(char if char.isprintable() else _escape(char) for char in escaped)
    return f'"{escaped}"'


def _escape(char: str) -> str:
    return f"\\U{ord(char):08x}"


def key(name: str) -> str:
    """Write a key, quoted where it must be."""
    return name if _BARE.fullmatch(name) else text(name)


def _feed(draft: Draft) -> str:
    lines = [f"# {_plain(draft.sample)}: {_verdict(draft)}"]
    lines += [f"# {_plain(note)}" for note in draft.notes]
    if draft.refusal:
        return "\n".join([*lines, f"# {_plain(draft.refusal)}", ""])
    lines += [line for question in draft.questions for line in _asked(question)]
    lines += ["[[feeds]]", f"name = {text(draft.name)}", f"files = {value(draft.files)}"]
    if draft.preset:
        lines += _said(draft, "preset", text(draft.preset))
    if draft.table != "transactions":
        lines += _said(draft, "table", text(draft.table))
    if draft.rows:
        lines += _said(draft, "rows", text(draft.rows))
    for name, plain in draft.keys.items():
        lines += _said(draft, name, value(plain))
    lines += _tables(draft)
    return "\n".join([*lines, ""])


def _verdict(draft: Draft) -> str:
    return {
        "refused": "no mapping can read it",
        "open": "open questions; it cannot be used before they are answered",
        "confirm": "a proposal; compare its figures with the till's before it goes live",
        "confident": "every choice is borne out by the rows",
    }[draft.verdict]


def _tables(draft: Draft) -> list[str]:
    lines: list[str] = []
    quiet = [
        choice
        for target, choice in draft.choices.items()
        if target.startswith("read.") and target[5:] not in draft.read
    ]
    if draft.read or quiet:
        lines += ["", "[feeds.read]"]
        lines += [f"# {_plain(one.evidence)}{_MARK[one.confidence]}" for one in quiet]
        for name, plain in draft.read.items():
            lines += _said(draft, f"read.{name}", value(plain), name)
    if draft.columns:
        lines += ["", "[feeds.columns]"]
        for name, plain in draft.columns.items():
            lines += _said(draft, f"columns.{name}", value(plain), key(name))
    if draft.map:
        lines += ["", "[feeds.map]"]
    for name in sorted(draft.map, key=lambda one: _ORDER.index(one) if one in _ORDER else 9):
        lines += _said(draft, f"map.{name}", value(draft.map[name]), name)
    if draft.where:
        lines += ["", "[feeds.map.where]"]
        lines += [f"{key(name)} = {value(values)}" for name, values in draft.where.items()]
    for table, section in draft.sections:
        lines += ["", f"[[feeds.{table}]]"]
        lines += [f"{name} = {value(plain)}" for name, plain in section.items()]
    return lines


def _said(draft: Draft, target: str, written: str, name: str = "") -> list[str]:
    choice = draft.choices.get(target)
    line = f"{name or target} = {written}"
    if choice is None:
        return [line]
    return [f"# {_plain(choice.evidence)}{_MARK[choice.confidence]}", line]


def _asked(question: Question) -> list[str]:
    lines = [f"# QUESTION {question.key}: {_plain(question.text)}"]
    return lines + [
        f"#   {_plain(option.value)}: {_plain(option.meaning)}" for option in question.options
    ]


def _plain(words: str) -> str:
    """Keep a sample's text from ending the comment that it stands in."""
    return "".join(char if char.isprintable() else " " for char in words)
