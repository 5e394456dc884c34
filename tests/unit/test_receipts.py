"""What a retailer reads about its file."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tilldrop import receipts
from tilldrop.delivery import Delivery, State
from tilldrop.errors import FAULTS
from tilldrop.rows import Counts, Fault, Report

NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
DELIVERY = Delivery(
    id="261121-120000-k7x2q",
    arrival_seq=1,
    customer="acme",
    door="sftp",
    name="sales.csv",
    state=State.IMPORTED,
    size_bytes=12345,
    gap_from=None,
    mtime=None,
    began_at=NOON,
    arrived_at=NOON,
    changed_at=NOON,
    run=1,
    attempts=0,
    not_before=None,
    feed="sales",
    reason=None,
    sha256=None,
    fingerprint=None,
    bytes_gone_at=None,
)
REPORT = Report(
    delivery=DELIVERY.id,
    run=1,
    outcome="imported",
    feed="sales",
    size_bytes=12345,
    counts=Counts(
        read=1000,
        rejected=2,
        repeated=3,
        transactions=995,
        inserted=980,
        updated=10,
        unchanged=4,
        superseded=1,
        refunds=2,
    ),
    total_minor=123456789,
    refund_minor=-4500,
    currency="EUR",
    sold_from="2026-11-20T08:01:00+01:00",
    sold_to="2026-11-20T19:59:00+01:00",
    faults=(
        Fault("date-unreadable", line=14, field="sold_on", seen="31.02.2026"),
        Fault("number-unreadable", line=20, field="Total", seen="abc"),
        Fault("time-skipped", line=30, seen="02:30", warning=True),
    ),
    fault_count=2,
    warning_counts={"time-skipped": 2},
)
CLEAN = Report(
    delivery=DELIVERY.id,
    run=1,
    outcome="imported",
    counts=Counts(read=5, transactions=5, inserted=5),
    total_minor=500,
    currency="EUR",
)


def in_state(state: State, reason: str | None = None) -> Delivery:
    return replace(DELIVERY, state=state, reason=reason)


def refused(reason: str, seen: str = "") -> str:
    report = Report(DELIVERY.id, 1, "rejected", reason=reason, reason_seen=seen)
    return receipts.render(in_state(State.REJECTED, reason), report)


def test_receipt_of_a_file_with_faults_is_this_text() -> None:
    assert receipts.render(DELIVERY, REPORT) == (
        "ACCEPTED WITH FAULTS\n"
        "\n"
        "File                  sales.csv\n"
        "Delivery              261121-120000-k7x2q\n"
        "Received              2026-11-21 12:00:00 UTC\n"
        "Size                  12,345 bytes\n"
        "\n"
        "Rows read             1,000\n"
        "Rows refused          2\n"
        "Rows repeated         3 (the last row was taken)\n"
        "Transactions          995\n"
        "  booked new          980\n"
        "  booked changed      10\n"
        "  unchanged           4 (already booked like this)\n"
        "  not booked          1 (older than what we have)\n"
        "Control total         1,234,567.89 EUR\n"
        "  of that refunds     -45.00 EUR (2)\n"
        "First sale            2026-11-20T08:01:00+01:00\n"
        "Last sale             2026-11-20T19:59:00+01:00\n"
        "\n"
        "Faults: 2\n"
        "  line 14: sold_on is not a date of the agreed format: 31.02.2026\n"
        "  line 20: Total is not a number: abc\n"
        "\n"
        "Notes (these rows were not refused)\n"
        "  2 times, first on line 30: 02:30 does not exist on that day (clocks go forward); one\n"
        "    hour was added\n"
        "\n"
        "What to do\n"
        "  Correct the rows listed above and send them in a new file. It may hold the other rows"
        " of\n  this file too: transactions that are already booked are not booked twice.\n"
    )


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (State.RECEIVING, "BEING RECEIVED"),
        (State.WAITING, "WAITING FOR THE END OF THE UPLOAD"),
        (State.BROKEN, "INCOMPLETE"),
        (State.ARRIVED, "WAITING FOR ITS IMPORT"),
        (State.IMPORTING, "IN WORK"),
        (State.IMPORTED, "ACCEPTED"),
        (State.REJECTED, "REFUSED"),
        (State.DUPLICATE, "DUPLICATE"),
        (State.UNCLAIMED, "NOT EXPECTED"),
        (State.HELD, "BEING LOOKED AT BY THE OPERATOR"),
    ],
)
def test_first_line_is_the_verdict(state: State, verdict: str) -> None:
    assert receipts.render(in_state(state), None).splitlines()[0] == verdict


def test_clean_import_is_accepted_and_asks_for_nothing() -> None:
    text = receipts.render(DELIVERY, CLEAN)
    assert text.startswith("ACCEPTED\n")
    assert text.endswith("What to do\n  Nothing.\n")
    assert "Faults" not in text


@pytest.mark.parametrize(
    ("minor", "currency", "shown"),
    [
        (0, "EUR", "0.00 EUR"),
        (5, "EUR", "0.05 EUR"),
        (-5, "EUR", "-0.05 EUR"),
        (-123456, "USD", "-1,234.56 USD"),
        (1500, "JPY", "1,500 JPY"),
        (1234567, "KWD", "1,234.567 KWD"),
        (99999999999999999, "EUR", "999,999,999,999,999.99 EUR"),
    ],
)
def test_control_total_is_exact(minor: int, currency: str, shown: str) -> None:
    report = replace(CLEAN, total_minor=minor, currency=currency, sold_from="2026-03-14T10:00:00Z")
    text = receipts.render(DELIVERY, report)
    assert f"Control total         {shown}\n" in text


def test_only_the_first_faults_are_listed_and_the_total_is_told() -> None:
    faults = tuple(Fault("total-empty", line=n, field="Total") for n in range(2, 102))
    report = replace(REPORT, faults=faults, fault_count=5000)
    text = receipts.render(DELIVERY, report)
    assert "Faults: 5,000, the first 100\n" in text
    assert text.count(": Total is empty\n") == 100
    assert receipts.render(DELIVERY, report, max_faults=3).count(": Total is empty\n") == 3


def test_a_refusal_gives_its_reason_and_says_that_nothing_was_booked() -> None:
    report = Report(
        DELIVERY.id,
        1,
        "rejected",
        reason="too-many-faults",
        reason_seen="40 of 100 (40 %)",
        counts=Counts(read=100, rejected=40),
    )
    text = receipts.render(in_state(State.REJECTED, "too-many-faults"), report)
    assert "Transactions booked   none\n" in text
    assert "40 of 100 (40 %) of the rows are faulty" in text
    assert "Nothing of this file was booked." in " ".join(text.split())


@pytest.mark.parametrize("reason", sorted(FAULTS))
def test_no_reason_leaves_a_hole_in_the_text(reason: str) -> None:
    text = refused(reason)
    assert "{" not in text
    assert "What to do\n  " in text


def test_a_missing_column_is_named_and_the_advice_fits() -> None:
    text = refused("header-lacks", "Branch, Total")
    assert "Columns are missing: Branch, Total." in text
    assert "Add the missing columns to your export" in text


def test_what_only_the_operator_knows_is_not_told() -> None:
    text = receipts.render(in_state(State.HELD, "no-such-customer"), None)
    assert "no-such-customer" not in text
    assert "Reason" not in text


def test_an_earlier_run_is_not_told_while_the_file_is_in_work_again() -> None:
    assert "Rows read" not in receipts.render(in_state(State.IMPORTING), REPORT)


def test_nothing_but_printable_ascii_gets_into_a_receipt() -> None:
    report = replace(
        REPORT,
        faults=(
            Fault("number-unreadable", 2, "Prei\u0142s\x1b[2J", "\u20ac\r\nWhat to do {field}"),
        ),
    )
    text = receipts.render(replace(DELIVERY, name="a\nb\u202ec\x7f.csv"), report)
    assert all(" " <= one <= "~" or one == "\n" for one in text)
    assert "File                  a\\nb\\u202ec\\x7f.csv\n" in text
    assert text.count("\nWhat to do\n") == 1


def test_lines_stay_within_the_width() -> None:
    faults = tuple(Fault("date-unreadable", n, "Column name " * 4, "seen " * 12) for n in (1, 2))
    text = receipts.render(DELIVERY, replace(REPORT, faults=faults))
    assert max(map(len, text.splitlines())) <= receipts.WIDTH


@pytest.mark.parametrize(
    ("name", "receipt"),
    [
        ("sales.csv", "receipts/sales.csv.261121-120000-k7x2q.txt"),
        ("transactions/a.csv", "receipts/transactions_a.csv.261121-120000-k7x2q.txt"),
    ],
)
def test_receipt_is_named_after_file_and_delivery(name: str, receipt: str) -> None:
    assert receipts.name_for(replace(DELIVERY, name=name)) == receipt


def test_a_fault_of_the_whole_file_is_told_once_with_its_line() -> None:
    report = Report(
        DELIVERY.id,
        1,
        "rejected",
        reason="quote-unclosed",
        faults=(Fault("quote-unclosed", line=7),),
        fault_count=1,
    )
    text = receipts.render(in_state(State.REJECTED, "quote-unclosed"), report)
    assert "Line 7: a quotation mark opens here and is never closed.\n" in text
    assert "Faults" not in text


def test_a_file_that_may_be_cut_short_is_asked_for_again() -> None:
    report = replace(CLEAN, warning_counts={"last-line-unterminated": 1})
    text = receipts.render(DELIVERY, report)
    assert text.startswith("ACCEPTED\n")
    assert "unless the file should be longer" in text


def test_a_file_in_sandbox_is_told_to_be_a_test_before_all_figures() -> None:
    text = receipts.render(DELIVERY, replace(REPORT, sandbox=True))
    lines = text.splitlines()
    assert lines[0] == "ACCEPTED WITH FAULTS"
    assert "This was a test" in lines[2]
    assert "This was a test" not in receipts.render(DELIVERY, REPORT)


def test_what_was_left_out_what_is_gone_and_what_hangs_below_is_counted() -> None:
    counts = Counts(read=10, skipped=4, transactions=5, inserted=5, gone=2, removed=3)
    below = {"line_items": 1200, "tenders": 6, "taxes": 0}
    text = receipts.render(DELIVERY, replace(REPORT, counts=counts, child_rows=below))
    assert "Rows left out         4 (as agreed)" in text
    assert "  gone                2 (not in this file any more" in text
    assert "  taken away          3 (booked before" in text
    assert "  their lines         1,200" in text
    assert "  their payments      6" in text
    assert "their taxes" not in text


def test_a_master_file_is_counted_by_its_own_name_and_has_no_total() -> None:
    counts = Counts(read=3, transactions=3, inserted=3)
    text = receipts.render(DELIVERY, replace(REPORT, counts=counts, table="products"))
    assert "Products              3" in text
    assert "Control total" not in text
    assert "Transactions" not in text.split("What to do")[0]


@pytest.mark.parametrize("reason", ["control-differs", "control-missing", "companion-missing"])
def test_what_is_held_for_its_figures_says_so_and_that_nothing_is_booked(reason: str) -> None:
    held = replace(DELIVERY, state=State.HELD, reason=reason)
    report = replace(
        REPORT, outcome="held", reason=reason, reason_seen="5 records declared, 4 found", faults=()
    )
    text = receipts.render(held, report)
    assert text.startswith("BEING LOOKED AT BY THE OPERATOR\n")
    assert "5 records declared, 4 found" in text
    assert "Transactions booked   none" in text
    assert "Control total" not in text


def test_what_is_held_for_a_crash_says_nothing_of_an_earlier_run() -> None:
    held = replace(DELIVERY, state=State.HELD, reason="import-crashed")
    assert "Rows read" not in receipts.render(held, REPORT)


def test_what_the_operator_took_back_is_no_longer_booked() -> None:
    undone = replace(DELIVERY, state=State.REJECTED, reason="undone")
    text = receipts.render(undone, REPORT)
    assert text.startswith("TAKEN BACK BY THE OPERATOR\n")
    assert "The operator took this file back." in text
    assert "booked" not in text


def test_every_new_column_location_and_payment_method_is_told_by_itself() -> None:
    new = (
        Fault("column-new", field="Loyalty", seen="Loyalty", warning=True),
        Fault("column-new", field="Till", seen="Till", warning=True),
        Fault("location-new", seen="99", warning=True),
        Fault("tender-new", seen="Twint", warning=True),
    )
    counts = {"column-new": 2, "location-new": 1, "tender-new": 1, "key-repeated": 1}
    text = receipts.render(DELIVERY, replace(REPORT, faults=new, warning_counts=counts))
    about = text.split("About this file")[1]
    for seen in ("Loyalty", "Till", "99", "Twint"):
        assert seen in about
    assert "once" not in about
    assert "once: the same transaction" in text.split("About this file")[0]


def test_card_data_is_refused_with_line_and_column_and_what_became_of_the_bytes() -> None:
    fault = Fault("card-data", line=7, field="Note", seen="1 number")
    rejected = replace(DELIVERY, state=State.REJECTED, reason="card-data", bytes_gone_at=NOON)
    report = replace(REPORT, outcome="rejected", reason="card-data", faults=(fault,), fault_count=1)
    text = receipts.render(rejected, report)
    assert "Line 7: Note holds card numbers" in text
    assert "its bytes were deleted here" in " ".join(text.split())


def test_a_companion_is_told_what_it_is_for() -> None:
    companion = replace(DELIVERY, name="sales.ctl", feed="sales:companion")
    text = receipts.render(companion, Report(DELIVERY.id, 1, "imported", feed="sales:companion"))
    assert text.startswith("ACCEPTED\n")
    assert "compared with those of the file that it belongs to" in text
    assert "Transactions" not in text


def test_amounts_in_several_currencies_have_no_control_total() -> None:
    text = receipts.render(DELIVERY, replace(REPORT, currency=None, total_minor=0, refund_minor=0))
    assert "Control total         none, for the amounts are in several currencies" in text
    assert "  of that refunds     (2)" in text
    assert "First sale" in text


def test_a_place_is_told_once() -> None:
    fault = Fault("card-data", line=7, field="Note", seen="line 7")
    rejected = replace(DELIVERY, state=State.REJECTED, reason="card-data")
    report = replace(REPORT, outcome="rejected", reason="card-data", faults=(fault,))
    assert receipts.reason(rejected, report) == (
        "Line 7: Note holds card numbers, which must not be sent."
    )


def test_no_total_is_told_of_a_feed_that_brings_none() -> None:
    text = receipts.render(DELIVERY, replace(CLEAN, total_minor=0, child_rows={"tenders": 3}))
    assert "their payments" in text
    assert "Control total" not in text


def test_lines_that_changed_are_not_said_to_be_as_before() -> None:
    counts = replace(CLEAN.counts, inserted=0, unchanged=5)
    alone = receipts.render(DELIVERY, replace(CLEAN, counts=counts))
    assert "(already booked like this)" in alone
    parts = receipts.render(DELIVERY, replace(CLEAN, counts=counts, child_rows={"line_items": 7}))
    assert "(already booked like this, lines and payments apart)" in parts
