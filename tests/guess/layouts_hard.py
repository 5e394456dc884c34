"""More exports of tills that do not exist: the nastier ones. See `layouts`."""

from __future__ import annotations

import gzip
import io
import random
import zipfile
from decimal import Decimal
from typing import TYPE_CHECKING

from tests.guess.layouts import (
    BEGINNING,
    PRODUCTS,
    Export,
    _lines,
    cents,
    comma,
    sales,
    table,
    truth,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def hour_and_minute(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d"),
            s.at.hour,
            s.at.minute,
            f"{s.total * s.sign:.2f}",
        ]
        for s in made
    ]
    for s in made:
        s.at = s.at.replace(second=0)
    return truth(
        "gnd.csv",
        table(["Unit", "Check", "Date", "Hour", "Minute", "Amount"], rows),
        made,
        answers={"location": "Unit"},
    )


def epoch_millis(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            int((s.at - BEGINNING).total_seconds()) * 1000,
            f"{s.total * s.sign:.2f}",
        ]
        for s in made
    ]
    return truth(
        "api.csv",
        table(["store_id", "order_id", "created_at", "total"], rows),
        made,
    )


def refund_prefix(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            f"{'R' if s.refund else 'S'}{s.number}",
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            f"{s.total:.2f}",
        ]
        for s in made
    ]
    return truth(
        "log.csv",
        table(["Store", "Document No", "Date", "Total"], rows),
        made,
        answers={"prefix": "R"},
        asks=("prefix",),
    )


def sign_column(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            "-" if s.refund else "+",
            f"{s.total:.2f}",
        ]
        for s in made
    ]
    return truth("log.csv", table(["Store", "Document No", "Date", "Sign", "Total"], rows), made)


def debit_credit(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            "D" if s.refund else "C",
            f"{s.total:.2f}",
        ]
        for s in made
    ]
    return truth(
        "log.csv",
        table(["Store", "Document No", "Date", "DC", "Total"], rows),
        made,
        asks=("sign",),
        answers={"sign": "D"},
    )


def refund_column(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            "0.00" if s.refund else f"{s.total:.2f}",
            f"{s.total:.2f}" if s.refund else "0.00",
        ]
        for s in made
    ]
    return truth(
        "log.csv",
        table(["Store", "Receipt No", "Date", "Sale Amount", "Refund Amount"], rows),
        made,
    )


def duplicated_rows(seed: int) -> Export:
    made = sales(seed, 300)
    rows = [
        [s.store, s.number, s.at.strftime("%Y-%m-%d %H:%M:%S"), f"{s.total * s.sign:.2f}", s.tender]
        for s in made
    ]
    rows[10:10] = [rows[9]]
    rows += [rows[50], rows[51]]
    return truth(
        "log.csv",
        table(["Store", "Receipt No", "Date", "Total", "Payment"], rows),
        made,
        answers={"repeats": "once"},
        asks=("repeats",),
    )


def daily_summary(seed: int) -> Export:
    made = sales(seed)
    days: dict[tuple[str, str], list[Decimal]] = {}
    for s in made:
        days.setdefault((s.store, s.at.strftime("%Y-%m-%d")), []).append(s.total * s.sign)
    rows = [[store, day, len(sums), f"{sum(sums):.2f}"] for (store, day), sums in days.items()]
    return truth(
        "z.csv",
        table(["Store", "Date", "Number of Transactions", "Total Sales"], rows),
        made,
        asks=("id",),
    )


def thousands_only(seed: int) -> Export:
    made = sales(seed, refunds=0)
    for s in made:
        for x in s.lines:
            x.price = Decimal(int(x.price * 1000))
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%d/%m/%Y %H:%M:%S"),
            f"{int(s.total):,}".replace(",", "."),
        ]
        for s in made
    ]
    return truth(
        "ventas.csv",
        table(["Tienda", "Boleta", "Fecha", "Total"], rows, ";"),
        made,
        asks=("decimal",),
        answers={"decimal": ","},
    )


def three_decimals(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [s.store, s.number, s.at.strftime("%d/%m/%Y %H:%M:%S"), f"{s.total * s.sign:.3f}"]
        for s in made
    ]
    return truth(
        "receipts.csv",
        table(["Store", "Receipt number", "Date", "Total collected"], rows),
        made,
        asks=("decimal",),
        answers={"decimal": "."},
    )


def two_currencies(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            f"{s.total * s.sign:.2f}",
            "EUR" if s.store != "12" else "CHF",
        ]
        for s in made
    ]
    return truth("log.csv", table(["Store", "Receipt No", "Date", "Total", "Currency"], rows), made)


def long_chain(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = []
    for s in made:
        discount = cents(s.total * Decimal("0.1")) if s.number % 3 == 0 else Decimal(0)
        net = s.total - discount
        tax = cents(net * Decimal("0.08"))
        tip = Decimal("1.50") if s.number % 5 == 0 else Decimal(0)
        whole = net + tax + tip
        fee = cents(whole * Decimal("0.026"))
        rows.append(
            [
                s.at.strftime("%Y-%m-%d"),
                s.at.strftime("%H:%M:%S"),
                f"${s.total:.2f}",
                f"-${discount:.2f}" if discount else "$0.00",
                f"${net:.2f}",
                f"${tax:.2f}",
                f"${tip:.2f}",
                f"${whole:.2f}",
                f"-${fee:.2f}",
                f"${whole - fee:.2f}",
                f"TX{s.number}",
                f"Shop {s.store}",
            ]
        )
        s.lines[0].discount = s.total - whole  # the truth is what was collected
    return truth(
        "transactions.csv",
        table(
            [
                "Date",
                "Time",
                "Gross Sales",
                "Discounts",
                "Net Sales",
                "Tax",
                "Tip",
                "Total Collected",
                "Fees",
                "Net Total",
                "Transaction ID",
                "Location",
            ],
            rows,
        ),
        made,
    )


def split_tender_with_total(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows: list[list[object]] = []
    for s in made:
        when = s.at.strftime("%d.%m.%Y %H:%M:%S")
        parts = (
            [("Bar", s.total)]
            if s.number % 4
            else [("Bar", cents(s.total / 2)), ("EC", s.total - cents(s.total / 2))]
        )
        rows += [
            [s.store, s.number, when, kind, comma(amount), comma(s.total)] for kind, amount in parts
        ]
    return truth(
        "zahlungen.csv",
        table(["Filiale", "Belegnr", "Datum", "Zahlungsart", "Betrag", "Belegsumme"], rows, ";"),
        made,
    )


def short_times(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y%m%d"),
            int(s.at.strftime("%H%M")),
            f"{s.total * s.sign:.2f}",
        ]
        for s in made
    ]
    for s in made:
        s.at = s.at.replace(second=0)
    return truth("log.csv", table(["STORE", "TRANS NO", "DATE", "TIME", "TOTAL"], rows), made)


def midnight_dates(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d 00:00:00"),
            s.at.strftime("%H:%M:%S"),
            f"{s.total * s.sign:.2f}",
        ]
        for s in made
    ]
    return truth("log.csv", table(["Store", "Receipt No", "Date", "Time", "Total"], rows), made)


def two_dates(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            s.at.strftime("%Y-%m-28 00:00:00"),
            f"{s.total * s.sign:.2f}",
        ]
        for s in made
    ]
    return truth(
        "log.csv", table(["Store", "Order No", "Order Date", "Delivery Date", "Total"], rows), made
    )


def quoted_comma_decimals(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%d/%m/%Y %H:%M:%S"),
            comma(s.total * s.sign),
            'Müller, "Hans"\nZeile 2',
        ]
        for s in made
    ]
    return truth("log.csv", table(["Store", "Receipt No", "Date", "Total", "Note"], rows), made)


def utf16_no_mark(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [s.store, s.number, s.at.strftime("%d/%m/%Y %H:%M:%S"), comma(s.total * s.sign)]
        for s in made
    ]
    return truth(
        "log.csv",
        table(["Magasin", "N° facture", "Date", "Total TTC"], rows, "\t").encode("utf-16-le"),
        made,
    )


def gzipped(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [s.store, s.number, s.at.strftime("%Y-%m-%d %H:%M:%S"), f"{s.total * s.sign:.2f}"]
        for s in made
    ]
    return truth(
        "sales.csv.gz",
        gzip.compress(table(["Store", "Receipt No", "Date", "Total"], rows).encode()),
        made,
    )


def zipped(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [s.store, s.number, s.at.strftime("%Y-%m-%d %H:%M:%S"), f"{s.total * s.sign:.2f}"]
        for s in made
    ]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("sales.csv", table(["Store", "Receipt No", "Date", "Total"], rows))
    return truth("sales.zip", out.getvalue(), made)


def workbook(seed: int) -> Export:
    import xlsxwriter  # noqa: PLC0415

    made = sales(seed)
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    sheet = book.add_worksheet("Sales")
    form = book.add_format({"num_format": "dd/mm/yyyy hh:mm:ss"})
    sheet.write_row(0, 0, ["Store", "Receipt No", "Date", "Total"])
    for at, s in enumerate(made, 1):
        sheet.write_row(at, 0, [s.store, s.number])
        sheet.write_datetime(at, 2, s.at, form)
        sheet.write_number(at, 3, float(s.total * s.sign))
    book.close()
    return truth("sales.xlsx", out.getvalue(), made)


def training_mode(seed: int) -> Export:
    made = sales(seed, voids=0.08)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            f"{s.total * s.sign:.2f}",
            "Training" if s.void else "Sale",
        ]
        for s in made
    ]
    return truth(
        "log.csv", table(["Store", "Receipt No", "Date", "Total", "Transaction Type"], rows), made
    )


def unfinished_orders(seed: int) -> Export:
    made = sales(seed, voids=0.08)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            f"{s.total * s.sign:.2f}",
            "Open" if s.void else "Closed",
        ]
        for s in made
    ]
    return truth(
        "log.csv",
        table(["Store", "Order No", "Date", "Total", "Status"], rows),
        made,
        answers={"unfinished": "skip"},
        asks=("unfinished",),
    )


def cancelled_at(seed: int) -> Export:
    made = sales(seed, voids=0.08)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            f"{s.total * s.sign:.2f}",
            s.at.strftime("%Y-%m-%d %H:%M:%S") if s.void else "",
        ]
        for s in made
    ]
    return truth(
        "log.csv", table(["Store", "Order No", "Date", "Total", "Cancelled at"], rows), made
    )


def refunded_status(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            f"{s.total:.2f}",
            "refunded" if s.refund else "paid",
        ]
        for s in made
    ]
    return truth(
        "log.csv",
        table(["Store", "Order No", "Date", "Total", "Status"], rows),
        made,
        answers={"refunds": "refund"},
        asks=("refunds",),
    )


def refund_reuses_id(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [
        [
            s.store,
            s.number,
            "Payment",
            s.at.strftime("%Y-%m-%d"),
            s.at.strftime("%H:%M:%S"),
            f"${s.total:.2f}",
        ]
        for s in made
    ]
    refunds = [
        [s.store, s.number, "Refund", "2026-03-24", "10:00:00", f"-${s.total:.2f}"]
        for s in made[:60:6]
    ]
    export = truth(
        "square.csv",
        table(
            ["Location", "Transaction ID", "Event Type", "Date", "Time", "Total"], rows + refunds
        ),
        made,
    )
    given = sum((s.total for s in made[:60:6]), Decimal(0))
    export.count, export.total = export.count + 10, export.total - given
    export.refunds, export.refund_total, export.last = 10, -given, "2026-03-24T10:00:00"
    return export


def register_not_store(seed: int) -> Export:
    made = sales(seed, stores=1)
    rows = [
        [s.till, s.number, s.at.strftime("%Y-%m-%d %H:%M:%S"), f"{s.total * s.sign:.2f}"]
        for s in made
    ]
    return truth(
        "log.csv",
        table(["Terminal", "Receipt No", "Date", "Total"], rows),
        made,
        answers={"location": "1"},
        asks=("location",),
    )


def lines_store_and_name(seed: int) -> Export:
    made = sales(seed)
    names = {"11": "Berlin Mitte", "12": "Hamburg", "13": "Köln"}
    rows = [
        [
            s.store,
            names[s.store],
            s.number,
            s.at.strftime("%d.%m.%Y %H:%M:%S"),
            PRODUCTS[x.product][0],
            PRODUCTS[x.product][1],
            comma(Decimal(x.quantity) * s.sign),
            comma(x.price),
            comma(x.amount * s.sign),
        ]
        for s, _, x in _lines(made)
    ]
    return truth(
        "kassenjournal.csv",
        table(
            [
                "Filialnr",
                "Filialname",
                "Bonnr",
                "Datum/Uhrzeit",
                "EAN",
                "Bezeichnung",
                "Menge",
                "VK-Preis",
                "Umsatz",
            ],
            rows,
            ";",
        ).encode("cp1252"),
        made,
    )


def lines_two_price_columns(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            PRODUCTS[x.product][0],
            x.quantity,
            f"{cents(x.price / (1 + x.rate)):.2f}",
            f"{x.price:.2f}",
            f"{cents(x.amount / (1 + x.rate)):.2f}",
            f"{x.amount:.2f}",
        ]
        for s, _, x in _lines(made)
    ]
    return truth(
        "items.csv",
        table(
            [
                "Store",
                "Invoice No",
                "Date",
                "SKU",
                "Qty",
                "Unit Price excl. VAT",
                "Unit Price incl. VAT",
                "Amount excl. VAT",
                "Amount incl. VAT",
            ],
            rows,
        ),
        made,
    )


def lines_no_id(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [
        [
            s.store,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            PRODUCTS[x.product][1],
            x.quantity,
            f"{x.amount:.2f}",
        ]
        for s, _, x in _lines(made)
    ]
    return truth(
        "items.csv",
        table(["Store", "Date", "Item", "Qty", "Total"], rows),
        made,
        asks=("id",),
        answers={"id": "time"},
    )


def lines_unnamed_id(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            PRODUCTS[x.product][1],
            x.quantity,
            f"{x.amount:.2f}",
        ]
        for s, _, x in _lines(made)
    ]
    return truth(
        "items.csv",
        table(["Store", "XKEY", "Date", "Item", "Qty", "Total"], rows),
        made,
        asks=("id",),
        answers={"id": "XKEY"},
    )


def shuffled_lines(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            PRODUCTS[x.product][1],
            x.quantity * s.sign,
            f"{x.amount * s.sign:.2f}",
        ]
        for s, _, x in _lines(made)
    ]
    random.Random(seed).shuffle(rows)
    return truth(
        "items.csv", table(["Store", "Receipt", "Date", "Item", "Qty", "Total"], rows), made
    )


def timesheet(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [[s.clerk, s.at.strftime("%Y-%m-%d"), "09:00", "17:00", "8.00"] for s in made]
    return truth(
        "hours.csv",
        table(["Employee", "Date", "Clock in", "Clock out", "Hours"], rows),
        made,
        asks=("id", "total", "location"),
    )


def twice_the_same_name(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            f"{s.total - s.tax:.2f}",
            f"{s.total:.2f}",
        ]
        for s in made
    ]
    return truth(
        "x.csv",
        table(["Store", "Receipt", "Date", "Amount", "Amount"], rows),
        made,
        asks=("total", "trial", "columns"),
    )


def cash_card_no_total(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            f"{s.total:.2f}" if s.tender == "Cash" else "",
            f"{s.total:.2f}" if s.tender != "Cash" else "",
        ]
        for s in made
    ]
    return truth(
        "x.csv",
        table(["Store", "Receipt", "Date", "Cash", "Card"], rows),
        made,
        asks=("total",),
        answers={"total": "Cash + Card"},
    )


def french_months(seed: int) -> Export:
    made = sales(seed)
    rows = [[s.store, s.number, f"{s.at.day} mars 2026", comma(s.total * s.sign)] for s in made]
    return truth(
        "x.csv", table(["Magasin", "Ticket", "Date", "Total TTC"], rows, ";"), made, dated=True
    )


def pipes_no_quotes(seed: int) -> Export:
    made = sales(seed)
    rows = [
        f'{s.store}|{s.number}|{s.at:%Y-%m-%d}|{s.at:%H:%M:%S}|{s.total * s.sign:.2f}|5" tray'
        for s in made
    ]
    return truth(
        "x.txt",
        "\n".join(["STORE|TRANSACTION|DATE|TIME|TOTAL|NOTE", *rows, f"TRAILER|{len(rows)}", ""]),
        made,
    )


HARD: tuple[Callable[[int], Export], ...] = (
    *(hour_and_minute, epoch_millis, refund_prefix, sign_column, debit_credit, refund_column),
    *(duplicated_rows, daily_summary, thousands_only, three_decimals, two_currencies, long_chain),
    *(split_tender_with_total, short_times, midnight_dates, two_dates, quoted_comma_decimals),
    *(utf16_no_mark, gzipped, zipped, workbook, training_mode, unfinished_orders, cancelled_at),
    *(refunded_status, refund_reuses_id, register_not_store, lines_store_and_name),
    *(lines_two_price_columns, lines_no_id, lines_unnamed_id, shuffled_lines, timesheet),
    *(twice_the_same_name, cash_card_no_total, french_months, pipes_no_quotes),
)


def weekly_sales(seed: int) -> Export:
    made = sales(seed)
    rows = [[s.store, s.at.strftime("%Y-%m-%d"), f"{s.total * 100:.2f}", "0"] for s in made]
    return truth(
        "weeks.csv", table(["Store", "Date", "Weekly_Sales", "Holiday"], rows), made, asks=("id",)
    )


def amount_is_a_count(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            PRODUCTS[x.product][0],
            x.quantity,
            f"{x.gross:.2f}",
        ]
        for s, _, x in _lines(made)
    ]
    return truth(
        "t.csv",
        table(["Store", "Receipt", "Date", "PRODUCT_ID", "AMOUNT", "SALES_PRICE"], rows),
        made,
        asks=("total",),
        answers={"total": "SALES_PRICE"},
    )


def two_decimal_marks(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [
        [
            at,
            s.at.strftime("%Y-%m-%d"),
            s.at.strftime("%H:%M"),
            f"{s.number}.0",
            PRODUCTS[x.product][1],
            f"{x.quantity}.0",
            f"{comma(x.price)} €",
        ]
        for at, (s, _, x) in enumerate(_lines(made))
    ]
    for s in made:
        s.at = s.at.replace(second=0)
    return truth(
        "bakery.csv",
        table(["", "date", "time", "ticket_number", "article", "Quantity", "unit_price"], rows),
        made,
        answers={"location": "1"},
        asks=("location",),
    )


def point_quantities_comma_prices(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [
        [
            s.store,
            s.number,
            s.at.strftime("%d.%m.%Y %H:%M:%S"),
            PRODUCTS[x.product][0],
            f"{x.quantity}.000",
            comma(x.price),
        ]
        for s, _, x in _lines(made)
    ]
    return truth(
        "w.csv",
        table(["Filiale", "Bon", "Datum", "Artikelnr", "Menge", "Einzelpreis"], rows, ";"),
        made,
        asks=("decimal",),
    )


def named_currency(seed: int) -> Export:
    made = sales(seed)
    rows = [
        [s.store, s.number, s.at.strftime("%Y-%m-%d %H:%M:%S"), f"{s.total * s.sign:.2f}"]
        for s in made
    ]
    return truth("c.csv", table(["Store", "Receipt", "Date", "Amount (USD)"], rows), made)


def three_files(seed: int) -> Export:
    made = sales(seed, refunds=0, stores=1)
    details = [
        [at, s.number, f"pr_{x.product}", x.quantity]
        for at, (s, _, x) in enumerate(_lines(made), 1)
    ]
    orders = [[s.number, s.at.strftime("%Y-%m-%d"), s.at.strftime("%H:%M:%S")] for s in made]
    prices = [[f"pr_{at}", one[1], one[2]] for at, one in enumerate(PRODUCTS)]
    more = [
        ("orders.csv", table(["order_id", "date", "time"], orders).encode()),
        ("products.csv", table(["product_id", "name", "price"], prices).encode()),
    ]
    return truth(
        "order_details.csv",
        table(["order_details_id", "order_id", "product_id", "quantity"], details),
        made,
        more=more,
        answers={"location": "1"},
        asks=("location",),
    )


def qty_sold_each_row(seed: int) -> Export:
    made = sales(seed, refunds=0)
    for s in made:
        s.lines = s.lines[:1]
    rows = [
        [
            s.number,
            s.at.strftime("%-m/%-d/%Y"),
            s.at.strftime("%-H:%M:%S"),
            x.quantity,
            s.store,
            f"Street {s.store}",
            x.product,
            f"{x.price:.2f}",
            "Coffee",
        ]
        for s, _, x in _lines(made)
    ]
    return truth(
        "shop.csv",
        table(
            [
                "transaction_id",
                "transaction_date",
                "transaction_time",
                "transaction_qty",
                "store_id",
                "store_location",
                "product_id",
                "unit_price",
                "product_category",
            ],
            rows,
        ),
        made,
    )


def customers_are_no_sales(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [
        [s.store, s.at.strftime("%Y-%m-%d"), f"{s.total:.2f}", 100 + s.number % 50, "1"]
        for s in made
    ]
    return truth(
        "rossi.csv",
        table(["Store", "Date", "Sales", "Customers", "Open"], rows),
        made,
        asks=("id",),
    )


PUBLIC: tuple[Callable[[int], Export], ...] = (
    *(weekly_sales, amount_is_a_count, two_decimal_marks, point_quantities_comma_prices),
    *(named_currency, three_files, qty_sold_each_row, customers_are_no_sales),
)
