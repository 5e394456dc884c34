"""Listening sockets: what is passed to the daemon, what it leaves with systemd, what it drops."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.daemon import wait_for
from tests.sd_store import STAGE, Store
from tilldrop.listening import Sockets, listen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = "127.0.0.1"
# What a life makes of the sockets passed to it: their ports, and what its children would see.
LOOK = """
import json, os, subprocess, sys
if sys.argv[1]:
    os.environ["LISTEN_PID"] = sys.argv[1]
from tilldrop.listening import Sockets
sockets = Sockets()
kept = [sockets.listen(name, "127.0.0.1", 0) for name in ("sftp", "ftp")]
told = subprocess.run(("env",), capture_output=True, text=True).stdout
print(json.dumps({
    "ports": [each.getsockname()[1] for each in kept],
    "inheritable": [each.get_inheritable() for each in kept],
    "told": [line for line in told.splitlines() if line.startswith("LISTEN_")],
}))
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store that hears this process."""
    with Store(tmp_path / "notify") as store:
        monkeypatch.setenv("NOTIFY_SOCKET", str(store.path))
        yield store


def life(sockets: list[socket.socket], names: str, pid: str = "") -> dict[str, list[object]]:
    """Live with those sockets. pid: what the environment says whom they are for, if not us."""
    numbers = [str(each.fileno()) for each in sockets]
    look = (sys.executable, "-c", LOOK, pid)
    told = {"LISTEN_FDS": str(len(sockets)), "LISTEN_FDNAMES": names}
    said = subprocess.run(
        (sys.executable, "-c", STAGE, str(len(sockets)), *numbers, *look),
        env=os.environ | told,
        pass_fds=[each.fileno() for each in sockets],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, list[object]] = json.loads(said.stdout.splitlines()[-1])
    return found


def port_of(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


def is_refused(port: int) -> bool:
    with socket.socket() as calling:
        return calling.connect_ex((HOST, port)) != 0


def passing(monkeypatch: pytest.MonkeyPatch, named: dict[str, socket.socket]) -> Sockets:
    """Make the sockets of a life that was passed copies of those."""
    sockets = Sockets()
    monkeypatch.setattr(sockets, "_passed", [(name, each.dup()) for name, each in named.items()])
    return sockets


def test_sockets_are_taken_over_by_name_and_no_child_gets_them() -> None:
    with listen("", HOST, 0) as ftp, listen("", HOST, 0) as sftp:
        found = life([ftp, sftp], "ftp:sftp")
        assert found == {
            "ports": [port_of(sftp), port_of(ftp)],
            "inheritable": [False, False],
            "told": [],
        }


def test_what_is_passed_to_another_process_is_left_alone() -> None:
    with listen("", HOST, 0) as sftp:
        found = life([sftp], "sftp", pid="1")
        assert port_of(sftp) not in found["ports"]
        assert found["told"] == []
        assert not is_refused(port_of(sftp))


def test_what_is_no_socket_does_not_stop_the_start(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file, listen("", HOST, 0) as sftp:
        found = life([file, sftp], "sftp:sftp")  # type: ignore[list-item]
        assert found["ports"][0] == port_of(sftp)


def test_what_is_opened_is_left_with_systemd_and_survives(store: Store) -> None:
    opened = Sockets().listen("sftp", HOST, 0)
    port = port_of(opened)
    wait_for("the socket to be kept", store.names)
    opened.close()
    assert store.names() == ["sftp"]
    with socket.create_connection((HOST, port)):
        assert port_of(store.kept[0][1]) == port


def test_one_that_is_bound_elsewhere_is_given_up_and_its_port_is_free_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listen("", "0.0.0.0", 0) as everywhere:
        port = port_of(everywhere)
        sockets = passing(monkeypatch, {"sftp": everywhere})
        with sockets.listen("sftp", HOST, port) as here:  # though `everywhere` is open still
            assert here.getsockname() == (HOST, port)
            wait_for("systemd to be told", lambda: store.names() == ["sftp"])
            assert store.heard[0] == "FDSTOREREMOVE=1\nFDNAME=sftp"
            assert not is_refused(port)


def test_one_that_no_door_asks_for_keeps_nobody_waiting(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listen("", HOST, 0) as ftp:
        passing(monkeypatch, {"ftp": ftp}).give_up_rest()
        assert is_refused(port_of(ftp))
        wait_for("systemd to be told", lambda: store.heard)
        assert store.heard == ["FDSTOREREMOVE=1\nFDNAME=ftp"]


@pytest.mark.parametrize(
    ("passed", "wanted", "is_kept"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("0.0.0.0", "0.0.0.0", True),
        ("::", "::", True),
        ("::1", "0:0:0:0:0:0:0:1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("0.0.0.0", "::", False),
        ("::1", "127.0.0.1", False),
    ],
)
def test_the_address_decides_whether_it_is_taken_over(
    monkeypatch: pytest.MonkeyPatch, passed: str, wanted: str, *, is_kept: bool
) -> None:
    with listen("", passed, 0) as before:
        sockets = passing(monkeypatch, {"sftp": before})
        with sockets.listen("sftp", wanted, 0) as after:
            assert (port_of(after) == port_of(before)) is is_kept


def test_one_that_takes_ipv6_alone_is_not_taken_for_one_that_takes_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=False) as narrow:
        sockets = passing(monkeypatch, {"sftp": narrow})
        with sockets.listen("sftp", "::", port_of(narrow)) as both:
            assert not is_refused(port_of(both))
