"""A restart under load: who calls meanwhile waits instead of being refused, and nothing is lost."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import paramiko
import pytest

from tests.clients import HOST
from tests.daemon import MAIN_TOML, PASSWORD, Daemon, sales, wait_for
from tests.journeys.test_reload import SlowUpload, main_toml
from tests.sd_store import Store
from tilldrop.delivery import FINISHED, State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RESTART_TOML = f"""{MAIN_TOML}
[ftp]
enabled = true
listen = "{HOST}"
port = 0
max_per_source = 1000    # all of this test's

[guard]
allow = ["{HOST}"]
max_waiting = 1000
"""
GREETINGS = {"sftp": b"SSH-", "ftp": b"220 "}
KNOCK_EVERY_S = 0.05
KNOCKERS = 300
ANSWER_WITHIN_S = 30
UPLOADERS = 2
ROWS = 3
GREETED, REFUSED, CUT = "greeted", "refused", "cut"


@dataclass(frozen=True, slots=True)
class Knock:
    """One connection, up to the door's greeting. Times: of time.monotonic()."""

    door: str
    began_s: float
    ended_s: float
    result: str


def knock(door: str, port: int) -> Knock:
    """Call a door and wait for its greeting."""
    began_s, result = time.monotonic(), CUT
    with socket.socket() as calling:
        calling.settimeout(ANSWER_WITHIN_S)
        try:
            calling.connect((HOST, port))
            if calling.recv(4, socket.MSG_WAITALL) == GREETINGS[door]:
                result = GREETED
        except ConnectionRefusedError:
            result = REFUSED
        except OSError:  # reset
            pass
    return Knock(door, began_s, time.monotonic(), result)


@contextmanager
def knocking(ports: dict[str, int]) -> Iterator[list[Future[Knock]]]:
    """Call every door every 50 ms until the block ends, and wait for all answers."""
    knocks: list[Future[Knock]] = []
    ends = threading.Event()
    with ThreadPoolExecutor(KNOCKERS) as pool:

        def call() -> None:
            while not ends.wait(KNOCK_EVERY_S):
                knocks.extend(pool.submit(knock, *each) for each in ports.items())

        calling = threading.Thread(target=call)
        calling.start()
        try:
            yield knocks
        finally:
            ends.set()
            calling.join()


def put(daemon: Daemon, name: str, text: str) -> None:
    """Upload a file in a session of its own; returns once it is acknowledged."""
    with (
        socket.create_connection((HOST, daemon.port), ANSWER_WITHIN_S) as sock,
        closing(paramiko.Transport(sock)) as transport,
    ):
        transport.banner_timeout = transport.auth_timeout = ANSWER_WITHIN_S
        transport.connect(username="acme", password=PASSWORD)
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        with client.open(name, "w") as file:
            file.write(text)


@contextmanager
def uploading(daemon: Daemon) -> Iterator[list[str]]:
    """Upload small files one after the other until the block ends; yields those acknowledged."""
    acknowledged: list[str] = []
    ends = threading.Event()

    def upload(uploader: int) -> None:
        for number in range(10_000):
            if ends.is_set():
                return
            name = f"load-{uploader}-{number}.csv"
            try:
                put(daemon, name, sales(1 + number * ROWS, ROWS, store=f"S{uploader}"))
            except (paramiko.SSHException, OSError, EOFError):
                ends.wait(KNOCK_EVERY_S)
            else:
                acknowledged.append(name)

    uploaders = [threading.Thread(target=upload, args=(each,)) for each in range(UPLOADERS)]
    for each in uploaders:
        each.start()
    try:
        yield acknowledged
    finally:
        ends.set()
        for each in uploaders:
            each.join()


def ports_of(daemon: Daemon) -> dict[str, int]:
    return {name: each["port"] for name, each in daemon.status()["doors"].items() if each["port"]}


def check_that_nothing_is_lost(daemon: Daemon, acknowledged: list[str]) -> None:
    """Every acknowledged upload is imported once; every other one is whole or broken."""
    daemon.wait_until_idle()
    found: dict[str, list[State]] = {}
    for delivery in daemon.deliveries():
        found.setdefault(delivery.name, []).append(delivery.state)
    assert acknowledged
    assert [name for name in acknowledged if found[name] != [State.IMPORTED]] == []
    ended = {*FINISHED, State.BROKEN}
    assert {state for states in found.values() for state in states} <= ended
    imported = [name for name, states in found.items() if states == [State.IMPORTED]]
    small = [name for name in imported if name.startswith("load-")]
    ((rows,),) = daemon.rows("SELECT count(*) FROM transactions WHERE location_id LIKE 'S%'")
    assert rows == ROWS * len(small)


def longest_gap_s(knocks: list[Knock]) -> float:
    """Return the longest time in which no call was answered, as callers saw it."""
    began = sorted(each.began_s for each in knocks if each.result == GREETED)
    return max(after - before for before, after in pairwise(began))


def tell(kind: str, knocks: list[Knock], restarted_s: float) -> None:
    """Print the figures of a restart; they are measured, and nothing is asserted of time."""
    counts = {each: sum(one.result == each for one in knocks) for each in (GREETED, REFUSED, CUT)}
    slowest_s = max(each.ended_s - each.began_s for each in knocks if each.result == GREETED)
    sys.stdout.write(
        f"{kind}: {counts}, slowest greeting {slowest_s:.2f} s, "
        f"longest time without one {longest_gap_s(knocks):.2f} s, up after {restarted_s:.2f} s\n"
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """What plays systemd."""
    with Store(tmp_path / "notify") as store:
        yield store


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_under_systemd_a_restart_refuses_nobody(
    idle_daemon: Daemon, store: Store, number: signal.Signals
) -> None:
    daemon = idle_daemon
    main_toml(daemon, RESTART_TOML)
    store.launch(daemon)
    daemon.wait_until_up()
    ports = ports_of(daemon)
    wait_for("the sockets to be kept", lambda: store.names() == ["ftp", "sftp"])
    with uploading(daemon) as acknowledged, knocking(ports) as knocks:
        wait_for("some load", lambda: len(acknowledged) > UPLOADERS and len(knocks) > UPLOADERS)
        ended_s = time.monotonic()
        os.kill(daemon.pid, number)
        daemon.wait_until_ended()
        store.launch(daemon)
        daemon.wait_until_up()
        restarted_s = time.monotonic() - ended_s
        before = len(acknowledged)
        wait_for("the load to go on", lambda: len(acknowledged) > before)
    done = [each.result() for each in knocks]
    tell(f"{number.name} with sockets", done, restarted_s)
    assert ports_of(daemon) == ports
    assert [each for each in done if each.result == REFUSED] == []
    # A kill cuts those off that it was just about to greet.
    lost = [each for each in done if each.result == CUT]
    assert [each for each in lost if number == signal.SIGTERM or each.began_s > ended_s] == []
    check_that_nothing_is_lost(daemon, acknowledged)


@pytest.mark.timeout(120)
def test_who_calls_while_an_upload_has_its_grace_is_answered_unless_the_door_closes_for_good(
    idle_daemon: Daemon, tmp_path: Path, store: Store
) -> None:
    daemon = idle_daemon
    main_toml(daemon, RESTART_TOML)
    store.launch(daemon)
    daemon.wait_until_up()
    ports = ports_of(daemon)
    wait_for("the sockets to be kept", lambda: store.names() == ["ftp", "sftp"])
    upload = SlowUpload(daemon, tmp_path)
    try:
        os.kill(daemon.pid, signal.SIGTERM)
        wait_for("the doors to close", lambda: len(daemon.events("door.closed")) == len(ports))
        main_toml(daemon, RESTART_TOML.replace("enabled = true", "enabled = false"))
        with ThreadPoolExecutor(len(ports)) as pool:
            calls = {each: pool.submit(knock, each, port) for each, port in ports.items()}
            assert upload.finish() == 0
            assert daemon.wait_until_ended() == 0
            assert [call.done() for call in calls.values()] == [False, False]
            store.launch(daemon)
            daemon.wait_until_up()
            results = {each: call.result().result for each, call in calls.items()}
            assert results == {"sftp": GREETED, "ftp": CUT}
    finally:
        upload.close()
    assert [event["listener"] for event in daemon.events("socket.taken_over")] == ["sftp"]
    assert [event["listener"] for event in daemon.events("socket.given_up")] == ["ftp"]
    assert ports_of(daemon) == {"sftp": ports["sftp"]}
    assert knock("ftp", ports["ftp"]).result == REFUSED
    wait_for("its socket to be forgotten", lambda: store.names() == ["sftp"])
    daemon.wait_for_state("big.csv", State.IMPORTED, within_s=60)


@pytest.mark.timeout(120)
def test_without_systemd_a_restart_loses_nothing_either(idle_daemon: Daemon) -> None:
    daemon = idle_daemon
    main_toml(daemon, RESTART_TOML)
    daemon.start()
    ports = ports_of(daemon)
    text = RESTART_TOML
    for door in ("sftp", "ftp"):  # the same ones again
        text = text.replace("port = 0", f"port = {ports[door]}", 1)
    main_toml(daemon, text)
    with uploading(daemon) as acknowledged, knocking(ports) as knocks:
        wait_for("some load", lambda: len(acknowledged) > UPLOADERS and len(knocks) > UPLOADERS)
        ended_s = time.monotonic()
        assert daemon.stop() == 0
        daemon.start()
        restarted_s = time.monotonic() - ended_s
        before = len(acknowledged)
        wait_for("the load to go on", lambda: len(acknowledged) > before)
    tell("SIGTERM without systemd", [each.result() for each in knocks], restarted_s)
    assert ports_of(daemon) == ports
    check_that_nothing_is_lost(daemon, acknowledged)
