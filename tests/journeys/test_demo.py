"""`make run`: a newcomer's first minute, and the second run."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.daemon import wait_for
from tilldrop.sqlite import sqlite3

CHECKOUT = Path(__file__).parents[2]
README = CHECKOUT / "README.md"
FIRST_RUN_S = 90  # makes host keys


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout's config/ and keys/ as git has them, with a port that the system picks."""
    for name in ("config", "keys"):
        kept = shutil.ignore_patterns("*_key", "*_key.pub", "*.password", "*.pub", "demo.toml")
        shutil.copytree(CHECKOUT / name, tmp_path / name, ignore=kept)
    main = tmp_path / "config" / "tilldrop.toml"
    main.write_text(main.read_text().replace("port = 2222", "port = 0"))
    return tmp_path


def run_demo(checkout: Path) -> str:
    """Run it until it has told all, then Ctrl-C; return what it printed."""
    environment = {k: v for k, v in os.environ.items() if k != "TILLDROP_HOME"}
    with (checkout / "printed").open("w+b") as printed:
        process = subprocess.Popen(
            (sys.executable, "-m", "tilldrop.demo"),
            cwd=checkout,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:

            def told() -> bool:
                text = (checkout / "printed").read_text()
                assert process.poll() is None, text
                return "Ctrl-C stops it" in text

            wait_for("the demo to have told all", told, FIRST_RUN_S)
        finally:
            os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it
            code = process.wait(30)
    assert code in (0, 130)
    return (checkout / "printed").read_text()


def promised() -> list[str]:
    """What the README shows of it."""
    (shown,) = re.findall(r"```console\n\$ make run\n(.*?)```", README.read_text(), re.DOTALL)
    return [varies(line) for line in shown.splitlines()]


def varies(line: str) -> str:
    """Leave out what differs from run to run."""
    return re.sub(r"\d{6}-\d{6}-[0-9a-z]{5}", "#", line)


def rows(checkout: Path) -> int:
    connection = sqlite3.connect(f"{(checkout / 'var' / 'data.db').as_uri()}?mode=ro", uri=True)
    try:
        (count,) = connection.execute("SELECT count(*) FROM transactions").fetchone()
    finally:
        connection.close()
    return int(count)


def test_demo_delivers_its_sample_once_and_keeps_what_it_finds(checkout: Path) -> None:
    first = run_demo(checkout)
    assert "Traceback" not in first
    printed = [varies(line) for line in first.splitlines()]
    assert [line for line in promised() if line not in printed] == []
    assert "just sent sales-2026-03-14.csv" in first
    assert "ACCEPTED WITH FAULTS" in first
    assert rows(checkout) == 13
    password = (checkout / "var" / "demo" / "password").read_text().strip()
    assert password in first

    second = run_demo(checkout)
    assert "was not sent again" in second
    assert password in second
    assert rows(checkout) == 13


def test_everything_secret_that_the_demo_makes_is_its_owners_alone(checkout: Path) -> None:
    run_demo(checkout)
    secrets = [
        checkout / "var" / "demo" / "password",
        checkout / "var" / "demo" / "id_ed25519",
        checkout / "keys" / "customers" / "demo.password",
        *(checkout / "keys").glob("ssh_host_*_key"),
    ]
    assert len(secrets) == 5
    assert [oct(path.stat().st_mode & 0o777) for path in secrets] == ["0o600"] * len(secrets)


def test_demo_with_its_port_taken_says_so_in_one_line(checkout: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        main = checkout / "config" / "tilldrop.toml"
        main.write_text(main.read_text().replace("port = 0", f"port = {port}"))
        ended = subprocess.run(
            (sys.executable, "-m", "tilldrop.demo"),
            cwd=checkout,
            capture_output=True,
            text=True,
            timeout=FIRST_RUN_S,
            check=False,
        )
    assert ended.returncode == 71
    assert len(ended.stderr.splitlines()) == 1
    assert str(port) in ended.stderr
