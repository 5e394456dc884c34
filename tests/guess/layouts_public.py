"""More exports of tills that do not exist, in the ways in which public sales files are odd."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from tests.guess.layouts import Export, Sale, _lines, comma, sales, table, truth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HERE = {"location": "1"}


def _alone(seed: int) -> list[Sale]:
    """Make sales of one line each, none given back."""
    made = sales(seed, refunds=0)
    for sale in made:
        sale.lines = sale.lines[:1]
    return made


def header_again_and_nothing(seed: int) -> Export:
    made = sales(seed, refunds=0)
    header = ["Order ID", "Product", "Quantity Ordered", "Price Each", "Order Date"]
    rows: list[Sequence[object]] = []
    for at, (s, _, x) in enumerate(_lines(made)):
        rows.append([s.number, x.product, x.quantity, x.price, s.at.strftime("%m/%d/%y %H:%M")])
        rows += [header] if at % 40 == 20 else [[""] * 5] if at % 40 == 30 else []
    for s in made:
        s.at = s.at.replace(second=0)
    return truth("months.csv", table(header, rows), made, answers=_HERE)


def price_of_the_line(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [
        [
            s.number,
            s.at.strftime("%Y-%m-%d %H:%M:%S"),
            x.quantity,
            f"Item {x.product}",
            f"${x.gross} ",
        ]
        for s, _, x in _lines(made)
    ]
    header = ["order_id", "ordered_at", "quantity", "item_name", "item_price"]
    return truth("orders.tsv", table(header, rows, "\t"), made, answers=_HERE)


def only_a_shipping_date(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [[s.store, s.number, s.at.strftime("%Y-%m-%d"), s.total] for s in made]
    header = ["store", "order_id", "shipping_limit_date", "amount"]
    return truth("orders.csv", table(header, rows), made, asks=("date",), dated=True)


def sums_of_days(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [[11 + at % 7, f"2015-07-{at // 7 + 1:02}", s.total] for at, s in enumerate(made)]
    return truth("stores.csv", table(["Store", "Date", "Revenue"], rows), made, asks=("id",))


def two_ways_of_dates(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [
        [s.store, s.number, s.at.strftime("%d.%m.%Y" if at % 3 else "%Y-%m-%d 00:00:00"), s.total]
        for at, s in enumerate(made)
    ]
    header = ["Filiale", "BestellID", "Bestelldatum", "Summe"]
    return truth("merged.csv", table(header, rows), made, dated=True)


def aborted_receipts(seed: int) -> Export:
    made = sales(seed, refunds=0, voids=0.1)
    rows = [
        [
            "1",
            f"B-{s.number}",
            "AVBelegabbruch" if s.void else "Beleg",
            s.at.isoformat(),
            comma(s.total),
        ]
        for s in made
    ]
    header = ["KASSEN_NR", "BON_ID", "BON_TYP", "BON_ENDE", "UMS_BRUTTO"]
    found = io.StringIO()
    csv.writer(found, delimiter=";", quoting=csv.QUOTE_ALL).writerows([header, *rows])
    return truth("bons.csv", found.getvalue(), made, answers={"location": "1", "date": "BON_ENDE"})


def nro_comprobante(seed: int) -> Export:
    made = sales(seed, refunds=0)
    rows = [
        [
            s.at.strftime("%d-%m-%Y"),
            s.at.strftime("%H:%M:%S"),
            f"F001-{s.number:06}",
            s.store,
            x.quantity,
            x.price,
            x.gross,
        ]
        for s, _, x in _lines(made)
    ]
    header = [
        "Fecha",
        "Hora",
        "Nro. Comprobante",
        "Sucursal",
        "Cantidad",
        "Precio Unitario",
        "Importe",
    ]
    return truth("ventas.csv", table(header, rows), made)


def dated_goods_are_no_price_list(seed: int) -> Export:
    made = _alone(seed)
    rows = [
        [
            f"INV-{s.number}001",
            s.at.strftime("%m/%d/%Y"),
            s.store,
            f"{70000 + s.number}",
            "Rye",
            x.quantity,
            f"${x.gross}",
        ]
        for s, _, x in _lines(made)
    ]
    header = ["Invoice/Item Number", "Date", "Store Number", "Item Number", "Item Description"]
    text = table([*header, "Bottles Sold", "Sale (Dollars)"], rows)
    return truth("liquor.csv", text, made, dated=True, answers={"id": "rows"})


ODD: tuple[Callable[[int], Export], ...] = (
    *(header_again_and_nothing, price_of_the_line, only_a_shipping_date, sums_of_days),
    *(two_ways_of_dates, aborted_receipts, nro_comprobante, dated_goods_are_no_price_list),
)
