"""The language of column names, and the days of the week in several.

Promises to name a language only if two columns speak it. Never looks at an amount.
"""

from __future__ import annotations

import re

from tilldrop.guess import words

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
    "Polish": r"\b(?:sprzedaz\w*|ilosc|cena|kwota|sklep|paragon|nazwa|platnosc|godzina|razem)\b",
    "Scandinavian": r"\b(?:butikk?|antall?|belopp|belob|belop|kvitto|kvittering|dato|moms|mva|varenavn|betaling)\b",
    "Turkish": r"\b(?:tarih\w*|adet|tutar|fiyat\w*|urun\w*|magaza|odeme|satis)\b",
    "Czech": r"\b(?:datum|mnozstvi|cena|celkem|prodejna|uctenka|nazev|dph)\b",
    "Indonesian": r"\b(?:tanggal|harga|toko|barang|penjualan|pembayaran|transaksi)\b",
    "Dutch": r"\b(?:datum|tijd|winkel|filiaal|aantal|prijs|bedrag|kassa|artikel|korting|btw|klant|bon)\b",
}


def language(header: tuple[str, ...]) -> str:
    """Name the language of the column names, "" if it is English or none."""
    folded = [words.fold(name) for name in header]
    counts = {
        tongue: sum(bool(re.search(pattern, name)) for name in folded)
        for tongue, pattern in _FOREIGN.items()
    }
    best = max(counts, key=lambda tongue: counts[tongue])
    return best if counts[best] >= 2 else ""
