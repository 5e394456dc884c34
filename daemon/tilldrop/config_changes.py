"""What a new configuration changes, setting by setting: for the journal and the audit log.

A configuration holds no secret, so plain values are said as they are. Never reads a file.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tilldrop.config import Config

SAID_MOST = 100
VALUE_CHARS = 60
_PLAIN = (str, int, float, bool, type(None))


def changes(old: Config, new: Config) -> list[str]:
    """Return what differs, such as "limits.keep_days: 90 -> 30" or "customers.acme: added"."""
    found = list(_differences("", old, new))
    more = len(found) - SAID_MOST
    return [*found[:SAID_MOST], f"and {more} more"] if more > 0 else found


def _differences(name: str, old: Any, new: Any) -> Iterator[str]:
    if old == new:
        return
    if isinstance(old, _PLAIN) and isinstance(new, _PLAIN):
        yield f"{name}: {_shown(old)} -> {_shown(new)}"
        return
    before, after = _parts(old), _parts(new)
    if before is None or after is None:
        yield f"{name}: changed"
        return
    yield from (f"{_joined(name, part)}: removed" for part in before if part not in after)
    for part, value in after.items():
        if part in before:
            yield from _differences(_joined(name, part), before[part], value)
        else:
            yield f"{_joined(name, part)}: added"
    if list(before) != list(after) and set(before) == set(after):
        yield f"{name}: in another order"


def _parts(value: Any) -> dict[str, Any] | None:
    """Return what a value is made of, by name; None where its parts have no names."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    if isinstance(value, dict):
        return {str(key): one for key, one in value.items()}
    if isinstance(value, tuple) and all(hasattr(one, "name") for one in value):
        return {str(one.name): one for one in value}
    return None


def _joined(name: str, part: str) -> str:
    return f"{name}.{part}" if name else part


def _shown(value: object) -> str:
    return "nothing" if value is None else str(value)[:VALUE_CHARS]
