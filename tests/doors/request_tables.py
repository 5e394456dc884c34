"""The tables of docs/requests.md, read so that a test can walk them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

MANUAL = Path(__file__).parents[2] / "docs" / "requests.md"
VERDICTS = ("allowed", "harmless", "refused")
_WORD = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Row:
    """What is said of one request. first: its code or verb. replies: all that may be answered."""

    first: str
    name: str
    verdict: str
    replies: frozenset[str]

    @property
    def is_refused(self) -> bool:
        """Whether none of the replies may be a success."""
        return self.verdict == "refused"


def rows(title: str) -> list[Row]:
    """Read the table under a heading: first, name, verdict, replies, and words for people."""
    section = MANUAL.read_text().split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    found = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if not line.startswith("| `"):
            continue
        first, name, verdict, replies = cells[:4]
        [word] = _WORD.findall(first)
        found.append(Row(word, name.strip("`"), verdict, frozenset(_WORD.findall(replies))))
    return found
