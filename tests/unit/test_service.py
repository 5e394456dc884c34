"""The daemon's life: one a home, up with a clear word or not at all, down without losing any."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko
import pytest

from tests.daemon import CUSTOMER_TOML, PASSWORD, Daemon, add_customer, sales, tilldrop, wait_for
from tilldrop import control, home_lock, sd_notify
from tilldrop.config import Paths
from tilldrop.delivery import Cause, State
from tilldrop.errors import AlreadyRunning, ConfigInvalid, HomeUnusable, NotRunning
from tilldrop.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS_WITHIN_S = 30


@contextmanager
def session(daemon: Daemon) -> Iterator[paramiko.SFTPClient]:
    """Log in as acme."""
    transport = paramiko.Transport(("127.0.0.1", daemon.port))
    try:
        transport.connect(username="acme", password=PASSWORD)
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        yield client
    finally:
        transport.close()


def put(daemon: Daemon, name: str, text: str) -> None:
    with session(daemon) as client, client.open(name, "w") as file:
        file.write(text)


# -- one a home ----------------------------------------------------------------------------------


def test_a_home_is_held_by_one_alone(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path / "var")
    home_lock.make_folders(paths)
    with home_lock.locked(paths):
        with pytest.raises(AlreadyRunning, match=str(os.getpid())), home_lock.locked(paths):
            pass
        with pytest.raises(AlreadyRunning), home_lock.locked(paths):
            pass
    with home_lock.locked(paths):
        pass


def test_the_state_is_for_the_owner_alone(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path / "var")
    home_lock.make_folders(paths)
    assert {folder.stat().st_mode & 0o777 for folder in (paths.state, paths.run)} == {0o700}


def test_a_state_folder_that_cannot_be_made_is_one_clear_refusal(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file, not a folder")
    with pytest.raises(HomeUnusable, match="var"):
        home_lock.make_folders(Paths(tmp_path, tmp_path / "var"))


def test_a_second_daemon_is_refused_with_one_line(daemon: Daemon) -> None:
    second = tilldrop(daemon.home, "run")
    assert second.returncode == 75
    assert second.stderr.count("\n") == 1
    assert str(daemon.pid) in second.stderr
    assert daemon.status()["pid"] == daemon.pid


def test_a_port_in_use_is_refused_with_one_line_and_leaves_nothing_behind(
    idle_daemon: Daemon,
) -> None:
    main = idle_daemon.home / "config" / "tilldrop.toml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        main.write_text(main.read_text().replace("port = 0", f"port = {port}", 1))
        refused = tilldrop(idle_daemon.home, "run")
    assert refused.returncode == 71
    assert refused.stderr.count("\n") == 1
    assert f"127.0.0.1:{port}" in refused.stderr
    with home_lock.locked(idle_daemon.paths), pytest.raises(NotRunning):
        control.ask(idle_daemon.paths, "status")


# -- up ------------------------------------------------------------------------------------------


def test_status_tells_what_scripts_rely_on(daemon: Daemon) -> None:
    put(daemon, "a.csv", sales(1, 3))
    daemon.wait_for_state("a.csv", State.IMPORTED)
    wait_for("the import to be told", lambda: daemon.status()["last_import"])
    status = daemon.status()
    assert status["pid"] == daemon.pid
    assert status["doors"]["sftp"]["port"] == daemon.port
    assert status["deliveries"]["imported"] == 1
    assert status["deliveries"]["held"] == 0
    assert status["worker"]["pid"] > 0
    assert status["open_uploads"] == 0
    assert status["last_import"]["name"] == "a.csv"
    assert status["last_import"]["outcome"] == "imported"


def test_the_daemon_is_before_its_worker_for_processors_and_memory(daemon: Daemon) -> None:
    worker = daemon.worker_pid()
    assert worker is not None

    def score(pid: int) -> int:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text())

    def niceness(pid: int) -> int:
        return os.getpriority(os.PRIO_PROCESS, pid)

    assert score(worker) > score(daemon.pid)
    assert niceness(worker) > niceness(daemon.pid)


def test_nothing_of_the_state_can_be_read_by_others(daemon: Daemon) -> None:
    put(daemon, "a.csv", sales(1, 3))
    daemon.wait_for_state("a.csv", State.IMPORTED)
    everything = [daemon.paths.state, *daemon.paths.state.rglob("*")]
    open_to_others = [path for path in everything if path.lstat().st_mode & 0o077]
    assert open_to_others == []


def test_systemd_hears_that_it_is_ready_alive_and_stopping(
    idle_daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(WORDS_WITHIN_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        idle_daemon.launch()
        heard = [systemd.recv(100)]
        while heard.count(b"WATCHDOG=1") < 3 or b"READY=1" not in heard:
            heard.append(systemd.recv(100))
        os.kill(idle_daemon.pid, signal.SIGTERM)
        while b"STOPPING=1" not in heard:
            heard.append(systemd.recv(100))
        assert idle_daemon.wait_until_ended() == 0
    assert heard.count(b"READY=1") == 1


def test_a_deaf_listener_does_not_hold_the_daemon_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        for _ in range(10_000):
            sd_notify.notify("WATCHDOG=1")


def test_a_notify_socket_without_a_file_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"tilldrop-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{name}")
        systemd.settimeout(WORDS_WITHIN_S)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        sd_notify.notify("READY=1")
        assert systemd.recv(100) == b"READY=1"


@pytest.mark.parametrize(
    ("wanted_us", "pid", "interval_s"),
    [("", None, None), ("3000000", None, 1.5), ("3000000", "1", None), ("soon", None, None)],
    ids=["not-wanted", "wanted", "meant-for-another", "not-a-number"],
)
def test_the_sign_of_life_comes_twice_in_the_time_that_systemd_gives(
    monkeypatch: pytest.MonkeyPatch, wanted_us: str, pid: str | None, interval_s: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", wanted_us)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    if pid is not None:
        monkeypatch.setenv("WATCHDOG_PID", pid)
    assert sd_notify.ping_interval_s() == interval_s


# -- reload --------------------------------------------------------------------------------------


def test_a_reload_lets_a_new_customer_in_and_a_broken_one_changes_nothing(daemon: Daemon) -> None:
    add_customer(daemon.home, "best")
    assert control.ask(daemon.paths, "reload") == {"customers": 2, "needs_restart": []}
    best = daemon.home / "config" / "customers" / "best.toml"
    best.write_text('zone = "Mars"\n')
    with pytest.raises(ConfigInvalid) as caught:
        control.ask(daemon.paths, "reload")
    assert len(str(caught.value).splitlines()) == 2
    assert daemon.events("config.refused")[-1]["complaints"] == str(caught.value).splitlines()
    put(daemon, "a.csv", sales(1, 3))
    best.write_text(CUSTOMER_TOML)
    daemon.wait_for_state("a.csv", State.IMPORTED)


def test_a_hangup_signal_reloads(daemon: Daemon) -> None:
    add_customer(daemon.home, "best")
    os.kill(daemon.pid, signal.SIGHUP)
    wait_for("the reload", lambda: daemon.events("config.reloaded"))
    assert daemon.events("config.reloaded")[0]["customers"] == 2


def test_a_reload_says_what_only_a_restart_can_change(daemon: Daemon) -> None:
    main = daemon.home / "config" / "tilldrop.toml"
    main.write_text(main.read_text().replace("port = 0", "port = 1", 1))
    assert control.ask(daemon.paths, "reload")["needs_restart"] == ["sftp"]
    assert daemon.status()["doors"]["sftp"]["port"] == daemon.port


# -- down ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_orderly_and_leaves_nothing_running(
    daemon: Daemon, number: signal.Signals
) -> None:
    put(daemon, "a.csv", sales(1, 3))
    daemon.wait_for_state("a.csv", State.IMPORTED)
    worker = daemon.worker_pid()
    assert worker is not None
    os.kill(daemon.pid, number)
    assert daemon.wait_until_ended() == 0
    assert daemon.events("service.stopped")
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    with home_lock.locked(daemon.paths):
        assert not (daemon.paths.run / control.SOCKET).exists()


def test_an_open_upload_may_finish_while_nothing_new_begins(daemon: Daemon) -> None:
    text = sales(1, 3)
    with session(daemon) as client:
        file = client.open("a.csv", "w")
        file.write(text[:20])
        file.stat()  # answered, so the upload is open over there
        os.kill(daemon.pid, signal.SIGTERM)
        wait_for("the stop to begin", lambda: daemon.events("service.stopping"))
        with pytest.raises(OSError, match="restarting"):
            client.open("b.csv", "w")
        file.write(text[20:])
        file.close()
    assert daemon.wait_until_ended() == 0
    assert daemon.start().wait_for_state("a.csv", State.IMPORTED).size_bytes == len(text)


def test_a_second_signal_does_not_wait_for_open_uploads(idle_daemon: Daemon) -> None:
    main = idle_daemon.home / "config" / "tilldrop.toml"
    main.write_text(main.read_text().replace("stop_grace_s = 5", "stop_grace_s = 3600"))
    daemon = idle_daemon.start()
    with session(daemon) as client:
        file = client.open("a.csv", "w")
        file.write("half")
        file.stat()
        os.kill(daemon.pid, signal.SIGTERM)
        wait_for("the stop to begin", lambda: daemon.events("service.stopping"))
        os.kill(daemon.pid, signal.SIGTERM)
        assert daemon.wait_until_ended() == 0
    broken = daemon.deliveries("a.csv")[0]
    assert (broken.state, broken.size_bytes) == (State.BROKEN, 4)


def test_deliveries_that_wait_are_imported_after_the_next_start(daemon: Daemon) -> None:
    daemon.stop()
    # As a kill between commit and rename leaves it.
    with home_lock.locked(daemon.paths):
        ledger = Ledger(daemon.paths.ledger)
        begun = ledger.begin("acme", "a.csv", "sftp").result()
        (daemon.paths.spool / "receiving" / begun.id).write_text(sales(1, 3))
        ledger.move(begun.id, State.RECEIVING, State.ARRIVED, Cause.CLOSE).result()
        ledger.close()
    daemon.start()
    daemon.wait_for_state("a.csv", State.IMPORTED)
    assert daemon.rows("SELECT count(*) FROM transactions") == [(3,)]


def test_an_import_that_does_not_end_within_the_grace_is_done_again_at_the_next_start(
    idle_daemon: Daemon,
) -> None:
    main = idle_daemon.home / "config" / "tilldrop.toml"
    main.write_text(main.read_text().replace("stop_grace_s = 5", "stop_grace_s = 0"))
    daemon = idle_daemon.start()
    worker = daemon.worker_pid()
    assert worker is not None
    os.kill(worker, signal.SIGSTOP)  # an import that hangs
    put(daemon, "a.csv", sales(1, 3))
    daemon.wait_for_state("a.csv", State.IMPORTING)
    assert daemon.stop() == 0
    given_back = daemon.deliveries("a.csv")[0]
    assert (given_back.state, given_back.attempts) == (State.ARRIVED, 0)
    daemon.start().wait_for_state("a.csv", State.IMPORTED)
    assert daemon.rows("SELECT count(*) FROM transactions") == [(3,)]
