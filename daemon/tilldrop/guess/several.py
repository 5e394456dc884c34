"""Several samples of one customer: price lists, headers and details, payments.

Promises that two files are only joined where (nearly) every key of the one is found in the
other. Never joins by a name alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilldrop.guess.proofs import written

if TYPE_CHECKING:
    from tilldrop.guess.draft import Answers, Draft
    from tilldrop.guess.sample import Column
    from tilldrop.guess.work import Build

_COVERED = 0.995
_MOSTLY = 0.95


def join_samples(builds: list[Build], answers: Answers) -> None:
    """Let the samples complete each other, in place."""
    masters = [
        made for made in builds if made.draft.table == "products" and "price" in made.draft.map
    ]
    sales = [
        made for made in builds if made.draft.table == "transactions" and not made.draft.refusal
    ]
    for made in sales:
        if made.total.missing or _wants_price(made):
            _price_from(made, masters)
    for details in sales:
        if not details.when.missing:
            continue
        for orders in sales:
            if orders is not details and orders.when.source is not None and _join(details, orders):
                break
    del answers


def _wants_price(made: Build) -> bool:
    return made.total.source is None and made.total.question is None


def _price_from(made: Build, masters: list[Build]) -> None:
    """Take the price of each line from a product file."""
    quantity = next((one for one in made.total.money if one.role == "quantity"), None)
    if quantity is None:
        return
    for master in masters:
        key_name = str(master.draft.map["product_id"])
        keys = _values(master, key_name)
        for column in made.columns:
            covered = _coverage(column, keys)
            if covered < _COVERED or len(column.seen) < 2 or column is quantity.column:
                continue
            if column.is_number and not column.says("product", "sku", "barcode"):
                continue
            _put_price(made, master, column, covered, quantity.name)
            return


def _put_price(made: Build, master: Build, column: Column, covered: float, quantity: str) -> None:
    draft = made.draft
    name = "list_price"
    draft.columns[name] = {"lookup": "products.price", "by": column.name}
    text = f"{covered:.1%} of {column.name} stand in {master.draft.sample}, which must arrive before the sales"
    draft.choose(f"columns.{name}", text, "high")
    expression = {"expr": f"{written(quantity)} * {name}"}
    text = f"the sales bear no amounts; the price is that of {master.draft.sample}"
    draft.put("total", expression, text, "medium")
    draft.questions = [one for one in draft.questions if one.key != "total"]
    draft.notes = [note for note in draft.notes if "no total column" not in note]
    for table, section in draft.sections:
        if table == "line_items":
            section["unit_price"] = name
            section["amount"] = expression


def _values(made: Build, name: str) -> set[str]:
    column = next((one for one in made.sample.columns if one.name == name), None)
    found = set(column.seen) if column else set()
    return found | {row[column.at] for row in made.sample.longer if column and column.at < len(row)}


def _coverage(column: Column, keys: set[str]) -> float:
    """Return the share of a column's cells that are keys; empty cells count against it."""
    if not column.filled or not keys:
        return 0.0
    return sum(times for value, times in column.seen.items() if value in keys) / len(column.cells)


def _join(details: Build, orders: Build) -> bool:
    """Let orders say when, and details what; or tell that they do not belong together."""
    one, other = details.identity, orders.identity
    if one is None or other is None or one.column is None or other.column is None:
        return False
    if (
        not other.trial.is_unique
        or _coverage(one.column, _values(orders, other.column.name)) < _MOSTLY
    ):
        return False
    shared = f"{details.draft.sample} and {orders.draft.sample} bear the same numbers"
    for made in (details, orders):
        made.draft.keys["partial"] = True
        made.draft.choose("partial", f"{shared}; each fills its part of a transaction", "high")
    _drop(details.draft, "date")
    details.draft.map.pop("sold_at", None)
    if _has_total(details) and not _is_strong(orders):
        _drop(orders.draft, "total")
        orders.draft.map.pop("total", None)
        orders.draft.choices.pop("map.total", None)
        orders.draft.notes = [note for note in orders.draft.notes if "no total column" not in note]
        orders.draft.sections.clear()
    elif _is_strong(orders):
        details.draft.map.pop("total", None)
        details.draft.choices.pop("map.total", None)
        _drop(details.draft, "total")
    _share_place(details, orders)
    return True


def _share_place(details: Build, orders: Build) -> None:
    """Both must say the same location: a column of one alone does not do."""
    has = [made for made in (details, orders) if made.place.column is not None]
    if len(has) == 1:
        name = has[0].place.column.name if has[0].place.column else ""
        has[0].draft.notes.append(
            f"{name} may name the shop, yet the other file does not bear it: both need one location"
        )


def _has_total(made: Build) -> bool:
    return "total" in made.draft.map


def _is_strong(made: Build) -> bool:
    """Tell whether orders have a total by name, not just some amount such as freight."""
    source = made.draft.map.get("total")
    name = source if isinstance(source, str) else ""
    return bool(name) and any(
        one.name == name and one.role == "total" and one.points >= 9 for one in made.total.money
    )


def _drop(draft: Draft, key: str) -> None:
    draft.questions = [one for one in draft.questions if one.key != key]
