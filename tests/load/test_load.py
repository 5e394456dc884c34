"""Everything at once, small: nothing is lost, guessers are shut out, customers get in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.load.__main__ import SPARE_DESCRIPTORS, arguments, run
from tests.load.bed import lay_out
from tests.load.clients import address

if TYPE_CHECKING:
    from pathlib import Path

DAEMON_MB_MOST = 400.0
SMALL = (
    *("--customers", "6", "--sessions", "30", "--uploads", "8", "--upload-s", "0.3"),
    *("--guesses", "30", "--strangers", "40", "--bulk-mb", "24", "--rows", "2000"),
    *("--seconds", "1", "--together", "--probe-s", "0.2", "--bite-s", "0"),
)
# So few that the strangers fill it, and each guesser comes again and again.
CROWDED = "\n[guard]\nmax_waiting = 12\npenalty_min_s = 5\n"


def test_under_load_nothing_is_lost_and_customers_get_in(tmp_path: Path, host_keys: Path) -> None:
    daemon = lay_out(tmp_path, host_keys, 6, CROWDED)
    guessers = {address(66, number) for number in range(3)}

    def has_bitten() -> bool:
        shut_out = {each["source"] for each in daemon.events("source.shut_out")}
        return guessers <= shut_out and bool(daemon.events("guard.crowded"))

    try:
        wanted = arguments([*SMALL, "--guess-sources", str(len(guessers))])
        outcome = run(daemon.start(), wanted, tmp_path, has_bitten)
    finally:
        daemon.stop()
    assert outcome.complaints == []
    assert len(outcome.acknowledged) > 10
    assert outcome.said["sessions"]["held"] == 30
    assert outcome.said["sessions"]["lost"] == 0
    for way in ("sftp, key", "sftp, password", "ftp, password"):
        assert outcome.logins[way], way
        assert -1 not in outcome.logins[way], outcome.said["probe"]["why"]
    assert "let in" not in outcome.said["guesses"]
    assert outcome.figures["daemon_mb"] < DAEMON_MB_MOST
    assert (
        outcome.figures["descriptors_after"]
        <= outcome.figures["descriptors_before"] + SPARE_DESCRIPTORS
    )
    assert outcome.figures["loop"]["longest_turn_ms"] > 0
