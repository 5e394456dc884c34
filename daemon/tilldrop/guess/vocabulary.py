"""The vocabulary of column names: what they say, in the languages of the tills that we meet.

Owns the patterns, over names as `words.fold` leaves them (no accents, small letters, words
apart): English, German, French, Spanish, Italian, Portuguese and Dutch. It is long because it is a
vocabulary. Never looks at a value.
"""

from __future__ import annotations

_NUMBER = r"(?:id|ids|no|nos|nr|nro|num|number|nummer|numero|n|ref|reference|referenz|code|key|#|uuid|guid|cod|codigo|codice|kennung)"
_SALE = (
    r"(?:transaction|transactions|trans|trx|txn|tran|receipt|rcpt|sale|sales|order|invoice|ticket|bill|check"
    r"|cheque|chk|basket|cart|purchase|payment|voucher|doc|document|bon|beleg|rechnung|rechnungs"
    r"|kassenbon|kassenbeleg|quittung|quittungs|transaktion|transaktions|vorgang|vorgangs|auftrag"
    r"|auftrags|bestell|bestellung|verkauf|verkaufs|buchung|buchungs|facture|recu|commande|vente"
    r"|piece|recibo|factura|pedido|venta|albaran|comprobante|boleta|transaccion|operacion|scontrino"
    r"|ricevuta|fattura|ordine|vendita|documento|transazione|fatura|talao|cupom|cupao|venda"
    r"|transacao|encomenda|compra|kassabon|bonnetje|factuur|bestelling|transactie|verkoop)"
)
_ITEM = (
    r"(?:product|item|article|artikel|sku|plu|prod|stock|ware|waren|produit|articulo|producto|prodotto"
    r"|articolo|produto|artigo|menu|pizza|dish|part|variant|model|title|book|isbn)"
)
_STORE = (
    r"(?:store|shop|branch|outlet|site|location|filiale|filial|filialen|standort|markt|laden|magasin"
    r"|boutique|pdv|tienda|sucursal|local|negozio|loja|winkel|vestiging|filiaal|filialnummer|restaurant|salon"
    r"|betriebsstatte|betriebsstaette|geschaft|geschaeft|etablissement|punto vendita|ponto de venda"
    r"|point de vente|punto de venta|verkaufsstelle|verkooppunt|depot|kiosk|station|sede|merchant location"
    r"|business location|cafe|theatre|theater|point of sale|sales point)"
)
_MONEY = (
    r"(?:total|totals|amount|amt|sum|value|gesamt|betrag|summe|wert|montant|somme|valeur|importe|suma|valor"
    r"|totale|importo|valore|somma|totaal|bedrag|waarde|turnover|umsatz|revenue|omzet|price|chiffre)"
)

# role -> patterns, best first, each with its strength.
ROLES: dict[str, tuple[tuple[str, int], ...]] = {
    "transaction": (
        (rf"\b{_SALE} {_NUMBER}\b", 10),
        (rf"\b(?:id|no|nr|nro|num|number|numero|n|n o|ref|reference|codigo|cod|codice) (?:de |do |da |del |della |di |du |der |des )?(?:la |l |el )?{_SALE}\b", 10),
        (rf"^{_SALE}(?:id|no|nr|num|number|nummer|code|ref|key)$", 10),
        (rf"^{_SALE}s?(?:id|nr|no|num|number|nummer)\b", 9),
        (r"^(?:increment id|bon id|sales record number|pos reference)$", 10),
        (r"^(?:bonnr|belegnr|bon nr|rgnr|re nr|rech nr|auftragsnr|kassenbonnr|zbon)", 9),
        (rf"^{_SALE}$", 7),
        (r"^(?:id|number|nummer|numero|nr|nro|num|no|ref|reference|referenz|name|key|uuid|guid|identifier)$", 4),
        (rf"\b{_SALE} (?:name|identifier|hash|uid)\b", 6),
    ),
    "line": (
        (r"\b(?:line|row|record|entry|zeile|zeilen|position|pos|positions|ligne|linea|renglon|riga|linha|regel|seq|sequence|index|item line|line item)(?: item)? (?:id|no|nr|num|number|nummer|numero|n|key|#)\b", 10),
        (r"\b(?:num|numero|n|no|id|nr) (?:de |di |da |do )?(?:la )?(?:ligne|linea|riga|linha|regel|zeile|position)\b", 10),
        (r"^(?:line|row|rowid|lineid|lineno|linenumber|linenr|zeile|zeilennr|position|pos|posnr|positionsnr|positionsnummer|ligne|linea|riga|linha|regel|regelnr|regelnummer|seq|sequence|index|row id|unnamed 0)$", 9),
        (r"\b(?:order|sale|sales|transaction|receipt|invoice)s? (?:item|line|detail|product)s? (?:id|no|number)\b", 10),
    ),
    "location": (
        (rf"\b{_STORE} {_NUMBER}\b", 10),
        (rf"\b(?:id|no|nr|num|number|numero|n|code|cod|codigo|codice) (?:de |do |da |del |della |di |du )?(?:la |l |el )?{_STORE}\b", 10),
        (rf"^{_STORE}(?:id|no|nr|num|number|nummer|code)$", 10),
        (r"^(?:filiaalnr|filiaalnummer|filialnr|filialnummer|marktnr|marktnummer|winkelnr|winkelnummer|standortnr)", 10),
        (rf"^{_STORE}$", 9),
        (rf"\b{_STORE} name\b|\bname {_STORE}\b|^(?:nom|nombre|nome|naam) (?:de |do |da |del |di |du |des )?(?:la |l |el )?{_STORE}$|^{_STORE}(?:name|naam)$", 8),
        (rf"\b(?:sales|retail|selling|pos|merchant) {_STORE}\b", 8),
        (rf"\b{_STORE}\b", 4),
    ),
    "place": ((r"\b(?:city|town|region|area|district|state|province|country|land|pays|pais|paese|stadt|ort|ville|ciudad|citta|cidade|stad|provincia|zone|territory|market|division|department|departement|abteilung|dept|warehouse|lager|entrepot)\b", 6),),
    "register": (
        (rf"\b(?:till|register|terminal|pos|workstation|lane|device|kasse|kassen|caisse|caja|cassa|caixa|kassa|tpv|checkout|cash register|drawer|station)(?: {_NUMBER}| name)?$", 9),
        (r"^(?:kassennr|kassennummer|kassanr|kassanummer|terminalid|registerid|tillno|tillid|deviceid|kassenid)", 10),
        (r"\b(?:id|no|nr|num|numero|n|nom) (?:de |do |da |del |di |du )?(?:la )?(?:caisse|caja|cassa|caixa|kassa|kasse|terminal|tpv)\b", 9),
    ),
    "operator": (
        (r"\b(?:cashier|clerk|staff|employee|server|waiter|salesperson|sales ?rep|seller|operator|user|sold by|team member|kassierer|kassiererin|bediener|verkaufer|verkaeufer|mitarbeiter|personal|kellner|vendeur|vendeuse|caissier|caissiere|serveur|employe|utilisateur|cajero|vendedor|empleado|dependiente|usuario|camarero|cassiere|operatore|venditore|commesso|addetto|funcionario|operador|medewerker|verkoper|kassier|kassiere|gebruiker|barista|stylist)\b", 8),
    ),
    "shopper": (
        (r"\b(?:customer|client|kunde|kunden|cliente|klant|klanten|member|guest|buyer|shopper|loyalty|patron|card ?holder|mitglied|fidelite|fidelity|socio|tessera|tarjeta|karte|kundenkarte|contact|account|company)(?: card| club)? (?:id|no|nr|num|number|nummer|numero|n|code|key|ref|#|codigo|codice)\b", 10),
        (r"\b(?:id|no|nr|num|numero|n|code|codigo|codice|cod) (?:de |do |da |del |di |du )?(?:la |l |el )?(?:client|cliente|klant|kunde|customer)\b", 10),
        (r"^(?:customerid|custid|kundennr|kundennummer|klantnr|klantnummer|clientid|memberid|userid|buyerid|loyaltyid|customercode|kdnr)", 10),
        (r"^(?:customer|client|kunde|cliente|klant|member|loyalty|kundenkarte|carte client|carte fidelite)$", 6),
    ),
    "date": (
        (r"\b(?:verkauft|gekauft|bestellt|erstellt) am\b|\b(?:vendu|achete|commande) le\b|\b(?:vendido|comprado) el\b|\bvenduto il\b|\bvendido em\b", 10),
        (r"\b(?:transaction|trans|trx|txn|sale|sales|sold|order|ordered|invoice|receipt|purchase|ticket|bill|business|check|payment|rechnung|rechnungs|beleg|bon|verkauf|verkaufs|kauf|bestell|transaktion|transaktions|buchung|buchungs|vente|facture|commande|venta|factura|pedido|compra|vendita|fattura|scontrino|ordine|venda|verkoop|factuur|transactie|bestel|emissao)s? ?(?:date|datetime|date time|dt|datum|timestamp|time|at|on|day|opened|created)\b", 10),
        (r"^(?:rechnungsdatum|belegdatum|bondatum|verkaufsdatum|kaufdatum|bestelldatum|transaktionsdatum|buchungsdatum|transactiedatum|factuurdatum|verkoopdatum|orderdatum|invoicedate|orderdate|saledate|transactiondate|transdate|datevente|datum uhrzeit|datumuhrzeit|datetime|date time|date heure|fecha hora|data ora|data hora|datum tijd)$", 10),
        (r"\b(?:date|fecha|data|datum) (?:de |della |di |da |del |do |et heure |y hora )?(?:la |l )?(?:vente|transaction|facture|commande|ticket|venta|factura|compra|pedido|operacion|transaccion|vendita|scontrino|fattura|transazione|ordine|venda|compra|transacao|pedido|emissao|operation|heure|hora|ora)\b", 10),
        (r"^(?:date|dt|datum|fecha|data|jour|tag|dia|giorno|dag|day|when|timestamp|zeitstempel|horodatage|zeitpunkt|moment)$", 9),
        (r"^(?:created|created at|created on|date created|created date|opened|opened at|closed|closed at|completed at|sold at|sold on|issued at|placed at|ordered at|local time|order created|timestamp utc|ts)\b", 8),
        (r"\b(?:date|datum|fecha|data|timestamp|datetime)\b|(?:datum|date)$", 3),
    ),
    "other-date": ((r"\b(?:bezahlt|versendet|versandt|geliefert|paye|expedie|pagado|pagato|spedito)\b|\b(?:ship|shipped|shipping|deliver|delivered|delivery|due|required|paid|fulfilled|updated|modified|changed|printed|exported|export|expiry|expires|birth|procured|procure|received|refund|void|cancel|cancelled|canceled|deposit|settle|settled|settlement|payout|start|end|joined|since|liefer|versand|falligkeit|faelligkeit|geburts|geandert|livraison|echeance|naissance|envio|entrega|vencimiento|spedizione|consegna|scadenza|lever|verval|next payment|closing|last|validity|signup)\b|lieferdatum|versanddatum|geburtsdatum|leverdatum|faelligkeits|falligkeits", 9),),
    "time": (
        (r"^(?:time|uhrzeit|zeit|heure|hora|ora|tijd|tijdstip|clock|time of day|zeit hhmm|hour minute)$", 10),
        (r"\b(?:transaction|trans|sale|sales|order|ordered|receipt|invoice|purchase|ticket|bon|beleg|kauf|verkaufs|rechnungs|order|bill|check|payment) ?(?:time|uhrzeit|zeit|hour)\b", 10),
        (r"^(?:heure|hora|ora|tijd)\b|\b(?:uhrzeit|heure|tijd)\b|zeit$|time$", 5),
    ),
    "total": (
        (r"\b(?:grand|order|transaction|receipt|invoice|sale|ticket|bill|check|basket|document) ?total\b", 10),
        (r"\b(?:grand|order|transaction|receipt|invoice|ticket|bill|check|basket)s? ?(?:total )?(?:amount|value|amt|sum)\b", 9),
        (r"\btotal (?:amount|collected|price|incl|inc|due|value|sales|sale|brutto|gross|with tax|ttc|general|factura|venta|ticket|a pagar|da pagare|documento|with vat|after tax|charged|order|ticket)\b", 9),
        (r"^(?:total|totale|totaal|totaux|gesamt|gesamtbetrag|gesamtsumme|endbetrag|endsumme|rechnungsbetrag|bonsumme|belegsumme|totaalbedrag|brutto|bruttobetrag|bruttosumme|bruttoumsatz|total ttc|ttc|montant ttc|importe total|totale documento|valor total|vlr total|vl total|gross|gross amount|gross sales|gross total|zahlbetrag|summe brutto|summe|somma|suma|montant total|totale scontrino|total eur|total incl|net a payer|net à payer|totaal incl|totaal incl btw|bedrag incl|bedrag incl btw|kassabon bedrag|bonbedrag|total com iva|total con iva|totale ivato|totale ivato)\b", 9),
        (r"^(?:amount|amt|betrag|montant|importe|importo|bedrag|valor|umsatz|omzet|value|sales|revenue|turnover|sale|sale amount|sales amount|basket value|verkaufsbetrag|ca ttc|wert|venta|ventas|vendite|vendas|dollar value|spend|total spend|money)\b", 7),
        (r"\b(?:total|gesamt|totale|totaal|montant|importe|importo|bedrag|betrag|brutto|amount|revenue|umsatz|ttc)\b|(?:betrag|summe|bedrag|umsatz)$", 5),
    ),
    "line-amount": (
        (r"\b(?:line|item|row|extended|ext|position|positions|zeilen|artikel|ligne|linea|riga|linha|regel|lineitem|product)s? (?:item )?(?:total|amount|amt|price total|value|sum|betrag|summe|sales|revenue)\b", 10),
        (r"^(?:linetotal|lineamount|extprice|extended price|positionsbetrag|zeilensumme|zeilenbetrag|positionssumme|regeltotaal|regelbedrag|montant ligne|total ligne|importe linea|totale riga|total linha|subtotal linea|item total|total item|gesamtpreis|totaalprijs|prix total|precio total|prezzo totale|preco total)\b", 10),
        (r"^sales$", 6),
    ),
    "quantity": (
        (r"^(?:total |number of |no of |nb |num |anzahl |nombre d |numero de )?(?:items|units|articles|artikel|pieces|products|qty|quantity|menge|articulos|unidades|articoli|pezzi|itens)(?: sold| count| total)?$|^(?:items?|product|article) count$", 10),
        (r"^(?:quantity|qty|quant|menge|anzahl|stuck|stueck|stk|quantite|qte|cantidad|cant|quantita|qta|quantidade|qtd|qtde|aantal|units|pieces|pcs|item count|count|(?:units|items|pieces|bottles|boxes|cases|packs|tickets) sold|verkaufte menge)$", 10),
        (r"\b(?:quantity|qty|menge|anzahl|quantite|cantidad|quantita|quantidade|aantal|units|number of)\b", 7),
        (r"(?:menge|anzahl|aantal|qty|quantity)$", 7),
    ),
    "unit-price": (
        (r"\b(?:unit|item|single|retail|each|per unit|list|selling|sell|lineitem|line item) ?(?:price|cost|amount)\b", 10),
        (r"^(?:unitprice|einzelpreis|stuckpreis|stueckpreis|e preis|ep|prix unitaire|pu|p u|prix unit|pu ttc|pu ht|precio unitario|precio unit|precio ud|prezzo unitario|preco unitario|valor unitario|stukprijs|eenheidsprijs|prijs per stuk|verkaufspreis|vk preis|vkpreis|vk|price each|rate)\b", 10),
        (r"^(?:price|preis|prix|precio|prezzo|preco|prijs|tarif|tarifa)$", 8),
        (r"\b(?:sale|sales) price\b", 9),
        (r"\b(?:price|preis|prix|precio|prezzo|preco|prijs)\b|(?:preis|prijs)$", 5),
    ),
    "net": (
        (r"\b(?:subtotal|sub total|net|netto|nettobetrag|nettoumsatz|ht|hors taxes?|excl|excluding|ex vat|exc|sin iva|base|base imponible|imponibile|sem iva|ex btw|excl btw|before tax|zwischensumme|pretax|pre tax|taxable|nett|netto ?betrag|sous total|subtotale|subtotaal|base imposable)\b|^(?:netto|net)\w*", 9),
    ),
    "gross": (
        (r"\b(?:gross|brutto|ttc|incl|inkl|including|inc|con iva|ivato|iva inclusa|iva incluida|iva inc|com iva|incl btw|inc vat|with tax|with vat|after tax|tax included|tvac|gross sales|bruttobetrag|bruttoumsatz)\b|^brutto\w*", 9),
    ),
    "tax": (
        (r"\b(?:(?:tax|vat|gst|mwst|ust|tva|iva|btw|steuer)\d+|tax|taxes|vat|gst|hst|pst|mwst|ust|mehrwertsteuer|umsatzsteuer|steuer|steuerbetrag|tva|iva|btw|tps|tvq|igic|icms|iss|taxe|tasse|imposto|impuesto|impuestos|imposta|belasting)\b|^(?:mwst|ust|btw)\w*|steuer", 9),
    ),
    "rate": ((r"%|\b(?:rate|percent|percentage|pct|satz|prozent|taux|tasa|tipo|aliquota|taxa|tarief|percentuale|porcentaje)\b|(?<!um)satz$|prozent$", 8),),
    "discount": (
        (r"\b(?:discount|discounts|disc|discnt|rabatt|nachlass|remise|remises|reduction|descuento|dto|dcto|sconto|desconto|korting|rebate|markdown|promo|promotion|coupon|voucher amount)\b|rabatt|korting", 9),
    ),
    "tip": ((r"\b(?:tip|tips|gratuity|trinkgeld|pourboire|propina|mancia|gorjeta|fooi)\b", 9),),
    "shipping": ((r"\b(?:shipping|freight|delivery (?:fee|charge)|postage|versand|versandkosten|frais de port|envio|gastos de envio|spedizione|frete|verzendkosten|livraison)\b", 8),),
    "service": ((r"\b(?:service charge|service charges|service fee|servicegebuhr|coperto|servizio|service)\b", 7),),
    "rounding": ((r"\b(?:rounding|rounded|rundung|arrondi|redondeo|arrotondamento|arredondamento|afronding|cash rounding)\b|rundung", 9),),
    "cost": ((r"\b(?:cost|costs|cogs|cos|profit|margin|gp|gross profit|gross income|gross margin|income|einkauf|einkaufspreis|ek|ek preis|wareneinsatz|marge|cout|prix achat|achat|costo|coste|custo|inkoop|inkoopprijs|lucro|gewinn|benefice|beneficio|utile|winst|wholesale|rohertrag|deckungsbeitrag|commission|provision|markup|compare at)\b|einkaufspreis|gewinn", 9),),
    "balance": ((r"\b(?:balance|saldo|solde|running|cumul|cumulative|cumule|kumuliert|acumulado|progressivo|opening|closing|bestand|outstanding|remaining|points|punkte|puntos|punti|pontos|punten|loyalty points|stock|rating|score|running total|lopend|tagesumsatz|daily total|day total)\b|kumul", 9),),
    "paid": ((r"\b(?:paid|tendered|tender amount|amount tendered|given|gegeben|erhalten|bezahlt|cash|card|gift card|bar|karte|ec|especes|cb|carte|efectivo|tarjeta|contanti|carta|dinheiro|cartao|multibanco|contant|pin|verse|recu client|entregado|pagato|received|cash received|bargeld|ontvangen|betaald)\b", 7),),
    "change": ((r"^(?:change|change due|change given|ruckgeld|rueckgeld|wechselgeld|rendu|monnaie rendue|monnaie|cambio|resto|vuelto|troco|wisselgeld|retour especes)\b|\bchange\b|wechselgeld|ruckgeld", 9),),
    "fee": ((r"\b(?:fee|fees|gebuhr|gebuehr|frais|comision|commissione|taxa de servico|processing|surcharge)\b", 8),),
    "refunded": ((r"\b(?:refunded|refund amount|refunded amount|refunds|amount refunded|erstattet|rembourse|montant rembourse|reembolsado|rimborsato|terugbetaald)\b", 9),),
    "kind": ((r"\b(?:type|typ|kind|art|belegart|vorgangsart|transaktionsart|bonart|nature|tipo|soort|transaction type|event|operation|action|doc type|movement|category of sale|reason)\b|^(?:\w+art|\w+typ)$|\b(?:return|refund|retour|storno)s?\b", 7),),
    "status": ((r"\b(?:status|state|zustand|etat|statut|estado|stato|situacao|bonstatus|belegstatus)\b|status$", 8),),
    "void": ((r"\b(?:void|voided|is void|cancelled|canceled|cancellation|storno|storniert|annule|annulee|annulation|anulado|anulada|cancelado|cancelada|annullato|annullata|stornato|geannuleerd|training|test mode|schulung|deleted|geloscht)\b", 8),),
    "tender": ((r"\b(?:payment|payments?|tender|zahlung|zahlungsart|zahlart|zahlungsmittel|bezahlart|zahlweg|paiement|reglement|moyen|mode|pago|pagamento|metodo|betaling|betaalmethode|betaalwijze|pay)\b(?: (?:method|type|mode|means|by|form|de paiement|de reglement|art|name))?$|^(?:payment method|tender type|payment type|forma de pago|medio de pago|metodo di pagamento|forma de pagamento|meio de pagamento|mode de paiement|moyen de paiement|betaalmethode|betaalwijze|zahlungsart|zahlart|tipo pagamento|tipo de pago|betaalvorm)", 8),),
    "currency": ((r"\b(?:currency|currency code|wahrung|waehrung|devise|moneda|divisa|valuta|moeda|ccy|curr)\b|^currencycode$", 9),),
    "zone": ((r"\b(?:time ?zone|zeitzone|tz|timezone|fuseau|zona horaria|fuso orario|fuso horario|tijdzone)\b", 9),),
    "channel": ((r"\b(?:channel|sales channel|source|kanal|vertriebsweg|canal|canale|kanaal|order type|dining option|dining|instore|in store)\b", 7),),
    "sales-count": ((r"\b(?:weekly|daily|monthly|hourly|wochen|tages|monats) ?(?:sales|revenue|total|turnover|umsatz|amount|summe)\b|^(?:tagesumsatz|monatsumsatz|wochenumsatz)$|\b(?:number of|count of|no of|nb|nombre de|anzahl|num|numero de|numero|aantal) (?:transactions|receipts|customers|orders|tickets|sales|belege|bons|kunden|clients|verkaufe|ventes|scontrini|transacciones|klanten|visitors)\b|^(?:transactions|receipts|orders|tickets|customers|bons|belege|kundenzahl|transaction count|receipt count|order count|customer count|ticket count|belegzahl|bonanzahl)$", 9),),
    "product": (
        (rf"\b{_ITEM} {_NUMBER}\b|^{_ITEM}(?:id|no|nr|num|number|nummer|code)$|^(?:artnr|art nr|artikelnr|artikelnummer|stockcode|plu|plu nr|productid|itemid|asin|upc|warengruppe nr)\b", 9),
        (rf"\b(?:id|no|nr|num|numero|n|code|cod|codigo|codice|ref|reference) (?:de |do |da |del |di |du )?(?:la |l |el |le )?{_ITEM}\b", 9),
        (rf"\b{_ITEM}\b.*\b(?:id|code|key|no|nr)\b", 7),
    ),
    "sku": ((r"\bsku\b", 10),),
    "barcode": ((r"\b(?:barcode|ean|ean13|gtin|upc|strichcode|code barre|code barres|codigo de barras|codice a barre|streepjescode|isbn)\b", 10),),
    "description": (
        (rf"^(?:description|desc|bezeichnung|artikelbezeichnung|beschreibung|designation|libelle|descripcion|descrizione|descricao|omschrijving|title|titel|{_ITEM}|{_ITEM} ?name|name {_ITEM}|productname|artikelname|nom produit|nombre producto|productnaam|artikelnaam|item name|lineitem name|produktname|produkt)$", 8),
        (r"\b(?:description|bezeichnung|designation|libelle|descripcion|descrizione|descricao|omschrijving|beschreibung)\b", 6),
    ),
    "category": ((r"\b(?:category|categories|kategorie|warengruppe|categorie|categoria|rayon|famille|familia|reparto|product ?line|product ?type|product ?group|department|afdeling|groep)\b|warengruppe", 7),),
    "weekday": ((r"\b(?:weekday|day of week|dayofweek|wochentag|jour semaine|dia semana|giorno settimana|weekdag|day name|dow)\b|^(?:day|tag|jour|dia|giorno|dag)$", 8),),
    "email": ((r"\b(?:e ?mail|mail|courriel|correo)\b", 9),),
    "phone": ((r"\b(?:phone|telephone|tel|telefon|mobile|fax|telefono|telefone|telefoon)\b", 9),),
    "stock": ((r"\b(?:stock|on hand|in stock|inventory|bestand|lagerbestand|voorraad|giacenza|existencias|estoque|stock level|quantity on hand|units in stock)\b|bestand$", 8),),
    "person-name": ((r"\b(?:customer|client|contact|kunden|kunde|cliente|klant|member|first|last|full|vor|nach|family|given)? ?(?:name|naam|nom|nombre|nome|cognome|apellido|prenom|vorname|nachname|first name|last name|surname)\b|^(?:vorname|nachname|kundenname|klantnaam|company|companyname|company name|firma|societe|empresa|azienda)$", 6),),
}  # fmt: skip
