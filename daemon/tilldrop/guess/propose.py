"""From files to a proposal: samples read, feeds guessed, joined, tried.

Owns the order of the steps. Promises that what is printed is what was tried.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tilldrop.guess import figures, known
from tilldrop.guess.batches import gather_batches
from tilldrop.guess.build import build
from tilldrop.guess.draft import Answers, Draft, Question
from tilldrop.guess.sample import take_sample
from tilldrop.guess.several import join_samples
from tilldrop.guess.write import to_toml

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from tilldrop.guess.batches import Batch
    from tilldrop.guess.figures import Figures
    from tilldrop.guess.work import Build
    from tilldrop.rows import Report

_NAMES = {
    "products": "products",
    "shoppers": "shoppers",
    "locations": "locations",
    "stock_levels": "stock",
}
_LEVELS = ("refused", "open", "confirm", "confident")


@dataclass(slots=True)
class Proposal:
    """What a guess comes to. toml: the feeds; complaints: what the mapping reader says of them."""

    drafts: list[Draft]
    toml: str = ""
    questions: list[Question] = field(default_factory=list)
    figures: Figures | None = None
    complaints: list[str] = field(default_factory=list)
    currency: str = ""
    unused: set[str] = field(default_factory=set)
    numbers: dict[str, int] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """Return the least of the drafts' verdicts; what is not accepted is not usable."""
        found = [draft.verdict for draft in self.drafts]
        found += ["open"] * bool(self.complaints)
        return min(found, key=_LEVELS.index) if found else "refused"


def propose(
    paths: list[Path], given: dict[str, str], today: date, *, zone: str = "", currency: str = ""
) -> Proposal:
    """Guess a mapping for some files and try it.

    given: answers by the question's key or by its number, counted as they come up.
    zone, currency: "" if not known. Raises SampleUnreadable, WorkerLost.
    """
    batches = gather_batches([take_sample(path) for path in paths])
    found = _answered(batches, given, today, use_presets=True)
    _try(found, batches, zone, currency)
    if any(draft.preset and figures.is_doubtful(report) for draft, report in _tried(found)):
        found = _answered(batches, given, today, use_presets=False)
        _try(found, batches, zone, currency)
    for draft, report in _tried(found):
        if figures.is_doubtful(report):
            text = f"the trial refused {report.fault_count} of {report.counts.read} records"
            if report.outcome != "imported":
                why = f"{report.reason or ''} {report.reason_seen}".strip()
                text = f"the trial ended with {report.outcome} ({why})"
                draft.ask(
                    Question(
                        "trial", f"{draft.sample}: {text}. The mapping needs a hand.", free=False
                    )
                )
            draft.notes.append(text)
            draft.choose("trial", text, "low")
    for question in (one for draft in found.drafts for one in draft.questions):
        if question.key not in found.numbers:
            found.numbers[question.key] = len(found.numbers) + 1
            found.questions.append(question)
    found.toml = to_toml(found.drafts)
    return found


def _answered(
    batches: list[Batch],
    given: dict[str, str],
    today: date,
    *,
    use_presets: bool,
) -> Proposal:
    """Guess until every numbered answer has found its question."""
    by_key = {key: answer for key, answer in given.items() if not key.isdecimal()}
    by_number = {int(key): answer for key, answer in given.items() if key.isdecimal()}
    keys: list[str] = []
    while True:
        found = _propose(batches, by_key, today, use_presets=use_presets)
        keys += [question.key for question in found.questions if question.key not in keys]
        ready = [
            (keys[number - 1], answer)
            for number, answer in by_number.items()
            if number <= len(keys) and keys[number - 1] not in by_key
        ]
        if not ready:
            break
        by_key.update(ready)
    found.numbers = {key: number for number, key in enumerate(keys, 1)}
    found.unused |= {str(number) for number in by_number if not 1 <= number <= len(keys)}
    return found


def _propose(
    batches: list[Batch],
    given: dict[str, str],
    today: date,
    *,
    use_presets: bool,
) -> Proposal:
    answers = Answers(given)
    builds: list[Build] = []
    for batch in batches:
        draft = Draft("", [_files(batch, alone=len(batches) == 1)], batch.told)
        made = build(batch.sample, draft, answers, today)
        preset = known.find_preset(batch.sample) if use_presets else None
        if preset is not None:
            made.draft = fresh = Draft("", draft.files, batch.told)
            fresh.read, fresh.choices = (
                draft.read,
                {key: one for key, one in draft.choices.items() if key.startswith("read.")},
            )
            fresh.currency, fresh.table = draft.currency, preset.feed.table
            known.put_preset(preset, fresh, answers)
        builds.append(made)
    join_samples([made for made in builds if not made.draft.preset], answers)
    drafts = [made.draft for made in builds]
    _name(drafts)
    questions = {one.key: one for draft in drafts for one in draft.questions}
    unused = set(given) - answers.used
    return Proposal(drafts, to_toml(drafts), list(questions.values()), unused=unused)


def _try(found: Proposal, batches: list[Batch], zone: str, currency: str) -> None:
    """Import the samples with all feeds that can be used."""
    usable = [
        (draft, batch)
        for draft, batch in zip(found.drafts, batches, strict=True)
        if not draft.is_open
    ]
    found.currency = currency or next(
        (draft.currency for draft in found.drafts if draft.currency), ""
    )
    ready = []
    for draft, batch in sorted(usable, key=lambda one: one[0].table == "transactions"):
        feeds, wrong = figures.feeds_of(to_toml([draft]))
        found.complaints += [f"{draft.sample}: {one}" for one in wrong]
        ready += [(feeds[0], path) for path in batch.paths if feeds]
    if ready and not found.complaints:
        found.figures = figures.try_feeds(ready, zone or "UTC", found.currency or "EUR")


def _tried(found: Proposal) -> list[tuple[Draft, Report]]:
    if found.figures is None:
        return []
    by_name = {draft.name: draft for draft in found.drafts}
    return [
        (by_name[report.feed], report) for report in found.figures.reports if report.feed in by_name
    ]


def _files(batch: Batch, *, alone: bool) -> str:
    return _pattern(batch.paths[0].name, alone=alone, several=len(batch.paths) > 1)


def _pattern(name: str, *, alone: bool, several: bool = False) -> str:
    """Return a pattern that takes the next files of this name too.

    alone: there is one feed. several: files are known whose names differ in digits.
    """
    stem, dot, suffix = name.rpartition(".")
    stem = stem if dot else suffix
    end = f".{suffix}" if dot else ""
    plain = re.sub(r"[\[\]*?]", "?", stem)  # what a pattern would read otherwise
    general = re.sub(r"\d+(?:[-_. ]?\d+)*", "*", plain)
    if not re.search(r"[^\W\d_]", general):
        general = "*" if alone else re.sub(r"\d", "[0-9]", plain) if several else stem
    elif "*" not in general:
        general += "*" if alone else ""
    return f"{general}{end}".strip()


def _name(drafts: list[Draft]) -> None:
    """Give every feed a name of its own."""
    used: set[str] = set()
    for draft in drafts:
        wanted = draft.preset or _NAMES.get(draft.table) or "sales"
        if draft.table == "transactions" and draft.keys.get("partial"):
            wanted = (
                re.sub(r"[^A-Za-z0-9_-]+", "-", draft.sample.rpartition(".")[0]).strip("-")
                or wanted
            )
        name, number = wanted[:60], 2
        while name in used:
            name, number = f"{wanted[:60]}-{number}", number + 1
        used.add(name)
        draft.name = name
