"""What a missing column may be called now.

Owns the words that mean the same in tills' headers. Promises a guess for a person to judge, never
one that anything is booked by. Costs nothing for a file that has its columns: it is asked only
about one that lacks some.
"""

from __future__ import annotations

import re
import unicodedata
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from tilldrop.importer.plan import fold

if TYPE_CHECKING:
    from collections.abc import Sequence

LIKELY = 0.6  # below it nothing is said
SAME_PLACE = 0.65  # a new column where the missing one was, whatever it is called
SYNONYM = 0.9
SAME_WORDS = 0.8
MAX_COMPARED = 200  # columns of a header

# A line each; names are compared without case, accents, blanks and signs.
_SYNONYMS = """
total amount grandtotal gross sum totalamount amountpaid betrag gesamt summe montant importe totale
net nettotal netamount netto subtotal
date saledate transactiondate orderdate businessdate day datum fecha data
time saletime transactiontime uhrzeit heure hora ora tijd
datetime timestamp soldat createdat created when dateandtime
store branch location shop outlet site storeid branchid locationid storenumber filiale magasin
receipt receiptno receiptid receiptnumber ticket ticketno bill billno bon bonnummer beleg no number
transaction transactionid transactionno order orderid invoice invoiceid invoiceno receiptnumber
quantity qty units count menge quantite cantidad quantita aantal
price unitprice preis einzelpreis prix precio prezzo prijs
tax vat gst mwst ust tva iva btw salestax taxamount
discount rabatt remise descuento sconto korting
payment tender method paymentmethod paymenttype paidby zahlart paiement pago
customer customerid member memberid client clientid kunde kundennummer shopper
product productid item itemid article articleid artikel artikelnummer sku produit
cashier operator employee staff user clerk bediener caissier
register till terminal pos device kasse caisse
tip tips gratuity trinkgeld pourboire propina
name description title bezeichnung libelle descripcion
kind type transactiontype art
currency waehrung wahrung devise moneda
"""
_GROUPS = tuple(frozenset(line.split()) for line in _SYNONYMS.strip().splitlines())


def renamings(
    missing: Sequence[str], header: Sequence[str], needed: Sequence[str], before: Sequence[str]
) -> dict[str, str]:
    """Return, for missing columns, the column of the file that each may be now.

    header: the file's. needed: all columns that are mapped. before: the header of an earlier
    file, () if none is known. No column of the file stands for two.
    """
    taken = {fold(name) for name in needed}
    known = {fold(name) for name in before}
    free = [name for name in header[:MAX_COMPARED] if name and fold(name) not in taken]
    scores = sorted(
        (
            (_likeness(lost, name, header, before, is_new=fold(name) not in known), lost, name)
            for lost in missing
            for name in free
        ),
        key=lambda one: -one[0],
    )
    found: dict[str, str] = {}
    for score, lost, name in scores:
        if score >= LIKELY and lost not in found and name not in found.values():
            found[lost] = name
    return found


def _likeness(
    lost: str, name: str, header: Sequence[str], before: Sequence[str], *, is_new: bool
) -> float:
    if before and not is_new:
        return 0.0  # it stood beside the missing one before, so it is something else
    score = _alike(lost, name)
    if before and _place(lost, before) == _place(name, header):
        score = max(SAME_PLACE, score + (1 - score) / 2)
    return score


def _alike(one: str, other: str) -> float:
    """Return how much two names look alike or mean the same, 0 to 1."""
    first, second = _plain(one), _plain(other)
    if not first or not second:
        return 0.0
    if first == second:
        return 1.0
    if any(first in group and second in group for group in _GROUPS):
        return SYNONYM
    words, others = _words(one), _words(other)
    if words <= others or others <= words:
        return SAME_WORDS
    return SequenceMatcher(None, first, second).ratio()


def _place(name: str, header: Sequence[str]) -> int:
    return next((at for at, one in enumerate(header) if fold(one) == fold(name)), -1)


def _plain(name: str) -> str:
    """Return a name without case, accents, blanks and signs."""
    parts = unicodedata.normalize("NFKD", name.casefold())
    return "".join(char for char in parts if char.isalnum())


def _words(name: str) -> frozenset[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return frozenset(re.findall(r"[^\W_]+", spaced.casefold()))
