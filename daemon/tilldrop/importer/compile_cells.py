"""Cells to SQL: a target's text or amount, made of the cells t0, t1, ... and numbers n0, n1, ...

Promises what `cells` makes of the same record, or NotInSqlError. Never runs anything.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from tilldrop.importer.compile_dates import NotInSqlError, literal
from tilldrop.sources import Computed, Constant, Joined

if TYPE_CHECKING:
    from tilldrop.importer.plan import Bound, Plan

# Cells up to this long fit DECIMAL(18,6), which DuckDB holds in 64 bits.
WHOLE_DIGITS = 12
FRACTION_DIGITS = 6


def text_sql(bound: Bound) -> str:
    """Return a text; NULL if it or a part of it is empty."""
    if bound.fixed:
        return literal(bound.fixed)
    glue = bound.source.glue if isinstance(bound.source, Joined) else ""
    return f" || {literal(glue)} || ".join(f"t{place}" for place in bound.places)


def amount_sql(plan: Plan, bound: Bound) -> str:
    """Return an exact decimal; NULL if a cell that it needs is empty or was not read."""
    if isinstance(bound.source, Computed):
        return _arithmetic(plan, bound.source.tree)
    if isinstance(bound.source, Constant):
        return _constant(bound.source.value)
    if not bound.places:
        raise NotInSqlError(bound.target)
    return f"n{bound.places[0]}"


def _arithmetic(plan: Plan, tree: tuple[object, ...]) -> str:
    """Compute in 128 bits, where the scales of factors add up; DuckDB says if they do not fit."""
    match tree:
        case ("number", str(text)):
            return f"CAST({literal(text)} AS DECIMAL(38,{len(text.partition('.')[2])}))"
        case ("column", str(name)):
            return f"CAST(n{plan.places[name]} AS DECIMAL(38,{FRACTION_DIGITS}))"
        case ("negate", tuple(operand)):
            return f"(- {_arithmetic(plan, operand)})"
        case ("+" | "-" | "*" as sign, tuple(left), tuple(right)):
            return f"({_arithmetic(plan, left)} {sign} {_arithmetic(plan, right)})"
    raise ValueError(tree)


def minor_sql(amount: str, digits: int, width: int = 38) -> str:
    """Round half away from zero, as DuckDB's casts between decimals do."""
    return f"CAST(CAST({amount} AS DECIMAL({width},{digits})) * {10**digits} AS BIGINT)"


def _constant(text: str) -> str:
    scale = max(-int(Decimal(text).as_tuple().exponent), 0)
    if scale > FRACTION_DIGITS or abs(Decimal(text)) >= 10**WHOLE_DIGITS:
        raise NotInSqlError(text)
    return f"CAST({literal(text)} AS DECIMAL(18,{FRACTION_DIGITS}))"
