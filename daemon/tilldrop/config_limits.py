"""What `[limits]` of one customer's file may say.

Owns which limits a customer may have of its own, and the range of every limit. Their defaults for
all customers are `config.Limits`. Never counts anything: `usage` does.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tilldrop.toml_table import Table

_A_DAY_S = 24 * 3600
_A_TEBIBYTE = 1024**4
# key -> lowest and highest value that makes sense
RANGES: dict[str, tuple[int, int]] = {
    "limits.max_file_bytes": (1, _A_TEBIBYTE),
    "limits.max_stored_bytes": (0, 1024 * _A_TEBIBYTE),
    "limits.max_uploads_a_day": (0, 1_000_000_000),
    "limits.max_sessions": (0, 100_000),
    "limits.bandwidth_bytes_s": (0, _A_TEBIBYTE),
    "limits.reserve_bytes": (0, 1024 * _A_TEBIBYTE),
    "limits.max_open_files": (1, 10_000),
    # A record passes through memory several times over.
    "limits.max_record_bytes": (1024, 256 * 1024**2),
    "limits.broken_keep_hours": (1, 10_000),
    "limits.keep_days": (1, 36_500),
    "limits.keep_rejected_days": (0, 36_500),
    "limits.keep_history_days": (0, 36_500),
    "limits.keep_reports_days": (0, 36_500),
    "limits.audit_keep_days": (1, 36_500),
    "limits.temporary_name_wait_s": (1, 30 * _A_DAY_S),
    "limits.empty_grace_s": (0, 3600),
    "limits.stop_grace_s": (0, 3600),
    "limits.max_unpacked_bytes": (1, _A_TEBIBYTE),
    "limits.max_unpack_ratio": (1, 1_000_000),
}
# At less, a few packets of 256 KiB would take longer than a session may be idle.
BANDWIDTH_LEAST_BYTES_S = 10_000
BANDWIDTH_EXPECTED = f"0 (no limit) or at least {BANDWIDTH_LEAST_BYTES_S}"


@dataclass(frozen=True, slots=True)
class OwnLimits:
    """[limits] of a customer; None: as for all."""

    max_file_bytes: int | None = None
    max_stored_bytes: int | None = None
    max_uploads_a_day: int | None = None
    max_open_files: int | None = None
    max_sessions: int | None = None
    bandwidth_bytes_s: int | None = None
    keep_days: int | None = None
    keep_rejected_days: int | None = None
    keep_history_days: int | None = None
    keep_reports_days: int | None = None

    @property
    def said(self) -> dict[str, int]:
        """Return those that are set."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


def read_own_limits(table: Table) -> OwnLimits:
    """Read [limits] of a customer's file."""
    if not table.has("limits"):
        return OwnLimits()
    inner = table.table("limits")
    found = {
        field.name: inner.whole(field.name, 0, *RANGES[f"limits.{field.name}"])
        for field in fields(OwnLimits)
        if inner.has(field.name)
    }
    if is_too_slow(found.get("bandwidth_bytes_s", 0)):
        inner.wrong("bandwidth_bytes_s", BANDWIDTH_EXPECTED)
    inner.end()
    return OwnLimits(**found)


def is_too_slow(bandwidth_bytes_s: int) -> bool:
    """Tell whether no session would stay alive at that bandwidth."""
    return 0 < bandwidth_bytes_s < BANDWIDTH_LEAST_BYTES_S
