"""What a long number in a column is likely to be: a card, or one of a till's many other numbers.

Owns the rule by which `card_scan` tells cards from order numbers and barcodes; docs/card-data.md
explains it. One number in ten passes the check digit by chance, so a column of other numbers
shows itself by those that fail, and a column's name and its place in the mapping count as well.
Never reads a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tilldrop.importer.cards import is_usual
from tilldrop.sources import Joined, Refined, columns_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tilldrop.mapping import Feed

Kind = Literal["no card", "card", "store", "mapped id", "id", "text", "other"]
# How a number stands in its cell: alone, after a word that means a card, or among other text.
Standing = Literal["alone", "card", "text"]

DISTINCT_KEPT = 5_000  # of a column's numbers; more say nothing new
MOSTLY = 0.5
NEARLY_ALL = 0.8
SOME = 0.3
# So many distinct numbers must pass before a column of ids is taken for one of cards. By chance:
# once in 100,000 files and once in 1,000, if all its numbers have an issuer's prefix.
_LEAST_OF_IDS = {"mapped id": 5, "id": 3}
LEAST_UNUSUAL = 3  # of networks and lengths that few cards have


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


CARD_WORDS = _set(
    """
    card cards cardno cardnr cardnum cardnumber cc ccn ccno ccnum ccnumber creditcard debitcard
    pan pans primaryaccountnumber carte karte kreditkarte kartennummer kartennr tarjeta carta
    cartao kaart kaartnummer kort kortnummer karta visa mastercard amex maestro discover
    """
)
# A card's transaction is not its number.
_ABOUT_CARDS = _set("transaction trans txn id auth authorization approval terminal batch reader")
# Numbers with the same check digit that are no payment cards.
_STORE_WORDS = _set(
    """
    gift giftcard loyalty member membership bonus club reward rewards points voucher coupon
    fidelite kundenkarte fleet siret siren vat tva tax ocr kid imei iccid
    """
)
ID_WORDS = _set(
    """
    id ids no nr num number order orders invoice receipt transaction transactions trans trx
    txn ticket document doc barcode ean upc gtin gtin13 isbn sku plu item product article artikel
    style serial phone tel telephone mobile fax tracking awb parcel guid uuid
    customer shopper client kunde line timestamp epoch time date key code handle device
    terminal tid mid store shop branch batch zip postcode bestellung beleg bon rechnung commande
    facture ticketno pedido factura numero nummer deposit payout iban
    """
)
_TEXT_WORDS = _set(
    """
    note notes comment comments remark remarks memo message description text details
    bemerkung kommentar hinweis nota notas observaciones remarque commentaire opmerking
    """
)
_CODE_WORDS = _set(
    """
    cvv cvv2 cvc cvc2 csc cvn cav2 cid2
    """
)
_CODE_PHRASE = re.compile(r"security code|card code|card verification|verification (value|number)")
_OUTCOME_WORDS = _set(
    """
    status result results check response match checked
    """
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_A-Za-z]+")

_ID_TARGETS = _set(
    """
    transaction_id receipt_number original_transaction_id product_id sku barcode
    shopper_id register_id operator_id location_id loyalty_id phone
    """
)


def words_of(name: str) -> list[str]:
    """Return a column name's words, in lower case: CardNumber is card, number."""
    words = [word.casefold() for word in _WORD.findall(name)]
    whole = "".join(words)
    return [*words, whole] if len(words) > 1 else words


@dataclass(frozen=True, slots=True)
class Known:
    """Columns that the mapping says something of; names without outer blanks, casefolded.

    ids: mapped as ids or barcodes. not_cards: said to hold none, whatever their numbers look like.
    """

    ids: frozenset[str] = frozenset()
    not_cards: frozenset[str] = frozenset()


def kind_of(name: str, known: Known) -> Kind:
    """Return what a column's name and its place in the mapping say of its numbers."""
    folded = name.strip().casefold()
    if folded in known.not_cards:
        return "no card"
    words = set(words_of(name))
    if words & _STORE_WORDS:
        return "store"
    if words & CARD_WORDS and not words & _ABOUT_CARDS:
        return "card"
    if folded in known.ids:
        return "mapped id"
    if words & ID_WORDS:
        return "id"
    return "text" if words & _TEXT_WORDS else "other"


def holds_codes(name: str) -> bool:
    """Tell whether a column's name means card verification codes."""
    words = words_of(name)
    phrase = " ".join(words)
    named = bool(_CODE_WORDS & set(words)) or bool(_CODE_PHRASE.search(phrase))
    return named and not _OUTCOME_WORDS & set(words)


def known_of(feed: Feed) -> Known:
    """Return what a feed says of its columns."""
    sources = [feed.sources, *(section.sources for section in feed.sections)]
    ids: set[str] = set()
    for one in sources:
        for target, source in one.items():
            inner = source.source if isinstance(source, Refined) else source
            if target in _ID_TARGETS or isinstance(inner, Joined):
                ids.update(columns_of(source))
    return Known(_folded(ids), _folded(feed.not_cards))


def _folded(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.strip().casefold() for name in names)


@dataclass(slots=True)
class Evidence:
    """Numbers of one form in one column. numbers: distinct ones; cards: those that may be cards."""

    numbers: set[bytes] = field(default_factory=set, repr=False)
    cards: set[bytes] = field(default_factory=set, repr=False)

    def add(self, digits: bytes, *, may_be_card: bool) -> None:
        """Take a number into account."""
        if len(self.numbers) < DISTINCT_KEPT:
            self.numbers.add(digits)
            if may_be_card:
                self.cards.add(digits)


def are_cards(kind: Kind, standing: Standing, evidence: Evidence, *, in_card_groups: bool) -> bool:
    """Decide whether those of a column's numbers that may be cards are cards."""
    if not evidence.cards or kind == "no card":
        return False
    if standing == "card":
        return True
    share = len(evidence.cards) / len(evidence.numbers)
    if kind == "store":
        return share > MOSTLY and any(map(_is_of_a_bank, evidence.cards))
    if kind in _LEAST_OF_IDS:
        return share >= NEARLY_ALL and len(evidence.cards) >= _LEAST_OF_IDS[kind]
    if kind == "card" or in_card_groups:
        return share > SOME
    is_clear = kind == "text" or any(map(is_usual, evidence.cards))
    return share > MOSTLY and (is_clear or len(evidence.cards) >= LEAST_UNUSUAL)


def _is_of_a_bank(digits: bytes) -> bool:
    """Tell Visa, Mastercard and American Express, which no shop gives to cards of its own."""
    return is_usual(digits) and digits.startswith((b"2", b"4", b"5", b"34", b"37"))
