"""The words in which a customer is told what our columns mean.

Owns those words alone.
"""

from __future__ import annotations

MEANINGS = {
    "location_id": "the shop",
    "transaction_id": "the transaction's number, unique within the shop",
    "total": "what was paid; below zero is a refund",
    "sold_at": "when it was sold",
    "business_date": "the business day",
    "kind": "what it is: a sale, a refund, a void",
    "currency": "the currency",
    "net": "the amount before tax",
    "tax": "the tax",
    "discount": "the discount",
    "tip": "the tip",
    "shipping": "what shipping cost",
    "service_charge": "the service charge",
    "refunded": "what was given back",
    "item_count": "how many items",
    "register_id": "the till",
    "operator_id": "who sold",
    "shopper_id": "who bought",
    "receipt_number": "the receipt's number",
    "tender": "how it was paid",
    "original_transaction_id": "the transaction that a refund belongs to",
    "as_of": "when this state was written",
    "product_id": "the product",
    "line_items.amount": "what the item cost altogether",
    "tenders.method": "how it was paid",
    "tenders.amount": "what was paid in that way",
    "taxes.name": "the name of the tax",
    "taxes.rate": "the rate of the tax, in percent",
    "taxes.amount": "the tax",
}
ROWS = {
    "per-transaction": "one for each transaction",
    "per-line": "one for each item sold; those of one transaction are put together",
    "per-payment": "one for each payment; those of one transaction are put together",
    "mixed": "several kinds; those of one transaction are put together",
}
MASTERS = {
    "products": "one for each product",
    "shoppers": "one for each customer of yours",
    "stock_levels": "one for each product in each shop",
    "locations": "one for each shop",
}
FIGURES = {
    "records": "the number of rows",
    "transactions": "the number of transactions",
    "total": "the sum of all totals",
}


def meaning_of(target: str, table: str) -> str:
    """Say what a target is, as mappings write it; one without words of its own by its name."""
    name = target.replace("_", " ")
    return MEANINGS.get(f"{table}.{target}") or MEANINGS.get(target) or f"the {name}"
