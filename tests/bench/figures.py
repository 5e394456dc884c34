"""Where benches leave their figures: a readable line now, a JSON line for later comparison."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

RECORD = Path("var", "bench.jsonl")


def record(bench: str, told: str, **figures: float | str) -> None:
    """Print `told` and append the figures, with machine and time, to var/bench.jsonl."""
    sys.stdout.write(f"{bench}: {told}\n")
    sys.stdout.flush()
    line = {
        "bench": bench,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        **figures,
    }
    RECORD.parent.mkdir(exist_ok=True)
    with RECORD.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def percentile(values: list[float], share: float) -> float:
    """Return the value that `share` of all do not exceed (nearest rank)."""
    ranked = sorted(values)
    rank = max(0, min(len(ranked) - 1, -(-len(ranked) * share // 1) - 1))
    return ranked[int(rank)]
