"""Scenes of a clock that jumps: back an hour, forward a day, over both changes of summer time.

Owns the daemon's clock (libfaketime, whose offset stands in a file that is rewritten while the
daemon runs; time that only measures goes on as it does when a real clock is set) and the socket
on which a service manager would hear signs of life. None where libfaketime is not installed.
"""

from __future__ import annotations

import socket
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.clients import Account, ClientError, Paramiko
from tests.daemon import wait_for
from tests.faults.bed import Bed
from tests.faults.scene import SCENE_TOML, SETTLE_S, Scene, held, locked, settle, upload
from tilldrop import control
from tilldrop.delivery import State

# Long enough that the clock is set back while an empty file waits.
CLOCK_TOML = SCENE_TOML.replace("empty_grace_s = 0.2", "empty_grace_s = 20")
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
ZONE = "Europe/Paris"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
AHEAD_OF_CHANGE = timedelta(seconds=1)
SEEN_WITHIN = timedelta(minutes=5)  # the daemon's own stamps, against what the clock was set to
WATCHDOG_S = 2


@dataclass(slots=True)
class Clock:
    """The daemon's clock, to be set; and its signs of life."""

    bed: Bed
    file: Path
    pings: socket.socket
    seen: int = 0

    def jump(self, by: timedelta) -> list[str]:
        """Set the clock to so much beside the real one; say what does not go on."""
        self.file.write_text(f"{by.total_seconds():+.0f}\n")
        while _heard(self.pings):
            pass
        wait_for("a sign of life", lambda: b"WATCHDOG=1" in _heard(self.pings), SETTLE_S)
        sent = upload(self.bed)
        if not sent.acknowledged:
            return [f"{sent.name} was refused after a jump to {by}"]
        arrived_at = self.bed.daemon.deliveries(sent.name)[0].arrived_at
        assert arrived_at is not None
        self.seen += abs(arrived_at - (datetime.now(UTC) + by)) < SEEN_WITHIN
        return []


def _heard(pings: socket.socket) -> bytes:
    try:
        return pings.recv(4096)
    except BlockingIOError:
        return b""


def jumping_clock(folder: Path, keys: Path) -> Scene | None:
    """Jump while a retry waits, an empty file waits and a source is shut out; then see."""
    if not LIBRARIES:
        return None
    bed = Bed(folder, keys, "none", CLOCK_TOML)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as pings:
        pings.bind(str(folder / "notify"))
        pings.setblocking(False)  # noqa: FBT003  the library's own signature
        clock = Clock(bed, folder / "clock", pings)
        clock.file.write_text("+0\n")
        environment = {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(clock.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "TZ": ZONE,
            "NOTIFY_SOCKET": str(folder / "notify"),
            "WATCHDOG_USEC": str(WATCHDOG_S * 1_000_000),
        }
        words = (f"{name}={value}" for name, value in environment.items())
        bed.daemon.command = ("env", *words, *bed.daemon.command)
        bed.daemon.start()
        try:
            found = _play(clock)
            found += settle(bed) + held(bed) + _out_of_order(bed)
            bed.daemon.stop()  # in order: libfaketime then clears away what it shares
            return Scene(clock.seen, found)
        finally:
            bed.daemon.kill()


def _play(clock: Clock) -> list[str]:
    found = clock.jump(timedelta(0))
    with locked(clock.bed.daemon.paths.data):
        waiting = upload(clock.bed)
        wait_for("its retry to wait", lambda: clock.bed.daemon.events("import.put_off"), SETTLE_S)
        _send_empty(clock.bed)
        found += clock.jump(-HOUR)
    wait_for("the retry and the empty file", lambda: _all_done(clock.bed), SETTLE_S)
    assert waiting.acknowledged
    found += _penalties_end(clock)
    for change in _changes_of_summer_time():
        ahead = change - AHEAD_OF_CHANGE - datetime.now(UTC)
        found += clock.jump(ahead)
        _upload_until_after(clock.bed, change)
    return found + clock.jump(DAY)


def _send_empty(bed: Bed) -> None:
    """An empty file waits for its grace to end: a till may still be about to write into it."""
    with Paramiko(Account(bed.daemon, key=bed.key)).session() as sftp:
        sftp.open("nothing.csv", "wb").close()


def _all_done(bed: Bed) -> bool:
    counts = bed.daemon.ledger().count_by_state()
    return bed.is_idle() and not counts.get(State.WAITING)


def _penalties_end(clock: Clock) -> list[str]:
    """Be shut out, set the clock back: what is left of the penalty must not have grown."""
    daemon = clock.bed.daemon
    try:
        with Paramiko(Account(daemon, password="wrong")).session():
            return ["a wrong password let somebody in"]
    except (ClientError, OSError, EOFError):
        pass
    before = _left_s(clock.bed)
    clock.file.write_text(f"{-DAY.total_seconds():+.0f}\n")
    after = _left_s(clock.bed)
    control.ask(daemon.paths, "guard-clear")
    return [] if 0 < after <= before else [f"{before} s of a penalty became {after} s"]


def _left_s(bed: Bed) -> float:
    listed = control.ask(bed.daemon.paths, "guard-list")["penalties"]
    return sum(float(one["seconds"]) for one in listed)


def _changes_of_summer_time() -> list[datetime]:
    """When the zone's offset changed last, in both directions, in UTC; to the second."""
    zone, found = ZoneInfo(ZONE), list[datetime]()
    at = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    while len(found) < 2:
        if at.astimezone(zone).utcoffset() != (at - HOUR).astimezone(zone).utcoffset():
            found.append(at)
        at -= HOUR
    return found


def _upload_until_after(bed: Bed, change: datetime) -> None:
    """Upload until the daemon's own stamps are beyond the change."""

    def beyond() -> bool:
        sent = upload(bed)
        arrived_at = bed.daemon.deliveries(sent.name)[0].arrived_at
        return arrived_at is not None and arrived_at >= change

    wait_for("an arrival beyond the change of summer time", beyond, SETTLE_S)


def _out_of_order(bed: Bed) -> list[str]:
    """A customer's files are imported in the order in which they came, whatever their stamps."""
    arrived = [bed.daemon.deliveries(one.name)[0] for one in bed.sent if one.acknowledged]
    places = [one.arrival_seq or 0 for one in arrived]
    return [] if places == sorted(places) else [f"arrived in the order {places}"]
