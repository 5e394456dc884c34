"""Files that hold no sales: products, shoppers, locations, stock.

Promises that a file with a transaction's id, or with a sale's date and an amount, is none, nor one
that says who bought how many at what price.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tilldrop.guess import words

if TYPE_CHECKING:
    from tilldrop.guess.draft import Draft
    from tilldrop.guess.sample import Column, Sample

_KEYS = {"products": "product", "shoppers": "shopper", "locations": "location"}
_OWN = {"products": "product_id", "shoppers": "shopper_id", "locations": "location_id"}
_FILE_NAMES = {
    "products": r"product|produit|produkt|artikel|article|item|menu|plu|sku|prodotti|produtos|catalog",
    "shoppers": r"customer|client|kunde|member|shopper|cliente|klant|loyalty",
    "locations": r"store|shop|outlet|branch|location|filiale|magasin|tienda|negozi|loja|winkel",
}
_STOCK_NAME = re.compile(
    r"\b(?:stock|stocks|inventory|inventories|inventur|inventario|inventaire|bestand|bestande|lagerbestand"
    r"|voorraad|giacenze?|existencias|estoque|stocklevels?|on hand)\b"
)
_NOT_STOCK = r"mindest|melde|\b(?:min|max|minimum|maximum|reorder|safety|value|wert|cost|opening|closing|status|age|days)\b"
WAREHOUSE = r"\b(?:warehouse|lager|lagerort|entrepot|depot|almacen|bodega|magazzino|magazyn|armazem|deposito|magazijn)\b"
_COUNTED = r"\b(?:date|datum|fecha|data|counted|updated|as of|stand|snapshot|modified|timestamp)\b"
_PLAIN_DATE = 9  # "Date" alone; a master has dates of something
_SALE_DATE = 10
_HANDLE = re.compile(r"^(?:handle|code|id|no|nr|ref|reference|number|key)$")
# target -> what its column's name must be (role or pattern), in order of preference.
_TARGETS: dict[str, dict[str, str]] = {
    "products": {
        "sku": r"\bsku\b",
        "barcode": r"\b(?:barcode|ean\w*|gtin|upc)\b",
        "name": r"^(?:name|title|titel|bezeichnung|artikelbezeichnung|libelle|designation|description|nombre|nome|naam|omschrijving|product|produkt|produit|(?:product|item|article|artikel|produkt|produit|pizza|menu|dish) ?(?:name|naam|nom)|productname|artikelname|pizza name|nom produit|nom)$",
        "description": r"\b(?:description|beschreibung|descripcion|descrizione|descricao)\b",
        "category": r"\b(?:category|categorie|kategorie|warengruppe|categoria|rayon|famille|type)\b|category",
        "brand": r"\b(?:brand|vendor|marke|marque|marca|merk|supplier|lieferant|fournisseur)\b",
        "unit": r"\b(?:unit of measure|unit|einheit|unite|unidad|unita|eenheid|quantity per unit)\b$",
    },
    "shoppers": {
        "name": r"^(?:name|full name|(?:customer|client|contact|kunden|klant|cliente)? ?(?:first )?(?:name|naam|nom|nombre|nome)|customername|kundenname)$",
        "first_name": r"^(?:first name|firstname|vorname|prenom|nombre de pila|given name|voornaam)$",
        "last_name": r"^(?:last name|lastname|nachname|surname|apellidos?|cognome|family name|achternaam)$",
        "company": r"\b(?:company|firma|societe|empresa|azienda|bedrijf)\b",
        "email": r"\b(?:e ?mail|courriel|correo)\b",
        "phone": r"\b(?:phone|telephone|tel|telefon|telefono|mobile|telefoon)\b",
        "address": r"^(?:address|street|adresse|strasse|rue|direccion|indirizzo|morada|adres|straat|address 1)$",
        "postcode": r"\b(?:postal code|postcode|zip|plz|code postal|cp|codigo postal|cap)\b",
        "city": r"\b(?:city|town|ort|stadt|ville|ciudad|citta|cidade|plaats|stad)\b",
        "region": r"\b(?:region|state|province|bundesland|provincia|provincie)\b",
        "country": r"\b(?:country|land|pays|pais|paese)\b",
        "loyalty_id": r"\b(?:loyalty|card) .*(?:number|no|id|nr)\b",
    },
    "locations": {
        "name": r"\b(?:name|naam|nom|nombre|nome|bezeichnung)\b",
        "address": r"\b(?:address|street|adresse|strasse|direccion|indirizzo|morada|adres)\b",
        "postcode": r"\b(?:postal code|postcode|zip|plz|code postal|codigo postal|cap)\b",
        "city": r"\b(?:city|town|ort|stadt|ville|ciudad|citta|cidade|plaats|stad)\b",
        "region": r"\b(?:region|state|province|bundesland|provincia)\b",
        "country": r"\b(?:country|land|pays|pais|paese)\b",
        "phone": r"\b(?:phone|telephone|tel|telefon|telefono|telefoon)\b",
    },
}  # fmt: skip


def find_table(sample: Sample, columns: tuple[Column, ...]) -> tuple[str, Column] | None:
    """Return the table that a file fills and its key column, None if it holds sales."""
    if _holds_sales(columns):
        return None
    name = words.fold(sample.path.stem)
    stock = _stock_key(columns, named=bool(_STOCK_NAME.search(name)))
    if stock is not None:
        return "stock_levels", stock
    bought, billed = _is_bought(columns)
    if billed:
        return None
    scored = []
    for table, role in _KEYS.items():
        key = _key(columns, role, named=bool(re.search(_FILE_NAMES[table], name)))
        # Who bought how many of what is a sale, though each shopper may stand there once.
        if key is None or (bought and table != "products") or _only_counts(columns, key):
            continue
        others = len(_targets(table, columns, key))
        points = others + 3 * bool(re.search(_FILE_NAMES[table], name)) + (key.at == 0) * 2
        scored.append((points, table, key))
    if not scored:
        return None
    points, table, key = max(scored, key=lambda one: one[0])
    return (table, key) if points >= 3 else None


def _holds_sales(columns: tuple[Column, ...]) -> bool:
    """Tell whether a file bears a sale's number, or a sale's date with an amount or a quantity."""
    if any(column.strength("transaction") >= 9 and not column.is_empty for column in columns):
        return True
    own = [column for column in columns if not column.says("other-date", least=9)]
    if any(
        column.dates and column.is_full and column.strength("date") >= _PLAIN_DATE for column in own
    ):
        return True
    amount = any(column.is_number and column.strength("total") >= 7 for column in columns)
    quantity = any(column.strength("quantity") >= 10 for column in columns)
    # Dates that cannot be read are dates of sales all the same, if they are called so.
    dated = any(
        (column.dates and column.strength("date") >= 8)
        or (column.strength("date") >= _SALE_DATE and not column.is_empty)
        for column in own
    )
    return dated and (quantity or amount)


def _only_counts(columns: tuple[Column, ...], key: Column) -> bool:
    """Tell whether a key numbers rows that say the same again, as those of sales do."""
    rest = [column.cells for column in columns if column is not key]
    if len(rest) < 2 or len(key.seen) < key.filled:
        return False
    return len(set(zip(*rest, strict=True))) < 0.7 * len(key.cells)


def _is_bought(columns: tuple[Column, ...]) -> tuple[bool, bool]:
    """Tell whether a file says how many were bought, with prices or amounts; and with amounts."""
    numbers = [column for column in columns if column.is_number]
    if all(column.strength("quantity") < 10 for column in numbers):
        return False, False
    billed = any(column.strength("total") >= 7 for column in numbers)
    return billed or any(column.strength("unit-price") >= 8 for column in numbers), billed


def _stock_key(columns: tuple[Column, ...], *, named: bool) -> Column | None:
    """Return the column of the products whose stock a file tells, None if it tells none."""
    quantity = _stock_column(columns, named=named)
    if quantity is None:
        return None
    by_place = any(column.strength("location") >= 8 for column in columns)
    # A product list may say how many there are besides; what else it says would be lost.
    if not named and not by_place:
        return None
    if any(column.is_number and column.strength("unit-price") >= 8 for column in columns):
        return None
    keys = [
        column
        for role in ("product", "sku", "barcode")
        for column in columns
        if column.strength(role) >= 7 and column.is_full and not column.places
    ]
    return keys[0] if keys else None


def _stock_column(columns: tuple[Column, ...], *, named: bool) -> Column | None:
    """Return how many are there: the only column of its kind, or the one that says so best."""
    numbers = [one for one in columns if one.is_number and not one.unread and one.places <= 3]
    stock = [
        one
        for one in numbers
        if one.strength("stock") >= 8 and not re.search(_NOT_STOCK, words.fold(one.name))
    ]
    counts = [one for one in numbers if one.strength("quantity") >= 7] if named else []
    found = stock or counts
    return found[0] if len(found) == 1 else None


def _key(columns: tuple[Column, ...], role: str, *, named: bool) -> Column | None:
    """Return the column that numbers the rows of a master, None if none does."""
    maybe = [
        column
        for column in columns
        if column.strength(role) >= 6
        and len(column.seen) >= 0.97 * column.filled
        and column.filled
        and not column.places
    ]
    if not maybe and columns and (named or _HANDLE.match(words.fold(columns[0].name))):
        first = columns[0]
        if first.is_full and len(first.seen) >= 0.4 * first.filled and not first.dates:
            maybe = [first]
    return min(maybe, key=lambda one: (-one.strength(role), one.at)) if maybe else None


def _targets(table: str, columns: tuple[Column, ...], key: Column) -> dict[str, Column]:
    """Return the columns that fill a master's texts."""
    found: dict[str, Column] = {}
    used = {key.name}
    for target, pattern in _TARGETS[table].items():
        for column in columns:
            if column.name in used or column.is_empty or not column.name:
                continue
            if re.search(pattern, words.fold(column.name)):
                found[target] = column
                used.add(column.name)
                break
    return found


def build_master(columns: tuple[Column, ...], table: str, key: Column, draft: Draft) -> None:
    """Fill a feed for a master file."""
    draft.table = table
    if table == "stock_levels":
        _build_stock(columns, key, draft)
        return
    evidence = f"no sale's id or date; {key.name} numbers the rows"
    if len(key.seen) < key.filled:
        evidence += f", {len(key.seen)} values in {key.filled} rows"
    draft.choose("table", evidence, "high")
    draft.put(_OWN[table], key.name, f"{len(key.seen)} values, never empty", "high")
    found = _targets(table, columns, key)
    for target, column in found.items():
        draft.put(target, column.name, "by its name", "high")
    if table == "products":
        _prices(columns, draft)
    name = found.get("name")
    if len(key.seen) < key.filled and name is not None and name.filled < key.filled:
        draft.keys["skip"] = {name.name: [""]}
        draft.choose(
            "skip", f"rows without {name.name} repeat a {key.name} with parts of it", "medium"
        )
    if table == "shoppers":
        _days(columns, draft)


def _build_stock(columns: tuple[Column, ...], key: Column, draft: Draft) -> None:
    """Fill a feed of stock levels; where the stock is, `places` says."""
    quantity = _stock_column(columns, named=True)
    name = quantity.name if quantity else ""
    draft.choose(
        "table", f"no sale's id or date; {name} says how many of {key.name} are there", "high"
    )
    draft.put("product_id", key.name, f"{len(key.seen)} values, never empty", "high")
    draft.put("quantity", name, "whole numbers, by its name", "high")
    for column in columns:
        found = column.dates
        counted = re.search(_COUNTED, words.fold(column.name))
        if found and counted and column.is_full and not found.unread and len(found.readings) == 1:
            written = next(iter(found.readings.values()))
            form: object = written[0] if len(written) == 1 else list(written)
            draft.put("counted_at", {"date": column.name, "format": form}, "reads every value")
            break


def _prices(columns: tuple[Column, ...], draft: Draft) -> None:
    for target, wanted, bad in (
        (
            "price",
            r"\b(?:price|preis|prix|precio|prezzo|preco|prijs|pvp|vk)\b|preis$",
            r"cost|wholesale|purchase|compare|einkauf|achat|\bek\b|old",
        ),
        (
            "cost",
            r"\b(?:cost|wholesale|purchase price|einkaufspreis|ek|prix achat|coste|costo|inkoopprijs)\b",
            r"retail",
        ),
    ):
        for column in columns:
            folded = words.fold(column.name)
            if (
                column.is_number
                and not column.unread
                and re.search(wanted, folded)
                and not re.search(bad, folded)
            ):
                draft.put(target, column.name, "numbers, by its name", "high")
                break


def _days(columns: tuple[Column, ...], draft: Draft) -> None:
    for target, wanted in (
        ("birth_date", r"birth|geburt|naissance|nacimiento|nascita|nascimento|geboorte"),
        ("joined_on", r"since|joined|signup|registered|seit|inscri|alta|iscri|created"),
    ):
        for column in columns:
            found = column.dates
            if found is None or not re.search(wanted, words.fold(column.name)) or found.unread:
                continue
            if len(found.readings) == 1:
                written = next(iter(found.readings.values()))
                form: object = written[0] if len(written) == 1 else list(written)
                draft.put(
                    target, {"date": column.name, "format": form}, "reads every value", "high"
                )
            break
