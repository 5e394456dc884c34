"""The encoding of a sample's bytes, and why.

Promises that what is certain is said to be: a byte-order mark or valid UTF-8 with letters beyond
ASCII; a code page is chosen by how plausible its letters are. Never changes a byte.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from tilldrop.guess.vocabulary_more import SIGNS

_PROBE_BYTES = 4 * 1024**2
_CODE_PAGES = ("cp1252", "mac-roman", "cp850", "cp437", "latin-1", "cp1250", "cp1251")
_LETTERS = frozenset("äöüÄÖÜßéèêëàâùûôîïçœæÉÈÀÇÊñÑáíóúÁÍÓÚãõÃÕìòåÅøØ")
_SIGNS = frozenset("€£¥°®©™’‘“”–—…«»¡¿ºª§½\u00a0\u202f·•")
_SHOWN = 3
_OTHER_SCRIPTS = ("cp1251", "koi8-r", "shift_jis", "gb18030", "euc-kr")
_WORDS_ENOUGH = 2


@dataclass(frozen=True, slots=True)
class Encoding:
    """An encoding by the name that mappings use."""

    name: str
    evidence: str
    confidence: str


def find_encoding(raw: bytes) -> Encoding:
    """Return the encoding of a file's (first) bytes."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if raw.startswith(mark):
            return Encoding(name, "a byte-order mark says so", "high")
    probe = raw[:_PROBE_BYTES]
    if b"\0" in probe[:2000]:
        even, odd = probe[0:2000:2].count(0), probe[1:2000:2].count(0)
        name = "utf-16-le" if odd > even else "utf-16-be"
        return Encoding(name, "every other byte is zero", "high")
    if probe.isascii():
        return Encoding("utf-8", "there are plain letters only", "high")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(probe, final=len(probe) == len(raw))
    except UnicodeDecodeError:
        return _code_page(probe)
    return Encoding("utf-8", "the accented letters are valid UTF-8", "high")


def decode(raw: bytes, encoding: str) -> str:
    """Return the text without a byte-order mark; a cut character at the end is left out."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    return decoder.decode(raw).removeprefix("\ufeff")


def _code_page(probe: bytes) -> Encoding:
    """Choose the code page whose letters are the most plausible."""
    other = _other_script(probe)
    if other is not None:
        return other
    scores: dict[str, float] = {}
    for name in _CODE_PAGES:
        try:
            text = probe.decode(name)
        except UnicodeDecodeError:
            continue
        scores[name] = _plausible(text)
    best = max(scores, key=lambda name: scores[name], default="cp1252")
    words = re.findall(r"\w*[^\W\x00-\x7f]+\w*", probe.decode(best, "replace"))
    shown = ", ".join(f'"{word[:20]}"' for word in list(dict.fromkeys(words))[:_SHOWN])
    rivals = [one for one, score in scores.items() if one != best and score > 0.8 * scores[best]]
    same = all(probe.decode(name, "replace") == probe.decode(best, "replace") for name in rivals)
    evidence = "no valid UTF-8" + (f"; so read, it holds {shown}" if shown else "")
    return Encoding(best, evidence, "high" if same and scores.get(best, 0) > 0 else "medium")


def _other_script(probe: bytes) -> Encoding | None:
    """Return the code page of another script if words of columns are found in it."""
    found = {}
    for name in _OTHER_SCRIPTS:
        text = codecs.getincrementaldecoder(name)("replace").decode(probe[:65536])
        if text.count("\ufffd") <= 0.001 * len(text):
            shown = [word for word, _ in SIGNS if word in text.lower()]
            found[name] = shown
    best = max(found, key=lambda name: len(found[name]), default="")
    if not best or len(found[best]) < _WORDS_ENOUGH:
        return None
    words = ", ".join(f'"{word}"' for word in found[best][:_SHOWN])
    return Encoding(best, f"no valid UTF-8; so read, it holds {words}", "high")


def _plausible(text: str) -> float:
    """Score the characters beyond ASCII: letters within words well, oddities badly."""
    points = 0.0
    count = 0
    for found in re.finditer(r"[^\x00-\x7f]", text[:400_000]):
        char, at = found[0], found.start()
        before = text[at - 1 : at]
        after = text[at + 1 : at + 2]
        count += 1
        if char in _LETTERS:
            cased = not before.isalpha() or not (char.isupper() and before.islower())
            points += 1.0 if (before.isalpha() or after.isalpha()) and cased else 0.1
        elif char in _SIGNS:
            points += -1.0 if before.isalpha() and after.isalpha() and char not in "’·" else 0.9
        elif char.isalpha():
            points += 0.1
        else:
            points -= 1.0
    return points / count if count else 0.0
