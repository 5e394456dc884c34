"""Regular expressions that people write into mappings: which are taken.

Promises that no pattern taken here needs time that doubles with each character: what is repeated
without limit has one length. What is left can still be slow on a long cell (`.*.*x`: the square of
its length), and the worker's time limit ends that. Never matches anything.
"""

from __future__ import annotations

import re

_WITHOUT_LIMIT = re.compile(r"[*+]|\{[0-9]*,\}|\{(?:[0-9]*,)?[0-9]{2,}\}")
_OF_MANY_LENGTHS = re.compile(r"[*+?|]|\{([0-9]*),(?!\1\})[0-9]*\}")
_HEAD = r"\((?:\?(?:P<\w+>|P=\w+|#[^)]*|<?[=!]|\(\w+\)|>|[a-zA-Z-]*:|[a-zA-Z]+(?=\))))?"
# Escapes, classes and the heads of groups are one piece each, so that what they hold counts for
# nothing; so is a quantifier with the sign that makes it lazy or possessive.
_PIECE = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|" + _HEAD + r"|\)|(?P<many>[*+?]|\{[0-9,]+\})[?+]?|.",
    re.DOTALL,
)


def check(text: str, *, groups: int | None = 1) -> str | None:
    """Say what is wrong with a pattern, or None. groups: how many it must have, None: any."""
    try:
        found = re.compile(text).groups
    except (re.error, OverflowError, RecursionError) as wrong:
        if not isinstance(wrong, re.error) or wrong.pos is None:
            return str(wrong)
        return f"{wrong.msg}, at character {wrong.pos + 1}"
    if groups is not None and found != groups:
        return f"expected one group in parentheses, found {found or 'none'}"
    at = _ambiguous(text)
    if at:
        return (
            f"at character {at}, what has no fixed length is repeated, which can take for ever;"
            " leave out the outer or the inner repetition"
        )
    return None


def _ambiguous(text: str) -> int:
    """Find a repeated group whose content has no fixed length: its sign from 1, 0 if none."""
    varies = [False]  # for each group that is open here
    closed = False  # the piece before closed a group that varies
    for piece in _PIECE.finditer(text):
        sign = piece["many"] or piece[0]
        if closed and _WITHOUT_LIMIT.fullmatch(sign):
            return piece.start() + 1
        closed = False
        if piece[0].startswith("("):
            varies.append(False)
        elif piece[0] == ")" and len(varies) > 1:
            closed = varies.pop()
            varies[-1] = varies[-1] or closed
        elif _OF_MANY_LENGTHS.fullmatch(sign):
            varies[-1] = True
    return 0
