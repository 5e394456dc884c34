"""Date formats: how they are cut, and what is wrong with a wrong one."""

from __future__ import annotations

import pytest

from tilldrop.formats import NAMED, check, has_time, quoted, tokens


@pytest.mark.parametrize(
    "written",
    [
        *NAMED,
        "YYYY-MM-DD",
        "D/M/YYYY HH:mm",
        "DD.MM.YY H:mm:ss",
        "YYYYMMDDHHmmss",
        "YYYY-MM-DDTHH:mm:ss.fffZ",
        "DD-MMM-YYYY hh:mm a",
        "M/D/YY h:mma Z",
        "D/M/YYYY H:m:s",
        "DD-MMM-YYYY hh:mm a z",
        "YYYY年M月D日",
        "D/M/YYYY HH'h'mm",
        "D 'de' MMM 'de' YYYY",
        "DD.MM.'YY",
    ],
)
def test_sound_format_is_accepted(written: str) -> None:
    assert check(written) is None


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "the year is missing"),
        ("D/M", "the year is missing"),
        ("YYYY-DD", "the month is missing"),
        ("MM/YYYY", "the day is missing"),
        ("dd.mm.yyyy", '"dd" means nothing'),
        ("YYYY-MMMM-DD", '"MMMM" means nothing'),
        ("YYYY-MM-DD at HH", '"t" means nothing'),
        ("DD/MM/YYYY HH h mm b", "quote it: 'b'"),
        ("DD/M'1'YYYY", "M and 1 need something between them"),
        ("DD.MM.YYYY YY", "the year stands there twice"),
        ("DD.MM.YYYY mm", "the minute needs the hour"),
        ("DD.MM.YYYY HH:ss", "the second needs the minute"),
        ("DD.MM.YYYY HH:mm.fff", "the fraction needs the second"),
        ("DD.MM.YYYY hh:mm", "need a (AM or PM)"),
        ("DD.MM.YYYY HH:mm a", "goes with hh or h"),
        ("DD.MM.YYYY z HH:mm", "the zone (z) stands last"),
        ("DD.MM.YYYY HH:mmZ z", "the offset stands there twice"),
        ("DD.MM.YYYY H:ms", "m and s need something between them"),
        ("DMYYYY", "D and M need something between them"),
        ("YYYYMD", "M and D need something between them"),
        ("DD.M20YY", "M and 20 need something between them"),
    ],
)
def test_wrong_format_is_explained(written: str, why: str) -> None:
    assert why in str(check(written))


def test_format_is_cut_into_fields_and_text_for_itself() -> None:
    cut = [(token.field, token.text) for token in tokens("D. MMM YYTHH")]
    assert cut == [
        ("D", "D"),
        ("", ". "),
        ("MMM", "MMM"),
        ("", " "),
        ("YY", "YY"),
        ("", "T"),
        ("HH", "HH"),
    ]


@pytest.mark.parametrize(
    ("written", "texts"),
    [
        ("H'h'mm", ["H", "h", "mm"]),
        ("D 'd''h' M", ["D", " ", "d'h", " ", "M"]),
        ("D''M", ["D", "'", "M"]),
        ("M'YY", ["M", "'", "YY"]),
    ],
)
def test_quoted_text_stands_for_itself(written: str, texts: list[str]) -> None:
    cut = tokens(written)
    assert [token.text for token in cut] == texts
    assert "".join(token.written for token in cut) == written


@pytest.mark.parametrize("text", ["h", " h ", "", ":", "o'clock", "14"])
def test_what_is_quoted_is_read_as_one_text(text: str) -> None:
    assert "".join(token.text for token in tokens(quoted(text))) == text
    assert not any(token.field for token in tokens(quoted(text)))


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("DD.MM.YYYY", False),
        ("DD.MM.YYYY 'HH'", False),
        ("DD.MM.YYYY H:mm", True),
        ("D/M/YY h a", True),
        ("iso", True),
    ],
)
def test_format_tells_whether_it_holds_a_time(written: str, answer: bool) -> None:  # noqa: FBT001
    assert has_time(written) is answer
