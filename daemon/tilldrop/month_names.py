"""The names of months in the languages of the tills that we meet, for MMM in a date's format.

Owns the table. Promises that no name means two months. English, German, French, Spanish, Italian,
Portuguese, Dutch, Polish, Swedish, Danish and Norwegian; with or without accents.
"""

from __future__ import annotations

import unicodedata
from functools import cache

MONTHS: tuple[str, ...] = (
    (
        "january jan januar jänner jän januari janvier janv enero ene gennaio gen janeiro "
        "stycznia styczeń sty"
    ),
    (
        "february feb februar februari février févr fév febrero febbraio fevereiro fev lutego "
        "luty lut"
    ),
    "march mar märz mär mrz maart mrt mars marzo março marca marzec marts",
    "april apr avril avr abril abr aprile kwietnia kwiecień kwi",
    "may mai mei mayo maggio mag maio maja maj",
    "june jun juni juin junio giugno giu junho czerwca czerwiec cze",
    "july jul juli juillet juil julio luglio lug julho lipca lipiec lip",
    "august aug augustus augusti août agosto ago sierpnia sierpień sie",
    (
        "september sep sept septembre septiembre setiembre settembre set setembro września "
        "wrzesień wrz"
    ),
    (
        "october oct oktober okt octobre octubre ottobre ott outubro out października "
        "październik paź"
    ),
    "november nov novembre noviembre novembro listopada listopad lis",
    (
        "december dec dezember dez décembre déc desember des diciembre dic dicembre dezembro "
        "grudnia grudzień gru"
    ),
)


@cache
def months_by_name() -> dict[str, int]:
    """Return the number of the month that each name means; names in small letters."""
    found: dict[str, int] = {}
    for number, names in enumerate(MONTHS, 1):
        for name in names.split():
            found[name] = found[_without_accents(name)] = number
    return found


def _without_accents(name: str) -> str:
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
