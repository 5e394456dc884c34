"""Shipped mappings, one file of `importer/presets/` each, named after the export that it reads.

Owns how a feed's own keys go on top of one. A preset holds what a feed may hold, except `name`
and `files`. Never checks what it says: `mapping_toml` reads the two together.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources

_MERGED = ("read", "map")


def names() -> tuple[str, ...]:
    """Return the names of all presets."""
    folder = resources.files("tilldrop") / "importer" / "presets"
    if not folder.is_dir():
        return ()
    files = (file.name for file in folder.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml")))


def load(name: str) -> Mapping[str, object]:
    """Return a preset's keys as TOML has them. Raises FileNotFoundError if there is none."""
    return _parse(text(name))


def text(name: str) -> str:
    """Return a preset's file. Raises FileNotFoundError if there is none."""
    file = resources.files("tilldrop") / "importer" / "presets" / f"{name}.toml"
    return file.read_text(encoding="utf-8")


def merge(preset: Mapping[str, object], own: Mapping[str, object]) -> dict[str, object]:
    """Lay a feed's own keys over a preset's.

    [feeds.read] and [feeds.map] are merged key by key, all else is replaced. A target that the
    feed sets to "" is left out.
    """
    merged: dict[str, object] = {**preset, **own}
    for key in _MERGED:
        below, above = preset.get(key), own.get(key)
        if isinstance(below, Mapping) and isinstance(above, Mapping):
            merged[key] = {**below, **above}
    mapped = merged.get("map")
    if isinstance(mapped, Mapping):
        merged["map"] = {target: source for target, source in mapped.items() if source != ""}
    return merged


@lru_cache(maxsize=64)
def _parse(written: str) -> Mapping[str, object]:
    return tomllib.loads(written)
