"""The README's commands, executed in its order in a copy of the checkout.

Blocks marked `sh` run in one shell; the one marked `sh daemon` runs in the background, as in a
terminal of its own. A `text` block after one is what it prints.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.daemon import is_alive, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SCRIPT_S = 240
# What differs from run to run: delivery ids, passwords, instants.
VARIES = re.compile(
    r"\d{6}-\d{6}-[0-9a-z]{5}"
    r"|[a-z2-9]{5}(?:-[a-z2-9]{5}){3}"
    r"|\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?= ?Z| UTC)"
)
# The reader's `sftp` asks whether the host key is right; a script cannot answer.
SFTP = """\
#!/bin/sh
exec {sftp} -F /dev/null -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={known} "$@"
"""
# A reader takes longer to type the next command than an import takes.
IMPORTED = """\
for _ in $(seq 300); do
    tilldrop deliveries --state imported 2>/dev/null | grep -q imported && break; sleep 0.1
done
"""
UP = """\
for _ in $(seq 300); do tilldrop status >/dev/null 2>&1 && break; sleep 0.1; done
"""


@dataclass(frozen=True, slots=True)
class Block:
    """One block of the README. printed: what a `text` block behind it says it prints."""

    text: str
    is_daemon: bool
    printed: str | None


def blocks(readme: str) -> list[Block]:
    """Every block to execute, in order."""
    found = [match.groups() for match in BLOCK.finditer(readme)]
    following = [*found[1:], ("", None, "")]
    return [
        Block(text, mark == "daemon", after[2] if after[0] == "text" else None)
        for (kind, mark, text), after in zip(found, following, strict=True)
        if kind == "sh"
    ]


def script(parts: list[Block], port: int) -> str:
    """One script of all blocks; each one's output stands behind a line that numbers it."""
    lines = ["set -euo pipefail"]
    for number, block in enumerate(parts):
        text = block.text.replace("-P 2222", f"-P {port}")
        lines.append(f"echo '@@{number}'")
        if block.is_daemon:
            lines.append(f"{text.rstrip()} >daemon.log 2>&1 &\necho $! >daemon.pid\n{UP}")
        else:
            lines.append(text)
        if "\nput " in text:
            lines.append(IMPORTED)
        if "tilldrop init" in text:
            lines.append(f"sed -i 's/^port = 2222/port = {port}/' shop/config/tilldrop.toml")
    return "\n".join(lines)


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """A copy of what git would clone, with an `sftp` that asks nothing."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, checkout)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(CHECKOUT / "daemon", checkout / "daemon", ignore=ignored)
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    sftp = bin_folder / "sftp"
    sftp.write_text(SFTP.format(sftp=shutil.which("sftp"), known=tmp_path / "known_hosts"))
    sftp.chmod(0o755)
    yield checkout
    pid_file = checkout / "daemon.pid"
    if pid_file.exists() and is_alive(int(pid_file.read_text())):
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
        wait_for("the daemon to end", lambda: not is_alive(int(pid_file.read_text())))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_commands_of_the_readme_do_what_it_says(copy: Path) -> None:
    parts = blocks((CHECKOUT / "README.md").read_text())
    assert sum(part.is_daemon for part in parts) == 1
    assert any(part.printed for part in parts)
    path = f"{copy.parent / 'bin'}:{os.environ['PATH']}"
    with (copy.parent / "output").open("w+") as output:
        ended = subprocess.run(
            ("bash", "-c", script(parts, free_port())),
            cwd=copy,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=SCRIPT_S,
            check=False,
        )
        output.seek(0)
        said = output.read()
    assert ended.returncode == 0, said
    outputs = dict(re.findall(r"^@@(\d+)\n(.*?)(?=^@@|\Z)", said, re.MULTILINE | re.DOTALL))
    for number, part in enumerate(parts):
        if part.printed is not None:
            assert masked(outputs[str(number)]) == masked(part.printed)


def masked(text: str) -> list[str]:
    """Leave out what differs from run to run."""
    return [VARIES.sub("#", line).rstrip() for line in text.strip().splitlines()]
