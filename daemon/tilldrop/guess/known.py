"""Shipped mappings that fit a sample, known by its column names.

Promises that a preset is proposed only if all columns that it needs and half of those that it
knows are there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilldrop import presets
from tilldrop.guess.draft import Answers, Draft, Question
from tilldrop.mapping_columns import columns_needed, settled_header
from tilldrop.mapping_toml import read_feed
from tilldrop.sources import FromFolder

if TYPE_CHECKING:
    from tilldrop.guess.sample import Sample
    from tilldrop.mapping import Feed

_LEAST_SHARE = 0.5
_LEAST_NAMES = 6


@dataclass(frozen=True, slots=True)
class Known:
    """A preset that fits. names: how many of its columns are in the sample."""

    name: str
    names: int
    share: float
    feed: Feed


def find_preset(sample: Sample) -> Known | None:
    """Return the preset that fits best, None if none does."""
    fitting = []
    for name in presets.names():
        feed = _feed(name)
        if feed is None:
            continue
        header = {
            one.strip().casefold() for one in settled_header(sample.dialect.header, feed.reading)
        }
        needed = {one.strip().casefold() for one in columns_needed(feed)}
        if not needed <= header:
            continue
        every = needed | {one.strip().casefold() for one in feed.reading.optional}
        there = len(every & header)
        if there >= max(_LEAST_NAMES, _LEAST_SHARE * len(every)):
            fitting.append(Known(name, there, there / len(every), feed))
    return max(fitting, key=lambda one: (one.names, one.share), default=None)


def put_preset(known: Known, draft: Draft, answers: Answers) -> None:
    """Make the draft a feed of a preset: what a sample shows of how it is read stays."""
    draft.preset = known.name
    text = f"{known.names} of its columns are there, with all that it needs"
    draft.choose("preset", text, "high")
    own = {"encoding", "delimiter", "decimal", "thousands", "quote", "header_line"}
    draft.read = {key: value for key, value in draft.read.items() if key in own}
    if isinstance(known.feed.sources.get("location_id"), FromFolder):
        answer = answers.take("location")
        if answer is None:
            text = (
                "The preset takes the location from the folder. Which location is this file from?"
            )
            draft.ask(Question("location", text, (), free=True, example="12"))
        else:
            draft.put("location_id", {"const": answer}, "as answered", "high")


def _feed(name: str) -> Feed | None:
    raw = presets.merge(presets.load(name), {"name": name, "files": ["*"]})
    return read_feed(raw, lambda _key, _text: None)
