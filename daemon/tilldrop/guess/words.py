"""What column names and values say: the vocabulary applied.

Owns the words of values (void, refund, total rows). `strength` tells how surely a name means a
role, 0 to 10. Names are evidence only: what they say is checked against the values elsewhere.
Never reads a file.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from tilldrop.guess.vocabulary import ROLES

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_OTHER = re.compile(r"[^a-z0-9%#]+")
_CURRENCY = re.compile(
    r"(?: in)? (?:eur|usd|gbp|chf|inr|brl|cad|aud|jpy|euros?|dollars?|us dollars?|pounds?|rs|rupees?|pln|sek|dkk|nok)$"
)
_NAMELESS = re.compile(r"#\d+")

VOID = frozenset(
    [
        "void",
        "voided",
        "voids",
        "cancelled",
        "canceled",
        "cancel",
        "cancellation",
        "deleted",
        "training",
        "test",
        "aborted",
        "abandoned",
        "failed",
        "declined",
        "rejected",
        "reversed",
        "storniert",
        "abgebrochen",
        "abbruch",
        "belegabbruch",
        "schulung",
        "training",
        "geloscht",
        "annule",
        "annulee",
        "annulla",
        "annullato",
        "annullata",
        "stornato",
        "anulado",
        "anulada",
        "cancelado",
        "cancelada",
        "anulata",
        "geannuleerd",
        "vervallen",
        "trainingsbon",
        "uebungsbon",
        "ubungsbon",
        "expired",
        "error",
    ]
)
OPEN = frozenset(
    [
        "open",
        "pending",
        "draft",
        "parked",
        "hold",
        "layaway",
        "quote",
        "quotation",
        "estimate",
        "saved",
        "unpaid",
        "offen",
        "entwurf",
        "geparkt",
        "angebot",
        "ouvert",
        "attente",
        "brouillon",
        "devis",
        "abierto",
        "pendiente",
        "borrador",
        "presupuesto",
        "aperto",
        "attesa",
        "bozza",
        "preventivo",
        "aberto",
        "pendente",
        "rascunho",
        "orcamento",
        "concept",
        "offerte",
        "wacht",
        "processing",
        "authorized",
    ]
)
REFUND = frozenset(
    [
        "refund",
        "refunded",
        "refunds",
        "return",
        "returned",
        "returns",
        "retn",
        "rtn",
        "credit",
        "creditnote",
        "retoure",
        "ruckgabe",
        "rueckgabe",
        "gutschrift",
        "erstattung",
        "remboursement",
        "rembourse",
        "retour",
        "avoir",
        "devolucion",
        "devoluciones",
        "reembolso",
        "abono",
        "rimborso",
        "reso",
        "resi",
        "notacredito",
        "devolucao",
        "estorno",
        "terugbetaling",
        "creditnota",
        "retouren",
        "ritorno",
    ]
)
# Which of these a storno is, the amounts must tell.
STORNO = frozenset(
    ["storno", "belegstorno", "stornierung", "reversal", "annulation", "anulacion", "annullamento"]
)
SALE = frozenset(
    [
        "sale",
        "sales",
        "sold",
        "purchase",
        "payment",
        "paid",
        "completed",
        "complete",
        "closed",
        "verkauf",
        "kauf",
        "vente",
        "venta",
        "vendita",
        "venda",
        "verkoop",
        "order",
        "normal",
        "success",
        "succeeded",
        "approved",
        "settled",
        "ok",
        "done",
        "fulfilled",
        "abgeschlossen",
        "bezahlt",
        "termine",
        "payee",
        "completado",
        "pagado",
        "completato",
        "pagato",
        "concluido",
        "pago",
        "voltooid",
        "betaald",
        "invoice",
        "finished",
    ]
)
SUMMARY = frozenset(
    [
        "total",
        "totals",
        "subtotal",
        "sum",
        "summe",
        "gesamt",
        "gesamtsumme",
        "zwischensumme",
        "somme",
        "totale",
        "totaal",
        "totaux",
        "suma",
        "subtotale",
        "subtotaal",
        "eof",
        "end",
        "ende",
        "fin",
        "trailer",
        "trl",
        "summary",
        "count",
        "records",
        "rows",
        "anzahl",
        "grand",
        "report",
        "generated",
        "exported",
        "tagessumme",
        "endsumme",
        "general",
    ]
)
TRUE = frozenset(
    [
        "true",
        "yes",
        "y",
        "1",
        "x",
        "ja",
        "j",
        "oui",
        "o",
        "si",
        "s",
        "sim",
        "vrai",
        "wahr",
        "verdadero",
        "vero",
        "t",
    ]
)
FALSE = frozenset(
    ["false", "no", "n", "0", "nein", "non", "nao", "nee", "faux", "falsch", "falso", "f"]
) | {""}
NULLS = frozenset(
    [
        "null",
        "n/a",
        "na",
        "#n/a",
        "\\n",
        "nil",
        "none",
        "(null)",
        "-",
        "--",
        "---",
        "nan",
        "<null>",
        "(blank)",
        "(none)",
        "nul",
        "?",
        ".",
        "*null*",
    ]
)

WEEKDAYS: tuple[frozenset[str], ...] = tuple(
    frozenset(names.split())
    for names in (
        "monday mon montag mo lundi lun lunes lunedi segunda maandag ma seg",
        "tuesday tue tues dienstag di mardi mar martes martedi terca dinsdag ter",
        "wednesday wed mittwoch mi mercredi mer miercoles mie mercoledi quarta woensdag wo qua",
        "thursday thu thur thurs donnerstag do jeudi jeu jueves jue giovedi gio quinta donderdag qui",
        "friday fri freitag fr vendredi ven viernes vie venerdi sexta vrijdag vr sex",
        "saturday sat samstag sonnabend sa samedi sam sabado sab sabato zaterdag za",
        "sunday sun sonntag so dimanche dim domingo dom domenica zondag zo",
    )
)
_FOREIGN = {
    "German": r"datum|uhrzeit|filial|menge|preis|betrag|beleg|rechnung|kasse|artikel|anzahl|summe|gesamt|kunde|steuer|mwst",
    "French": r"\b(?:heure|magasin|quantite|prix|montant|facture|caisse|produit|libelle|vente|commande|tva|boutique|remise)\b",
    "Spanish": r"\b(?:fecha|hora|tienda|cantidad|precio|importe|factura|caja|producto|venta|descuento|sucursal)\b",
    "Italian": r"\b(?:ora|negozio|quantita|prezzo|importo|scontrino|cassa|prodotto|vendita|sconto|totale|data)\b",
    "Portuguese": r"\b(?:hora|loja|quantidade|preco|fatura|caixa|produto|venda|desconto|valor)\b",
    "Dutch": r"\b(?:datum|tijd|winkel|filiaal|aantal|prijs|bedrag|kassa|artikel|korting|btw|klant|bon)\b",
}


@cache
def fold(name: str) -> str:
    """Return a name in small letters without accents, its words apart by single blanks."""
    apart = _CAMEL.sub(" ", name.replace("ß", "ss").replace("°", "o "))
    if not _NAMELESS.fullmatch(name):
        apart = apart.replace("#", " no ")
    bare = unicodedata.normalize("NFKD", apart).encode("ascii", "ignore").decode().lower()
    return _OTHER.sub(" ", bare.replace("_", " ")).strip()


@cache
def strength(role: str, name: str) -> int:
    """Return how surely a column's name means a role: 0 to 10."""
    folded = _CURRENCY.sub("", fold(name)) or fold(name)
    joined = folded.replace(" ", "")
    for pattern, points in _compiled(role):
        if pattern.search(folded) or (joined != folded and pattern.fullmatch(joined)):
            return points
    return 0


def says(name: str, *roles: str, least: int = 6) -> bool:
    """Tell whether a name means one of the roles at least so surely."""
    return any(strength(role, name) >= least for role in roles)


def word(value: str) -> str:
    """Return a cell's value as the word sets write words: folded, blanks removed."""
    return fold(value).replace(" ", "")


def has_word(value: str, words: frozenset[str]) -> bool:
    """Tell whether a cell's value is or holds one of the words."""
    folded = fold(value)
    return folded.replace(" ", "") in words or any(one in words for one in folded.split())


def language(header: tuple[str, ...]) -> str:
    """Name the language of the column names, "" if it is English or none."""
    folded = [fold(name) for name in header]
    counts = {
        tongue: sum(bool(re.search(pattern, name)) for name in folded)
        for tongue, pattern in _FOREIGN.items()
    }
    best = max(counts, key=lambda tongue: counts[tongue])
    return best if counts[best] >= 2 else ""


def known(name: str) -> bool:
    """Tell whether a name is a word of any role."""
    return any(strength(role, name) for role in ROLES)


@cache
def _compiled(role: str) -> tuple[tuple[re.Pattern[str], int], ...]:
    return tuple((re.compile(pattern), points) for pattern, points in ROLES[role])
