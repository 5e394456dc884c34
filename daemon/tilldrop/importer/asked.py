"""What the importer's thread asks of others, so that it can be tried without them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tilldrop.delivery import Cause
    from tilldrop.rows import Job, Report


class Runs(Protocol):
    """What the importer needs of the supervisor."""

    def run(self, job: Job) -> Report:
        """Import one file. Raises WorkerLost, DataUnavailable."""
        ...

    def run_all(self, jobs: Sequence[Job]) -> list[Report]:
        """Import several files in one commit. Raises the same; then none counts as imported."""
        ...


class Bell(Protocol):
    """What wakes the importer: `watch.Bell`."""

    def ring(self, cause: Cause) -> None:
        """Wake the importer."""
        ...

    def wait(self, timeout_s: float | None) -> Cause | None:
        """Wait for a ring and take it."""
        ...
