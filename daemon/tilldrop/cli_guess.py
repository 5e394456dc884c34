"""`tilldrop guess`: samples in, a mapping to review out, with questions and control figures.

Owns how a guess is printed and answered. Never writes into a home: the mapping goes to stdout or
to the file that was named.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilldrop.cli_context import PATH, Where, as_json, plural
from tilldrop.cli_output import visible, write_json, write_pairs
from tilldrop.errors import UsageWrong
from tilldrop.zones import CURRENCIES, is_zone, nearest_currency, nearest_zone

if TYPE_CHECKING:
    from tilldrop.guess.draft import Question
    from tilldrop.guess.propose import Proposal

EXIT_REFUSED = 65  # EX_DATAERR
_MOST_LOCATIONS = 12
_MOST_SAMPLES = 40
_SAID = {
    "refused": "No mapping can read this; see why above.",
    "open": "Not usable yet: answer the questions.",
    "confirm": "Some choices are likely, not proven. Compare the figures with the till's.",
    "confident": "Every choice is borne out by the rows. Compare the figures with the till's.",
}


@click.command("guess")
@click.argument(
    "samples",
    nargs=-1,
    required=True,
    metavar="SAMPLE...",
    type=click.Path(path_type=Path, exists=True),
)
@click.option(
    "--answer",
    "answers",
    multiple=True,
    metavar="N=TEXT",
    help="Answer a question, by its number or name.",
)
@click.option("--location", help="The location of all sales, or the column that names it.")
@click.option(
    "--date-order", type=click.Choice(("dmy", "mdy", "ymd")), help="Which way dates are written."
)
@click.option("--zone", help="The tills' time zone, for the figures.")
@click.option("--currency", help="The tills' currency, for the figures.")
@click.option("--customer", "customer_name", help="Take zone and currency from a customer.")
@click.option("-o", "--output", type=PATH, help="Write the mapping to this file.")
@as_json
@click.pass_context
def guess_mapping(
    context: click.Context,
    samples: tuple[Path, ...],
    answers: tuple[str, ...],
    location: str | None,
    date_order: str | None,
    zone: str | None,
    currency: str | None,
    customer_name: str | None,
    output: Path | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Propose a mapping for a till's export.

    A folder stands for the files in it. Prints the feeds with the evidence of each choice, what
    cannot be known as questions, and the figures of a trial import. Exits 0 if the mapping can
    be used, 65 if questions are open.
    """
    # The guess takes a quarter of a second to import, which every other verb would pay.
    from tilldrop.guess.propose import propose  # noqa: PLC0415

    given = _given(answers, location, date_order)
    if customer_name is not None:
        where: Where = context.obj
        customer = where.customer(customer_name)
        zone, currency = zone or customer.zone, currency or customer.currency
    _check(zone, currency)
    today = datetime.now(UTC).date()
    found = propose(_files(samples), given, today, zone=zone or "", currency=currency or "")
    if output is not None and not found.toml.isspace():
        output.write_text(found.toml, encoding="utf-8")
    if as_json:
        write_json(_plain(found))
    else:
        _write(found, output, zone, currency)
    context.exit(0 if found.verdict in {"confident", "confirm"} else EXIT_REFUSED)


def _files(samples: tuple[Path, ...]) -> list[Path]:
    """Return the samples, of a folder all files in it. Raises UsageWrong."""
    files = []
    for sample in samples:
        inside = (
            sorted(one for one in sample.iterdir() if _is_sample(one)) if sample.is_dir() else []
        )
        if sample.is_dir() and not 0 < len(inside) <= _MOST_SAMPLES:
            raise UsageWrong(f"{sample} holds {len(inside)} files; expected 1 to {_MOST_SAMPLES}")
        files += inside or [sample]
    return files


def _is_sample(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def _given(
    answers: tuple[str, ...], location: str | None, date_order: str | None
) -> dict[str, str]:
    """Return the answers by key or number. Raises UsageWrong."""
    given = {}
    for one in answers:
        key, equals, text = one.partition("=")
        if not equals or not key.strip() or not text.strip():
            raise UsageWrong(
                f"--answer {one!r}: expected a question's number or name, = and the answer"
            )
        given[key.strip()] = text.strip()
    if location is not None:
        given["location"] = location
    if date_order is not None:
        given["date-order"] = date_order
    return given


def _check(zone: str | None, currency: str | None) -> None:
    if zone and not is_zone(zone):
        raise UsageWrong(
            f"--zone {zone!r}: expected a zone such as Europe/Paris{nearest_zone(zone)}"
        )
    if currency and currency not in CURRENCIES:
        raise UsageWrong(
            f"--currency {currency!r}: expected a code such as EUR{nearest_currency(currency)}"
        )


def _write(found: Proposal, output: Path | None, zone: str | None, currency: str | None) -> None:
    if output is None:
        click.echo(visible_lines(found.toml))
    else:
        click.echo(f"wrote {output}")
    for key in sorted(found.unused):
        click.echo(
            f"no question has the name or number {key!r}: that answer was not used", err=True
        )
    for complaint in found.complaints:
        click.echo(f"the mapping is not accepted: {visible(complaint)}", err=True)
    for question in found.questions:
        _ask(found.numbers[question.key], question)
    if found.figures is not None:
        _write_figures(found, zone, currency)
    click.echo(f"\n{_SAID[found.verdict]}")


def visible_lines(text: str) -> str:
    """Escape what a terminal would obey, line by line."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _ask(number: int, question: Question) -> None:
    click.echo(f"\nQuestion {number} ({question.key}): {visible(question.text)}")
    for option in question.options:
        click.echo(visible(f"  --answer '{number}={option.value}'   {option.meaning}"))
    if question.free:
        example = question.example or "..."
        click.echo(f"  --answer '{number}={example}'   something else")


def _write_figures(found: Proposal, zone: str | None, currency: str | None) -> None:
    """Print what the retailer can compare with the till's own figures."""
    figures = found.figures
    if figures is None:
        return
    code = found.currency or currency or ""
    click.echo("\nFigures of a trial import, to compare with the till's own:")
    pairs: list[tuple[str, object]] = []
    if any(report.table == "transactions" for report in figures.reports):
        pairs += [
            ("transactions", str(figures.transactions)),
            ("sum", f"{figures.total} {code}".strip()),
            ("refunds", f"{figures.refunds}, {figures.refund_total} {code}".strip()),
            ("first", figures.first[:19].replace("T", " ")),
            ("last", figures.last[:19].replace("T", " ")),
        ]
        pairs += [
            (f"location {place}", f"{plural(count, 'transaction')}, {total}")
            for place, count, total in figures.locations[:_MOST_LOCATIONS]
        ]
    pairs += [(table, str(count)) for table, count in (figures.children or {}).items()]
    for report in figures.reports:
        if report.outcome != "imported" or report.fault_count:
            pairs.append(
                (f"{report.feed}", f"{report.outcome}, {plural(report.fault_count, 'fault')}")
            )
    write_pairs(pairs)
    if zone is None or (currency is None and not found.currency):
        click.echo(
            "Zone and currency are the customer's: --zone, --currency or --customer say them"
            f" (taken here: {zone or 'UTC'}, {code or 'EUR'})."
        )


def _plain(found: Proposal) -> dict[str, Any]:
    """Return the whole proposal for scripts."""
    return {
        "verdict": found.verdict,
        "toml": found.toml,
        "currency": found.currency,
        "questions": [{"number": found.numbers[one.key], **asdict(one)} for one in found.questions],
        "feeds": [
            {
                "name": draft.name,
                "sample": draft.sample,
                "table": draft.table,
                "verdict": draft.verdict,
                "refusal": draft.refusal,
                "notes": draft.notes,
                "choices": [asdict(choice) for choice in draft.choices.values()],
            }
            for draft in found.drafts
        ],
        "figures": asdict(found.figures) if found.figures else None,
        "complaints": found.complaints,
        "unused_answers": sorted(found.unused),
    }
