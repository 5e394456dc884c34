"""What the values of a status, a type or a flag mean, as words: the sets of them.

Owns the words, folded as `words.word` folds a value. Never looks at a column's name.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


VOID = _words(
    """
    abandoned abbruch abgebrochen abgelaufen abgelehnt aborted annule annulee annulla
    annullata annullato annulleret anulada anulado anulata anulowana anulowano anulowany
    basarisiz batal belegabbruch blocked cancel cancelada cancelado canceled cancellation
    cancelled declined deleted denied dibatalkan echoue echouee error expire expired expiree
    failed falhou fallida fallido fallita fallito fehlgeschlagen geannuleerd geloscht
    geweigerd iptal makulerad mislukt nieudana odrzucona rechazada rechazado recusada recusado
    refuse refusee rejected reversed rifiutata rifiutato schulung stornato storniert test
    training trainingsbon ubungsbon uebungsbon ungueltig ungultig unsuccessful unsuccessfull
    verlopen vervallen void voided voids zruseno
    """
)
OPEN = _words(
    """
    aben aberto abierto afwachting angebot aperto attente attesa ausstehend authorized
    beklemede bekliyor borrador bozza brouillon concept devis draft entwurf estimate geparkt
    hold incomplete layaway oczekujace oczekuje offen offerte open orcamento otwarte ouvert
    parked pendant pendente pendiente pending presupuesto preventivo processing quotation
    quote rascunho saved sospeso unpaid vantande wacht wartend
    """
)
REFUND = _words(
    """
    abono aterkop avoir chargeback credit creditnota creditnote devolucao devolucion
    devoluciones devolvida devolvido devuelta devuelto dobropis erstattet erstattung estorno
    gutschrift iade korekta kreditnota notacredito reembolsada reembolso refund refunded
    refunds rembourse remboursee remboursement resi reso retn retour retoure retouren retur
    return returned returns rimborsata rimborso ritorno rtn ruckerstattung ruckgabe rueckgabe
    teilerstattet terugbetaald terugbetaling vratka zuruckerstattet zwrocono zwrot zwroty
    """
)
STORNO = _words(
    """
    annulation annullamento anulacion belegstorno reversal stornierung storno
    """
)
SALE = _words(
    """
    abgeschlossen abonada accepte accepted acceptee aceptada aceptado active approvata
    approvato approved aprobada aprobado aprovada aprovado betaald bezahlt billed captured
    closed cobrada cobrado collected completado completato complete completed concluido
    confirmed consegnata consegnato delivered dispatched done dostarczone entregada entregado
    entregue enviada enviado erfolgreich erledigt exitosa exitoso expedie expediee final
    finished forsaljning fulfilled gebucht geleverd geliefert geslaagd gueltig gultig invoice
    invoiced kauf live livre livree normal ok oplacone order pagado pagato pago paid payee
    payment posted processed prodej purchase received riuscita riuscito sale sales salg satis
    selesai settled shipped sold spedita spedito sprzedaz succeeded success successful
    tamamlandi termine valid valide validee venda vendita venta vente verbucht verified
    verkauf verkoop versandt versendet verzonden voltooid wyslane zaplacone zrealizowane
    """
)
SUMMARY = _words(
    """
    anzahl celkem count end ende endsumme eof exported fin general generated gesamt
    gesamtsumme grand itogo lacznie ogolem razem records report rows somme subtotaal subtotal
    subtotale sum suma summary summe tagessumme toplam totaal total totale totals totalt
    totaux trailer trl zwischensumme
    """
)
TRUE = _words(
    """
    1 j ja o oui s si sim t true verdadero vero vrai wahr x y yes
    """
)
FALSE = _words(
    """
    0 f falsch false falso faux n nao nee nein no non
    """
) | {""}
NULLS = frozenset(
    [
        "#n/a",
        "(blank)",
        "(none)",
        "(null)",
        "*null*",
        "-",
        "--",
        "---",
        ".",
        "<null>",
        "?",
        "\\n",
        "error",
        "invalid",
        "missing",
        "n.a.",
        "n/a",
        "n/d",
        "na",
        "nan",
        "nil",
        "none",
        "not available",
        "nul",
        "null",
        "undefined",
        "unknown",
    ]
)
# What stands beside such a word and changes nothing: "Shipped - Delivered to Buyer".
BESIDE = _words(
    """
    a account add and bank buyer by card charge from funds recurring sent cash checkout customer de debit der die du e ecommerce express in la le mass
    mobile of on online order orders paiement payment pago pagamento pos preapproved received sale store
    subscription terminal the to transaction und via web website zahlung zahlungseingang
    """
)
# With what the numbers of refunds begin.
REFUND_PREFIXES = _words(
    """
    av avo c cn cr dev g gs gu n nc r re ref res ret rf rfd rim rt rtn st sto tb
    """
)
