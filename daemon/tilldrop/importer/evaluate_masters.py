"""What a record of a master file means: a product, a shopper, a stock level, a location.

Promises that every record is one row, or `Unreadable`. Never sees a file or a database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilldrop.importer.cells import Cells, Numbers, Unreadable, first_empty, text_of
from tilldrop.importer.evaluate import Places, Row, finisher, taker

if TYPE_CHECKING:
    from tilldrop.importer.plan import Plan


class MasterEvaluation:
    """Reads the records of one feed of masters."""

    def __init__(self, plan: Plan) -> None:
        numbers = Numbers(plan)
        self._places = Places(plan)
        self._readers = tuple(
            (
                bound,
                self._places.named(text_of(bound))
                if bound.column.name == "location_id"
                else taker(bound, plan, numbers),
                finisher(bound),
            )
            for bound in plan.bounds.values()
        )

    def read(self, line: int, cells: Cells) -> Row:
        """Return the row. Raises Unreadable."""
        found: list[str | int | None] = [line]
        terms = self._places.terms("")
        for bound, take, finish in self._readers:
            value = take(cells)
            if value is None and bound.column.key:
                raise Unreadable("key-empty", first_empty(bound, cells))
            if bound.column.name == "location_id":
                terms = self._places.terms(str(value))
            found.append(value if finish is None or value is None else finish(value, terms))
        return tuple(found)
