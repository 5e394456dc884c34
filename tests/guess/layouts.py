"""Exports of tills that do not exist, each with the figures that are true for it.

A layout is a function from a seed to an `Export`. `sales` makes the sales; each layout writes
them its own way, with its own traps. What only the retailer knows stands in `answers`.
"""

from __future__ import annotations

import csv
import io
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

CENT = Decimal("0.01")
BEGINNING = datetime.fromtimestamp(0, UTC).replace(tzinfo=None)
PRODUCTS = (
    *(("4006381333931", "Coffee beans 1kg", "18.90"), ("4012345678901", "Green tea", "4.50")),
    *(("7622210449283", "Butter biscuits", "2.35"), ("5449000000996", "Cola 0.5l", "1.79")),
    *(("3017620422003", "Hazelnut spread", "3.99"), ("8076800195057", "Spaghetti", "1.29")),
    *(("4005808262809", "Hand cream", "2.95"), ("9780140328721", "Paperback", "8.99")),
    *(("4901777018888", "Umbrella", "14.95"), ("4002359640469", "Notebook A5", "3.25")),
)
RATES = (Decimal("0.19"), Decimal("0.07"))


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


@dataclass
class Line:
    product: int
    quantity: int
    price: Decimal
    discount: Decimal = Decimal(0)

    @property
    def gross(self) -> Decimal:
        return cents(self.price * self.quantity)

    @property
    def amount(self) -> Decimal:
        return self.gross - self.discount

    @property
    def rate(self) -> Decimal:
        return RATES[self.product % 2]

    @property
    def tax(self) -> Decimal:
        """Tax within the amount."""
        return cents(self.amount * self.rate / (1 + self.rate))

    @property
    def added_tax(self) -> Decimal:
        """Tax on top of the amount."""
        return cents(self.amount * self.rate)


@dataclass
class Sale:
    number: int
    at: datetime
    store: str
    till: str
    lines: list[Line]
    refund: bool = False
    void: bool = False
    tender: str = "Cash"
    shopper: str = ""
    clerk: str = ""

    @property
    def total(self) -> Decimal:
        return sum((line.amount for line in self.lines), Decimal(0))

    @property
    def tax(self) -> Decimal:
        return sum((line.tax for line in self.lines), Decimal(0))

    @property
    def sign(self) -> int:
        return -1 if self.refund else 1


@dataclass
class Export:
    """name, data: the file. answers: what the retailer must say. truth: key -> figure.

    asks: if not empty, the questions of which one must be open without an answer.
    """

    name: str
    data: bytes
    count: int
    total: Decimal
    refunds: int = 0
    refund_total: Decimal = Decimal(0)
    first: str = ""
    last: str = ""
    answers: dict[str, str] = field(default_factory=dict)
    asks: tuple[str, ...] = ()
    more: list[tuple[str, bytes]] = field(default_factory=list)
    locations: int = 0


def _line(rng: random.Random, discounts: float) -> Line:
    product = rng.randrange(len(PRODUCTS))
    line = Line(product, rng.choice((1, 1, 1, 2, 3)), Decimal(PRODUCTS[product][2]))
    if rng.random() < discounts:
        line.discount = cents(line.gross * Decimal("0.10"))
    return line


def sales(
    seed: int,
    count: int = 120,
    days: int = 20,
    *,
    stores: int = 3,
    refunds: float = 0.06,
    voids: float = 0.0,
    discounts: float = 0.0,
    first: str = "2026-03-02",
    tills: int = 2,
) -> list[Sale]:
    """Make sales in the order of time."""
    rng = random.Random(seed)
    begin = datetime.fromisoformat(first)
    minutes = sorted(rng.randrange(days * 11 * 60) for _ in range(count))
    made = []
    for number, minute in enumerate(minutes):
        day, rest = divmod(minute, 11 * 60)
        at = begin + timedelta(days=day, hours=9, minutes=rest, seconds=rng.randrange(60))
        lines = [_line(rng, discounts) for _ in range(rng.choice((1, 1, 2, 3, 4)))]
        refund = rng.random() < refunds
        made.append(
            Sale(
                1000 + number,
                at,
                str(rng.randrange(stores) + 11),
                str(rng.randrange(tills) + 1),
                lines,
                refund,
                not refund and rng.random() < voids,
                rng.choice(("Cash", "Card", "Voucher")),
                str(rng.randrange(200000, 200060)),
                rng.choice(("Anna", "Ben", "Cleo")),
            )
        )
    return made


def table(
    header: list[str], rows: Iterable[Sequence[object]], delimiter: str = ",", end: str = "\r\n"
) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end)
    if header:
        writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def comma(amount: Decimal | float) -> str:
    return f"{amount:.2f}".replace(".", ",")


def german(amount: Decimal) -> str:
    return f"{amount:,.2f}".replace(",", "_").replace(".", ",").replace("_", ".")


def truth(
    name: str,
    text: str | bytes,
    made: list[Sale],
    *,
    answers: dict[str, str] | None = None,
    total: Callable[[Sale], Decimal] | None = None,
    dated: bool = False,
    **more: object,
) -> Export:
    """Work out the figures of all sales that count."""
    of = total or (lambda sale: sale.total * sale.sign)
    kept = [sale for sale in made if not sale.void]
    sums = [of(sale) for sale in kept]
    form = "%Y-%m-%dT00:00:00" if dated else "%Y-%m-%dT%H:%M:%S"
    data = text.encode() if isinstance(text, str) else text
    export = Export(
        name,
        data,
        len(kept),
        sum(sums, Decimal(0)),
        sum(one < 0 for one in sums),
        sum((one for one in sums if one < 0), Decimal(0)),
        min(sale.at for sale in kept).strftime(form),
        max(sale.at for sale in kept).strftime(form),
        answers or {},
    )
    for key, value in more.items():
        setattr(export, key, value)
    return export


# One row a transaction


def plain_english(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.till,
            s.number,
            s.at.strftime("%m/%d/%Y"),
            s.at.strftime("%H:%M:%S"),
            f"{s.total * s.sign:.2f}",
            f"{s.tax * s.sign:.2f}",
            s.tender,
        ]
        for s in made
    ]
    return truth(
        "sales.csv",
        table(
            ["Store", "Register", "Receipt No", "Date", "Time", "Total", "Tax", "Payment Method"],
            rows,
        ),
        made,
    )


def german_semicolon(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.till,
            s.number,
            s.at.strftime("%d.%m.%Y %H:%M"),
            german(s.total * s.sign * 40),
            s.tender,
        ]
        for s in made
    ]
    text = table(
        ["Filiale", "Kasse", "Belegnummer", "Datum", "Gesamtbetrag", "Zahlungsart"], rows, ";"
    )
    for s in made:
        s.at = s.at.replace(second=0)
    return truth("umsatz.csv", text.encode("cp1252"), made, total=lambda s: s.total * s.sign * 40)


def german_preamble(seed: int) -> Export:
    made = sales(seed, stores=1)
    rows = [
        [
            s.number,
            s.at.strftime("%d.%m.%Y"),
            s.at.strftime("%H:%M:%S"),
            comma(s.total * s.sign),
            comma(s.tax * s.sign),
        ]
        for s in made
    ]
    body = table(["Bon-Nr", "Datum", "Uhrzeit", "Betrag (brutto)", "MwSt"], rows, ";")
    text = (
        "Kassenexport Übersicht;;;;\r\nFiliale: 4711;;;;\r\nerstellt am 01.04.2026;;;;\r\n\r\n"
        + body
        + f"Summe;;;{comma(sum(s.total * s.sign for s in made))};\r\n"
    )
    return truth("export.csv", text.encode("cp850"), made)


def french(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            f"MAG{s.store}",
            s.number,
            s.at.strftime("%d/%m/%Y"),
            s.at.strftime("%H:%M"),
            f"{comma(s.total * s.sign)} €",
            s.clerk,
        ]
        for s in made
    ]
    for s in made:
        s.at = s.at.replace(second=0)
    text = table(["Magasin", "N° ticket", "Date", "Heure", "Montant TTC", "Vendeur"], rows, ";")
    return truth("tickets.csv", text.encode("latin-1", "replace").replace(b"?", b"\x80"), made)


def spanish(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%d-%m-%Y %H:%M:%S"),
            comma(s.total * s.sign),
            comma(s.tax * s.sign),
            comma((s.total - s.tax) * s.sign),
        ]
        for s in made
    ]
    return truth(
        "ventas.txt",
        table(
            ["Tienda", "Nº Factura", "Fecha y hora", "Importe Total", "IVA", "Base imponible"],
            rows,
            "\t",
        ),
        made,
    )


def italian(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [
        [s.store, s.number, s.at.strftime("%d/%m/%y"), s.at.strftime("%H.%M"), comma(s.total)]
        for s in made
    ]
    for s in made:
        s.at = s.at.replace(second=0)
    return truth(
        "scontrini.csv",
        table(["Punto vendita", "Numero scontrino", "Data", "Ora", "Importo"], rows, ";"),
        made,
    )


def portuguese(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d"),
            s.at.strftime("%H:%M:%S"),
            comma(s.total * s.sign),
            comma(s.tax * s.sign),
        ]
        for s in made
    ]
    return truth(
        "vendas.csv",
        table(["Loja", "Nº Documento", "Data", "Hora", "Valor Total", "IVA"], rows, ";").encode(
            "utf-16"
        ),
        made,
    )


def dutch(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.till,
            s.number,
            s.at.strftime("%d-%m-%Y"),
            s.at.strftime("%H:%M:%S"),
            comma(s.total * s.sign),
        ]
        for s in made
    ]
    return truth(
        "kassa.csv",
        table(["Winkel", "Kassa", "Bonnummer", "Datum", "Tijd", "Totaal incl. BTW"], rows, ";"),
        made,
    )


def twelve_hours(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            f"Store {s.store}",
            f"#{s.number}",
            s.at.strftime("%-m/%-d/%y %-I:%M %p"),
            f"${s.total * s.sign:,.2f}".replace("$-", "-$"),
        ]
        for s in made
    ]
    for s in made:
        s.at = s.at.replace(second=0)
    return truth("orders.csv", table(["Location", "Order Number", "Opened", "Total"], rows), made)


def month_names(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%d-%b-%Y %H:%M:%S"),
            f"({s.total:.2f})" if s.refund else f"{s.total:.2f}",
        ]
        for s in made
    ]
    return truth("pos.csv", table(["Branch", "Invoice No", "Invoice Date", "Amount"], rows), made)


def epoch(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            f"tx_{s.number:08x}",
            int((s.at - BEGINNING).total_seconds()),
            f"{s.total * s.sign:.2f}",
            "EUR",
        ]
        for s in made
    ]
    return truth(
        "api.csv",
        table(["store_id", "transaction_id", "created_at", "amount", "currency"], rows),
        made,
    )


def iso_zone(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            f"tx-{s.number}",
            s.at.strftime("%Y-%m-%dT%H:%M:%S+01:00"),
            f"{s.total * s.sign:.2f}",
        ]
        for s in made
    ]
    return truth(
        "feed.csv", table(["location_id", "receipt_id", "sold_at", "total_amount"], rows), made
    )


def several_amounts(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            f"{(s.total - s.tax) * s.sign:.2f}",
            f"{s.tax * s.sign:.2f}",
            f"{s.total * s.sign:.2f}",
            f"{cents(s.total * Decimal('0.4')) * s.sign:.2f}",
            f"{cents(s.total * Decimal('0.3')) * s.sign:.2f}",
        ]
        for s in made
    ]
    return truth(
        "day.csv",
        table(["Store ID", "Receipt", "Date", "Net", "VAT", "Gross", "Cost", "Profit"], rows),
        made,
    )


def running_balance(seed: int) -> Export:
    made = sales(seed, stores=1)
    balance = Decimal(0)
    rows = []
    for s in made:
        balance += s.total * s.sign
        rows.append(
            [
                s.number,
                s.at.strftime("%d/%m/%Y %H:%M:%S"),
                f"{s.total * s.sign:.2f}",
                f"{balance:.2f}",
            ]
        )
    return truth(
        "till.csv",
        table(["Ticket No", "Date", "Amount", "Total"], rows),
        made,
        answers={"location": "7"},
    )


def rounding(seed: int) -> Export:
    made = sales(seed, stores=1)

    def paid(s: Sale) -> Decimal:
        return (s.total * 20).quantize(Decimal(1), ROUND_HALF_UP) / 20 * s.sign

    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%d.%m.%Y"),
            s.at.strftime("%H:%M"),
            f"{s.total * s.sign:.2f}",
            f"{paid(s) - s.total * s.sign:.2f}",
            f"{paid(s):.2f}",
        ]
        for s in made
    ]
    for s in made:
        s.at = s.at.replace(second=0)
    return truth(
        "kasse.csv",
        table(
            ["Filiale", "Beleg-Nr", "Datum", "Zeit", "Summe", "Rundung", "Zahlbetrag"], rows, ";"
        ),
        made,
        total=paid,
    )


def refunds_by_type(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            "Return" if s.refund else "Sale",
            s.at.strftime("%Y/%m/%d %H:%M:%S"),
            f"{s.total:.2f}",
        ]
        for s in made
    ]
    return truth(
        "log.csv", table(["Shop", "Transaction Number", "Type", "Date", "Total"], rows), made
    )


def refunds_negative_type(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            "REFUND" if s.refund else "SALE",
            s.at.strftime("%Y/%m/%d %H:%M:%S"),
            f"{s.total * s.sign:.2f}",
        ]
        for s in made
    ]
    return truth(
        "log.csv",
        table(["Shop", "Transaction Number", "Transaction Type", "Date", "Total"], rows),
        made,
    )


def voided(seed: int) -> Export:
    made = sales(seed, voids=0.08)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            f"{s.total * s.sign:.2f}",
            "Voided" if s.void else "Completed",
        ]
        for s in made
    ]
    return truth(
        "log.csv",
        table(["Store", "Check Number", "Business Date", "Check Total", "Status"], rows),
        made,
    )


def void_flag(seed: int) -> Export:
    made = sales(seed, voids=0.08)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            f"{s.total * s.sign:.2f}",
            "TRUE" if s.void else "FALSE",
        ]
        for s in made
    ]
    return truth("log.csv", table(["Store", "Receipt Id", "Date", "Total", "Voided"], rows), made)


def storno_positive(seed: int) -> Export:
    made = sales(seed, voids=0.08, refunds=0)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%d.%m.%Y %H:%M:%S"),
            comma(s.total),
            "Storno" if s.void else "Verkauf",
        ]
        for s in made
    ]
    return truth(
        "log.csv",
        table(["Filiale", "Beleg", "Datum", "Betrag", "Vorgangsart"], rows, ";"),
        made,
        answers={"storno": "skip"},
        asks=("storno",),
    )


def loyalty_looks_like_id(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.shopper,
            s.number,
            s.store,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            f"{s.total * s.sign:.2f}",
        ]
        for s in made
    ]
    return truth(
        "loyal.csv",
        table(["Loyalty Number", "Transaction Number", "Store", "Date", "Total"], rows),
        made,
    )


def restarting_daily(seed: int) -> Export:
    made = sales(seed, 400, 15)
    counters: dict[tuple[str, object], int] = {}
    rows = []
    for s in made:
        key = (s.store, s.at.date())
        counters[key] = counters.get(key, 0) + 1
        rows.append(
            [
                s.at.strftime("%d/%m/%Y"),
                s.at.strftime("%H:%M:%S"),
                s.store,
                counters[key],
                f"{s.total * s.sign:.2f}",
            ]
        )
    return truth("daily.csv", table(["Date", "Time", "Outlet", "Receipt No", "Total"], rows), made)


def restarting_by_till(seed: int) -> Export:
    made = sales(seed, 400, 15)
    counters: dict[tuple[str, str, object], int] = {}
    rows = []
    for s in made:
        key = (s.store, s.till, s.at.date())
        counters[key] = counters.get(key, 0) + 1
        rows.append(
            [
                s.at.strftime("%d/%m/%Y %H:%M:%S"),
                s.store,
                s.till,
                counters[key],
                f"{s.total * s.sign:.2f}",
            ]
        )
    return truth("daily.csv", table(["Date", "Outlet", "Till", "Receipt No", "Total"], rows), made)


def no_id(seed: int) -> Export:
    made = sales(seed)
    rows = [[s.store, s.shopper, s.at.strftime("%Y%m%d"), f"{s.total * s.sign:.2f}"] for s in made]
    return truth(
        "points.csv", table(["Store", "Customer ID", "Date", "Amount"], rows, "|"), made, dated=True
    )


def one_day_ambiguous(seed: int) -> Export:
    made = sales(seed, 60, 1, first="2026-03-05")
    rows = [
        [s.store, s.number, s.at.strftime("%d/%m/%Y %H:%M:%S"), f"{s.total * s.sign:.2f}"]
        for s in made
    ]
    return truth(
        "today.csv",
        table(["Store", "Receipt No", "Date", "Total"], rows),
        made,
        answers={"date-order": "dmy"},
        asks=("date-order",),
    )


def ambiguous_but_sorted(seed: int) -> Export:
    made = sales(seed, 100, 11, first="2026-03-01")
    rows = [
        [s.store, s.number, s.at.strftime("%d/%m/%Y %H:%M:%S"), f"{s.total * s.sign:.2f}"]
        for s in made
    ]
    return truth("early.csv", table(["Store", "Receipt No", "Date", "Total"], rows), made)


def ambiguous_unsorted(seed: int) -> Export:
    made = sales(seed, 100, 11, first="2026-03-01")
    random.Random(seed).shuffle(made)
    rows = [
        [s.store, s.number, s.at.strftime("%m/%d/%Y %H:%M:%S"), f"{s.total * s.sign:.2f}"]
        for s in made
    ]
    return truth("early.csv", table(["Store", "Receipt No", "Date", "Total"], rows), made)


def weekday_tells(seed: int) -> Export:
    made = sales(seed, 40, 1, first="2026-03-05")
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%d/%m/%Y"),
            s.at.strftime("%A"),
            s.at.strftime("%H:%M:%S"),
            f"{s.total * s.sign:.2f}",
        ]
        for s in made
    ]
    return truth(
        "today.csv", table(["Store", "Receipt No", "Date", "Weekday", "Time", "Total"], rows), made
    )


def file_name_location(seed: int) -> Export:
    made = sales(seed, stores=1)
    rows = [[s.number, s.at.strftime("%Y-%m-%d %H:%M:%S"), f"{s.total * s.sign:.2f}"] for s in made]
    return truth("store_0012_20260322.csv", table(["Receipt No", "Date", "Total"], rows), made)


def cents_as_whole(seed: int) -> Export:
    made = sales(seed, stores=2)
    rows = [
        [s.store, s.number, s.at.strftime("%Y-%m-%d %H:%M:%S"), int(s.total * s.sign * 100)]
        for s in made
    ]
    return truth(
        "api.csv",
        table(["store_id", "transaction_id", "timestamp", "amount"], rows),
        made,
        answers={"cents": "cents"},
        asks=("cents",),
    )


def trailing_minus(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y%m%d"),
            s.at.strftime("%H%M%S"),
            comma(s.total) + ("-" if s.refund else ""),
        ]
        for s in made
    ]
    return truth(
        "AS400.TXT", table(["FILIALE", "BELEGNR", "DATUM", "ZEIT", "BETRAG"], rows, ";"), made
    )


def fixed_width(seed: int) -> Export:
    made = sales(seed)
    head = f"{'STORE':<8}{'RECEIPT NO':<12}{'DATE':<12}{'TIME':<10}{'TOTAL':>10}"
    lines = [
        f"{s.store:<8}{s.number:<12}{s.at:%Y-%m-%d}  {s.at:%H:%M:%S}  {s.total * s.sign:>10.2f}"
        for s in made
    ]
    return truth("fixed.txt", "\r\n".join([head, *lines, ""]), made)


def headerless(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d"),
            s.at.strftime("%H:%M:%S"),
            f"{s.total * s.sign:.2f}",
        ]
        for s in made
    ]
    return truth(
        "raw.csv",
        table([], rows),
        made,
        answers={"location": "#1", "id": "#2"},
        asks=("location", "id"),
    )


def tips_and_fees(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = []
    for s in made:
        tip = cents(s.total * Decimal("0.1")) if s.number % 3 == 0 else Decimal(0)
        rows.append(
            [
                s.store,
                s.number,
                s.at.strftime("%m/%d/%Y %H:%M:%S"),
                f"{s.total - s.tax:.2f}",
                f"{s.tax:.2f}",
                f"{tip:.2f}",
                f"{s.total + tip:.2f}",
                f"{cents(s.total * Decimal('0.02')):.2f}",
            ]
        )
    total = lambda s: s.total + (cents(s.total * Decimal("0.1")) if s.number % 3 == 0 else 0)  # noqa: E731
    return truth(
        "checks.csv",
        table(
            ["Location", "Check #", "Opened", "Subtotal", "Tax", "Tip", "Total", "Processing Fee"],
            rows,
        ),
        made,
        total=total,
    )


def net_and_tax_only(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%m/%d/%Y %H:%M:%S"),
            f"{s.total:.2f}",
            f"{cents(s.total * Decimal('0.0825')):.2f}",
        ]
        for s in made
    ]
    return truth(
        "us.csv",
        table(["Store", "Invoice #", "Invoice Date", "Subtotal", "Sales Tax"], rows),
        made,
        total=lambda s: s.total + cents(s.total * Decimal("0.0825")),
    )


def card_and_cash(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = []
    for s in made:
        card = (
            s.total
            if s.tender == "Card"
            else cents(s.total / 2)
            if s.tender == "Voucher"
            else Decimal(0)
        )
        given = (
            (s.total - card + 5).quantize(Decimal(1), ROUND_HALF_UP)
            if s.total > card
            else Decimal(0)
        )
        change = given - (s.total - card) if given else Decimal(0)
        rows.append(
            [
                s.store,
                s.number,
                s.at.strftime("%Y-%m-%d %H:%M:%S"),
                f"{s.total:.2f}",
                f"{card:.2f}",
                f"{given:.2f}",
                f"{change:.2f}",
            ]
        )
    return truth(
        "paid.csv",
        table(["Shop", "Receipt No", "Date", "Total", "Card", "Cash", "Change"], rows),
        made,
    )


# One row a line


def _lines(made: list[Sale]) -> Iterable[tuple[Sale, int, Line]]:
    for sale in made:
        for number, line in enumerate(sale.lines, 1):
            yield sale, number, line


def lines_quantity_price(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            n,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            PRODUCTS[x.product][0],
            PRODUCTS[x.product][1],
            x.quantity * s.sign,
            f"{x.price:.2f}",
        ]
        for s, n, x in _lines(made)
    ]
    return truth(
        "items.csv",
        table(
            [
                "Store",
                "Receipt No",
                "Line No",
                "Date",
                "Barcode",
                "Description",
                "Qty",
                "Unit Price",
            ],
            rows,
        ),
        made,
    )


def lines_with_amount(seed: int) -> Export:
    made = sales(seed, discounts=0.3)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%d.%m.%Y"),
            s.at.strftime("%H:%M:%S"),
            PRODUCTS[x.product][0],
            x.quantity * s.sign,
            comma(x.price),
            comma(x.discount * s.sign),
            comma(x.amount * s.sign),
        ]
        for s, _, x in _lines(made)
    ]
    return truth(
        "artikel.csv",
        table(
            [
                "Filiale",
                "BonNr",
                "Datum",
                "Uhrzeit",
                "Artikelnummer",
                "Menge",
                "Einzelpreis",
                "Rabatt",
                "Betrag",
            ],
            rows,
            ";",
        ),
        made,
    )


def lines_with_header_total(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            PRODUCTS[x.product][1],
            x.quantity * s.sign,
            f"{x.price:.2f}",
            f"{s.total * s.sign:.2f}",
        ]
        for s, _, x in _lines(made)
    ]
    return truth(
        "orders.csv",
        table(
            ["Store", "Order ID", "Order Date", "Product", "Quantity", "Price", "Order Total"], rows
        ),
        made,
    )


def lines_total_ambiguous_name(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            PRODUCTS[x.product][1],
            x.quantity * s.sign,
            f"{x.price:.2f}",
            f"{x.amount * s.sign:.2f}",
        ]
        for s, _, x in _lines(made)
    ]
    return truth(
        "orders.csv",
        table(["Store", "Order ID", "Order Date", "Product", "Quantity", "Price", "Total"], rows),
        made,
    )


def lines_first_row_total(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.number,
            s.store if n == 1 else "",
            s.at.strftime("%Y-%m-%d %H:%M:%S") if n == 1 else "",
            f"{s.total * s.sign:.2f}" if n == 1 else "",
            PRODUCTS[x.product][1],
            x.quantity * s.sign,
            f"{x.price:.2f}",
        ]
        for s, n, x in _lines(made)
    ]
    return truth(
        "orders.csv",
        table(
            ["Order", "Store", "Created at", "Total", "Item name", "Item quantity", "Item price"],
            rows,
        ),
        made,
        answers={"location": "Store"},
    )


def lines_tax_on_top(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%m/%d/%Y %H:%M:%S"),
            PRODUCTS[x.product][0],
            PRODUCTS[x.product][1],
            x.quantity,
            f"{x.price:.2f}",
            f"{x.amount:.2f}",
            f"{x.added_tax:.2f}",
        ]
        for s, _, x in _lines(made)
    ]
    return truth(
        "items.csv",
        table(
            [
                "Store",
                "Receipt No",
                "Date",
                "SKU",
                "Description",
                "Qty",
                "Unit Price",
                "Net Amount",
                "Tax Amount",
            ],
            rows,
        ),
        made,
        total=lambda s: sum((x.amount + x.added_tax for x in s.lines), Decimal(0)),
    )


def lines_tax_on_top_amount(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%m/%d/%Y %H:%M:%S"),
            PRODUCTS[x.product][0],
            x.quantity,
            f"{x.price:.2f}",
            f"{x.amount:.2f}",
            f"{x.added_tax:.2f}",
        ]
        for s, _, x in _lines(made)
    ]
    return truth(
        "items.csv",
        table(
            ["Store", "Receipt No", "Date", "Item ID", "Qty", "Unit Price", "Amount", "Tax"], rows
        ),
        made,
        total=lambda s: sum((x.amount + x.added_tax for x in s.lines), Decimal(0)),
        answers={"tax": "on top"},
    )


def lines_tax_within(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%d.%m.%Y %H:%M:%S"),
            PRODUCTS[x.product][0],
            x.quantity * s.sign,
            comma(x.price),
            comma(x.amount * s.sign),
            comma(x.tax * s.sign),
        ]
        for s, _, x in _lines(made)
    ]
    return truth(
        "positionen.csv",
        table(
            ["Filiale", "Belegnr", "Datum", "Artikelnr", "Menge", "Preis", "Betrag", "MwSt Betrag"],
            rows,
            ";",
        ),
        made,
    )


def lines_discount_rate(seed: int) -> Export:
    made = sales(seed, discounts=0.4, refunds=0)
    for s in made:
        for x in s.lines:
            x.price = x.price.quantize(Decimal("0.1"))
            x.discount = x.price * x.quantity * Decimal("0.10") if x.discount else Decimal(0)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            PRODUCTS[x.product][0],
            x.quantity,
            f"{x.price:.2f}",
            "0.1" if x.discount else "0",
        ]
        for s, _, x in _lines(made)
    ]
    exact = lambda s: cents(sum((x.price * x.quantity - x.discount for x in s.lines), Decimal(0)))  # noqa: E731
    return truth(
        "items.csv",
        table(
            ["Store", "Order ID", "Order Date", "Product ID", "Quantity", "Unit Price", "Discount"],
            rows,
        ),
        made,
        total=exact,
    )


def lines_discount_percent(seed: int) -> Export:
    made = sales(seed, discounts=0.4, refunds=0)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            PRODUCTS[x.product][0],
            x.quantity,
            f"{x.price:.2f}",
            10 if x.discount else 0,
            f"{x.amount:.2f}",
        ]
        for s, _, x in _lines(made)
    ]
    return truth(
        "items.csv",
        table(
            [
                "Store",
                "Order ID",
                "Order Date",
                "Product ID",
                "Quantity",
                "Unit Price",
                "Discount %",
                "Line Total",
            ],
            rows,
        ),
        made,
    )


def lines_before_discount(seed: int) -> Export:
    made = sales(seed, discounts=0.4, refunds=0)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            PRODUCTS[x.product][0],
            x.quantity,
            f"{x.price:.2f}",
            f"{x.gross:.2f}",
            f"{x.discount:.2f}",
        ]
        for s, _, x in _lines(made)
    ]
    return truth(
        "items.csv",
        table(
            [
                "Store",
                "Order ID",
                "Order Date",
                "Product ID",
                "Quantity",
                "Unit Price",
                "Amount",
                "Discount",
            ],
            rows,
        ),
        made,
        answers={"discount": "subtract"},
        asks=("discount",),
    )


def lines_gross_discount_net(seed: int) -> Export:
    made = sales(seed, discounts=0.4)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            PRODUCTS[x.product][1],
            x.quantity * s.sign,
            f"{x.gross * s.sign:.2f}",
            f"{-x.discount * s.sign:.2f}",
            f"{x.amount * s.sign:.2f}",
        ]
        for s, _, x in _lines(made)
    ]
    return truth(
        "items.csv",
        table(
            [
                "Location",
                "Transaction ID",
                "Date",
                "Item",
                "Qty",
                "Gross Sales",
                "Discounts",
                "Net Sales",
            ],
            rows,
        ),
        made,
    )


def lines_line_id(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [
        [
            at,
            s.number,
            s.at.strftime("%d/%m/%Y"),
            s.at.strftime("%H:%M:%S"),
            s.store,
            PRODUCTS[x.product][1],
            x.quantity,
            f"{x.price:.2f}",
        ]
        for at, (s, _, x) in enumerate(_lines(made), 1)
    ]
    return truth(
        "lines.csv",
        table(
            [
                "transaction_id",
                "order_id",
                "order_date",
                "order_time",
                "store_id",
                "product_name",
                "quantity",
                "unit_price",
            ],
            rows,
        ),
        made,
    )


def lines_restarting(seed: int) -> Export:
    made = sales(seed, 400, 15)
    counters: dict[tuple[str, object], int] = {}
    rows = []
    for s in made:
        key = (s.store, s.at.date())
        counters[key] = counters.get(key, 0) + 1
        rows += [
            [
                s.store,
                s.at.strftime("%Y-%m-%d"),
                s.at.strftime("%H:%M"),
                counters[key],
                PRODUCTS[x.product][0],
                x.quantity * s.sign,
                f"{x.amount * s.sign:.2f}",
            ]
            for x in s.lines
        ]
    for s in made:
        s.at = s.at.replace(second=0)
    return truth(
        "bons.csv",
        table(["Filiale", "Datum", "Uhrzeit", "Bon", "EAN", "Menge", "Umsatz"], rows, ";"),
        made,
    )


def lines_fill_down(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [
        [
            s.number if n == 1 else "",
            s.at.strftime("%Y-%m-%d %H:%M:%S") if n == 1 else "",
            s.store if n == 1 else "",
            PRODUCTS[x.product][1],
            x.quantity,
            f"{x.amount:.2f}",
        ]
        for s, n, x in _lines(made)
    ]
    return truth(
        "report.csv", table(["Invoice No", "Date", "Store", "Item", "Qty", "Amount"], rows), made
    )


def lines_zero_quantity(seed: int) -> Export:
    made = sales(seed, refunds=0)
    for s in made[::7]:
        s.lines.append(Line(0, 0, Decimal("18.90")))
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            PRODUCTS[x.product][0],
            x.quantity,
            f"{x.price:.2f}",
            f"{x.amount:.2f}",
        ]
        for s, _, x in _lines(made)
    ]
    return truth(
        "items.csv",
        table(["Store", "Receipt No", "Date", "EAN", "Quantity", "Price", "Total"], rows),
        made,
    )


def lines_mixed(seed: int) -> Export:
    made = sales(seed)
    rows: list[list[object]] = []
    for s in made:
        when = s.at.strftime("%Y-%m-%d %H:%M:%S")
        rows.append([when, s.store, s.number, "Sale", "", "", f"{s.total * s.sign:.2f}", ""])
        rows += [
            [
                when,
                s.store,
                s.number,
                "Sale Line",
                PRODUCTS[x.product][0],
                x.quantity * s.sign,
                f"{x.amount * s.sign:.2f}",
                "",
            ]
            for x in s.lines
        ]
        rows.append(
            [when, s.store, s.number, "Payment", "", "", f"{s.total * s.sign:.2f}", s.tender]
        )
    return truth(
        "vend.csv",
        table(
            [
                "Date",
                "Outlet",
                "Receipt Number",
                "Line Type",
                "Sku",
                "Quantity",
                "Total",
                "Payment Name",
            ],
            rows,
        ),
        made,
    )


def payments(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows: list[list[object]] = []
    for s in made:
        when = s.at.strftime("%m/%d/%Y %H:%M:%S")
        if s.number % 4 == 0:
            half = cents(s.total / 2)
            rows.append([s.store, s.number, when, "Card", f"{half:.2f}"])
            rows.append([s.store, s.number, when, "Cash", f"{s.total - half:.2f}"])
        else:
            rows.append([s.store, s.number, when, s.tender, f"{s.total:.2f}"])
    return truth(
        "payments.csv",
        table(["Location", "Order #", "Order Date", "Payment Type", "Amount"], rows),
        made,
    )


def no_location(seed: int) -> Export:
    made = sales(seed, stores=1)
    rows = [
        [
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            f"{s.total * s.sign:.2f}",
            random.Random(s.number).choice(("Germany", "France")),
        ]
        for s in made
    ]
    return truth(
        "web.csv",
        table(["Invoice No", "Date", "Total", "Country"], rows),
        made,
        answers={"location": "web"},
        asks=("location",),
    )


def summary_rows(seed: int) -> Export:
    made = sales(seed)
    rows: list[list[object]] = []
    day = None
    total = Decimal(0)
    for s in made:
        if day and s.at.date() != day:
            rows.append(["Total", "", "", "", f"{total:.2f}"])
            total = Decimal(0)
        day = s.at.date()
        total += s.total * s.sign
        rows.append(
            [
                s.store,
                s.number,
                s.at.strftime("%Y-%m-%d"),
                s.at.strftime("%H:%M:%S"),
                f"{s.total * s.sign:.2f}",
            ]
        )
    rows.append(["Total", "", "", "", f"{total:.2f}"])
    rows.append(["Grand Total", "", "", "", f"{sum(s.total * s.sign for s in made):.2f}"])
    return truth("report.csv", table(["Store", "Receipt No", "Date", "Time", "Amount"], rows), made)


def no_amounts(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [
        [s.store, s.number, s.at.strftime("%Y-%m-%d %H:%M:%S"), PRODUCTS[x.product][1], x.quantity]
        for s, _, x in _lines(made)
    ]
    return truth(
        "basket.csv",
        table(["Store", "Transaction", "Date", "Item", "Quantity"], rows),
        made,
        asks=("total",),
    )


def unquoted_commas(seed: int) -> Export:
    made = sales(seed)
    lines = ["Store,Receipt No,Date,Item,Quantity,Amount"]
    lines += [
        f"{s.store},{s.number},{s.at:%d/%m/%Y},{PRODUCTS[x.product][1]},{x.quantity},{comma(x.amount * s.sign)}"
        for s, _, x in _lines(made)
    ]
    return truth("broken.csv", "\r\n".join([*lines, ""]), made, asks=("refused",))


def price_list(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [
        [
            s.number,
            s.store,
            s.at.strftime("%d/%m/%Y"),
            s.at.strftime("%H:%M:%S"),
            f"P{x.product:03}",
            x.quantity,
        ]
        for s, _, x in _lines(made)
    ]
    prices = [[f"P{at:03}", one[1], one[2]] for at, one in enumerate(PRODUCTS)]
    return truth(
        "ventes.csv",
        table(["order_id", "magasin_id", "date", "heure", "produit_id", "quantite"], rows, ";"),
        made,
        more=[("produits.csv", table(["produit_id", "nom", "prix"], prices, ";").encode())],
    )


def header_and_details(seed: int) -> Export:
    made = sales(seed, refunds=0, stores=1)
    orders = [
        [s.number, s.shopper, s.at.strftime("%Y-%m-%d %H:%M:%S"), f"{Decimal(s.number % 7):.2f}"]
        for s in made
    ]
    details = [[s.number, x.product + 1, f"{x.price:.2f}", x.quantity] for s, _, x in _lines(made)]
    return truth(
        "orders.csv",
        table(["OrderID", "CustomerID", "OrderDate", "Freight"], orders),
        made,
        answers={"location": "1"},
        more=[
            (
                "order_details.csv",
                table(["OrderID", "ProductID", "UnitPrice", "Quantity"], details).encode(),
            )
        ],
    )


LAYOUTS: tuple[Callable[[int], Export], ...] = (
    *(
        plain_english,
        german_semicolon,
        german_preamble,
        french,
        spanish,
        italian,
        portuguese,
        dutch,
    ),
    *(twelve_hours, month_names, epoch, iso_zone, several_amounts, running_balance, rounding),
    *(refunds_by_type, refunds_negative_type, voided, void_flag, storno_positive),
    *(loyalty_looks_like_id, restarting_daily, restarting_by_till, no_id, one_day_ambiguous),
    *(ambiguous_but_sorted, ambiguous_unsorted, weekday_tells, file_name_location, cents_as_whole),
    *(trailing_minus, fixed_width, headerless, tips_and_fees, net_and_tax_only, card_and_cash),
    *(lines_quantity_price, lines_with_amount, lines_with_header_total, lines_total_ambiguous_name),
    *(lines_first_row_total, lines_tax_on_top, lines_tax_on_top_amount, lines_tax_within),
    *(lines_discount_rate, lines_discount_percent, lines_before_discount, lines_gross_discount_net),
    *(lines_line_id, lines_restarting, lines_fill_down, lines_zero_quantity, lines_mixed, payments),
    *(no_location, summary_rows, no_amounts, unquoted_commas, price_list, header_and_details),
)
