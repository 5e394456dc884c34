"""What a customer reads about one delivery: `receipts/NAME.DELIVERY.txt`.

Owns the words of a receipt and its name. Promises plain ASCII, lines of at most WIDTH
characters where words allow it, exact amounts, and no path, table or version of ours.
Never opens a file or a database: it is a function of the delivery and its report.
"""

from __future__ import annotations

import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

from tilldrop import receipt_words as words
from tilldrop.delivery import CONTROL_REASONS, UNDONE, Delivery, State
from tilldrop.errors import FAULTS
from tilldrop.rows import FAULTS_KEPT, Counts, Fault, Report, minor_digits

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH = 90
LABEL_WIDTH = 22
INDENT = "  "
FOLDER = "receipts"


def name_for(delivery: Delivery) -> str:
    """Return the receipt's name in the view, e.g. "receipts/sales.csv.261121-204512-k7x2q.txt".

    A file in a folder ("transactions/a.csv") keeps its folder's name: "transactions_a.csv…".
    """
    return f"{FOLDER}/{delivery.name.replace('/', '_')}.{delivery.id}.txt"


def render(delivery: Delivery, report: Report | None, max_faults: int = FAULTS_KEPT) -> str:
    """Write the receipt of one delivery.

    report: of its latest finished run; None before that. max_faults: how many are listed.
    Returns ASCII text whose lines end in LF. Cost: no more than the listed faults.
    """
    told = report if _is_told(delivery) else None
    lines = [_verdict(delivery, told), ""]
    if told is not None and told.sandbox:
        lines += [*_wrapped(words.SANDBOX), ""]
    lines += _facts(delivery)
    if told is not None:
        lines += _counted(told)
    if delivery.is_companion:
        lines += ["", *_wrapped(words.COMPANION)]
    lines += _reason(delivery, told)
    if told is not None:
        lines += _faults(told, max_faults)
        lines += _warnings(told)
    lines += ["", "What to do", *_wrapped(_next_step(delivery, told))]
    return "\n".join(lines) + "\n"


def reason(delivery: Delivery, report: Report | None) -> str:
    """Return why a delivery was not imported, one sentence; "" if there is nothing to tell."""
    report = report if _is_told(delivery) else None
    code = _reason_code(delivery, report)
    if code is None or delivery.state is State.IMPORTED:
        return ""
    at = _reason_fault(report)
    if at is None:
        at = Fault(code, seen=report.reason_seen if report is not None else "")
    if at.seen == f"line {at.line}":
        at = replace(at, seen="")  # the place is told already
    text = f"line {at.line}: {_told(at)}" if at.line else _told(at)
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


_WITH_REPORT = frozenset({State.IMPORTED, State.REJECTED, State.DUPLICATE, State.UNCLAIMED})


def _is_told(delivery: Delivery) -> bool:
    """Say whether the latest report tells how the delivery stands.

    A report of an earlier run says nothing about one that is in work again or was taken back.
    """
    if delivery.state is State.HELD:
        return delivery.reason in CONTROL_REASONS
    return delivery.state in _WITH_REPORT and delivery.reason != UNDONE


def _verdict(delivery: Delivery, report: Report | None) -> str:
    if delivery.state is State.IMPORTED and report is not None and _is_faulty(report):
        return words.ACCEPTED_WITH_FAULTS
    if delivery.reason == UNDONE:
        return words.TAKEN_BACK
    return words.VERDICTS[delivery.state]


def _is_faulty(report: Report) -> bool:
    return report.fault_count > 0 or report.counts.rejected > 0


def _facts(delivery: Delivery) -> Iterator[str]:
    yield _labelled("File", _ascii(delivery.name))
    yield _labelled("Delivery", delivery.id)
    if delivery.arrived_at is not None:
        yield _labelled("Received", f"{delivery.arrived_at:%Y-%m-%d %H:%M:%S} UTC")
    else:
        yield _labelled("Upload began", f"{delivery.began_at:%Y-%m-%d %H:%M:%S} UTC")
    yield _labelled("Size", f"{delivery.size_bytes:,} bytes")


def _counted(report: Report) -> Iterator[str]:
    counts = report.counts
    if report.outcome in {"duplicate", "unclaimed"} or not counts.read:
        return
    yield ""
    yield _labelled("Rows read", f"{counts.read:,}")
    if counts.skipped:
        yield _labelled("Rows left out", f"{counts.skipped:,} (as agreed)")
    if counts.rejected:
        yield _labelled("Rows refused", f"{counts.rejected:,}")
    if counts.repeated:
        yield _labelled("Rows repeated", f"{counts.repeated:,} (the last row was taken)")
    noun = words.MASTERS[report.table]
    if report.outcome != "imported":
        yield _labelled(f"{noun} booked", "none")
        return
    yield from _booked(noun, counts, has_parts=bool(report.child_rows))
    for table, label in words.CHILDREN.items():
        if number := report.child_rows.get(table, 0):
            yield _labelled(label, f"{number:,}")
    if report.table == "transactions" and _has_amounts(report):
        yield from _amounts(report)


def _booked(noun: str, counts: Counts, *, has_parts: bool) -> Iterator[str]:
    # A transaction of which only lines, payments or taxes changed counts as unchanged.
    as_before = " (already booked like this" + (", lines and payments apart)" if has_parts else ")")
    yield _labelled(noun, f"{counts.transactions:,}")
    for label, number, note in (
        ("  booked new", counts.inserted, ""),
        ("  booked changed", counts.updated, ""),
        ("  unchanged", counts.unchanged, as_before),
        ("  not booked", counts.superseded, " (older than what we have)"),
        ("  gone", counts.gone, " (not in this file any more, which is complete)"),
        ("  taken away", counts.removed, " (booked before, when the file was read otherwise)"),
    ):
        if number:
            yield _labelled(label, f"{number:,}{note}")


def _has_amounts(report: Report) -> bool:
    """Say whether there is a total; a feed that fills only a part of transactions has none."""
    return report.sold_from is not None or bool(report.total_minor or report.counts.refunds)


def _amounts(report: Report) -> Iterator[str]:
    currency = report.currency
    if currency is None:
        yield _labelled("Control total", "none, for the amounts are in several currencies")
    else:
        yield _labelled("Control total", _amount(report.total_minor, currency))
    if report.counts.refunds:
        refunded = "" if currency is None else f"{_amount(report.refund_minor, currency)} "
        yield _labelled("  of that refunds", f"{refunded}({report.counts.refunds:,})")
    if report.sold_from is not None:
        yield _labelled("First sale", _ascii(report.sold_from))
    if report.sold_to is not None:
        yield _labelled("Last sale", _ascii(report.sold_to))


def _amount(minor: int, currency: str) -> str:
    """Write minor units as decimals: 123456 EUR is "1,234.56 EUR"; no float touches it."""
    digits = minor_digits(currency)
    whole, rest = divmod(abs(minor), 10**digits)
    sign = "-" if minor < 0 else ""
    decimals = f".{rest:0{digits}d}" if digits else ""
    return f"{sign}{whole:,}{decimals} {currency}".rstrip()


def _reason(delivery: Delivery, report: Report | None) -> Iterator[str]:
    if told := reason(delivery, report):
        yield ""
        yield "Reason"
        yield from _wrapped(told)


def _reason_code(delivery: Delivery, report: Report | None) -> str | None:
    code = report.reason if report is not None else delivery.reason
    # Reasons that only operators know (a word of theirs, a removed customer) are not told.
    return code if code in FAULTS else None


def _reason_fault(report: Report | None) -> Fault | None:
    """Find the fault for which the whole file was refused, if it is one among the faults."""
    faults = report.faults if report is not None else ()
    return next((f for f in faults if report is not None and f.code == report.reason), None)


def _faults(report: Report, max_faults: int) -> Iterator[str]:
    """List the faults of rows; what refused the whole file was told as the reason."""
    the_reason = _reason_fault(report) if report.outcome != "imported" else None
    faults = [f for f in report.faults if not f.warning and f.line and f is not the_reason]
    count = max(report.fault_count - (the_reason is not None), len(faults))
    listed = faults[:max_faults]
    if count and not report.faults:
        yield from ("", f"Faults: {count:,} (which they were is no longer kept)")
    if not listed:
        return
    yield ""
    yield f"Faults: {count:,}" + ("" if len(listed) >= count else f", the first {len(listed):,}")
    for fault in listed:
        yield from _listed(f"line {fault.line}: {_told(fault)}")


def _warnings(report: Report) -> Iterator[str]:
    of_rows = {
        code: number
        for code, number in sorted(report.warning_counts.items())
        if code not in words.ABOUT_THE_FILE
    }
    if of_rows:
        yield ""
        yield "Notes (these rows were not refused)"
    examples = {fault.code: fault for fault in reversed(report.faults) if fault.warning}
    for code, number in of_rows.items():
        example = examples.get(code, Fault(code, field="a column", seen="a time"))
        times = "once" if number == 1 else f"{number:,} times"
        where = f", first on line {example.line}" if example.line and number > 1 else ""
        where = f", on line {example.line}" if example.line and number == 1 else where
        yield from _listed(f"{times}{where}: {_told(example)}")
    yield from _notes_on_the_file(report)


def _notes_on_the_file(report: Report) -> Iterator[str]:
    """List what is said of the file: new columns, locations and payment methods, its form."""
    counts = {code: n for code, n in report.warning_counts.items() if code in words.ABOUT_THE_FILE}
    if not counts:
        return
    yield ""
    yield "About this file"
    for code, number in sorted(counts.items()):
        told = [fault for fault in report.faults if fault.warning and fault.code == code]
        for fault in told:
            yield from _listed(_told(fault))
        if not told:
            times = "" if number == 1 else f"{number:,} times: "
            yield from _listed(f"{times}{_told(Fault(code, field='a column'))}")


def _told(fault: Fault) -> str:
    text = FAULTS.get(fault.code, fault.code)
    field = _ascii(fault.field) or "a field"
    return text.format(field=field, seen=_ascii(fault.seen)).rstrip(" :")


def _next_step(delivery: Delivery, report: Report | None) -> str:
    if delivery.state is State.IMPORTED:
        faulty = report is not None and _is_faulty(report)
        cut_short = report is not None and "last-line-unterminated" in report.warning_counts
        if cut_short and not faulty:
            return words.NEXT_IF_CUT_SHORT
        return words.NEXT_WITH_FAULTS if faulty else words.NEXT_BY_STATE[State.IMPORTED]
    by_state = words.NEXT_BY_STATE[delivery.state]
    if delivery.state not in {State.REJECTED, State.BROKEN, State.HELD}:
        return by_state
    return words.NEXT_BY_REASON.get(_reason_code(delivery, report) or "", by_state)


def _labelled(label: str, text: str) -> str:
    return f"{label:<{LABEL_WIDTH}}{text}"


def _wrapped(text: str, hang: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=INDENT,
        subsequent_indent=INDENT + hang,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _listed(text: str) -> list[str]:
    return _wrapped(text, hang=INDENT)


def _ascii(text: str) -> str:
    r"""Escape what is not printable ASCII: a name with a line feed shows as "a\nb"."""
    return "".join(
        one if " " <= one <= "~" else one.encode("unicode_escape").decode("ascii") for one in text
    )
