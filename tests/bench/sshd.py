"""OpenSSH's own server with internal-sftp on loopback: what our door is measured against."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.daemon import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/user_key.pub
StrictModes no
UsePAM no
PermitRootLogin yes
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A running sshd. files: where uploads go. options: for `sftp`, to log in with."""

    files: Path
    options: tuple[str, ...]
    user: str


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Run sshd for a while, with keys of its own, as the present user."""
    folder.mkdir()
    (folder / "files").mkdir()
    for key in ("host_key", "user_key"):
        make = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key))
        subprocess.run(make, check=True)
    port = _free_port()
    (folder / "sshd_config").write_text(CONFIG.format(port=port, folder=folder))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where root's sshd locks itself in
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert sshd, "there is no sshd; install the package openssh-server"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen((sshd, "-D", "-e", "-f", folder / "sshd_config"), stderr=log)
    try:
        wait_for("sshd to listen", lambda: _listens(port))
        host_key = (folder / "host_key.pub").read_text()
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
        yield Server(folder / "files", _options(folder, port), getpass.getuser())
    finally:
        process.terminate()
        process.wait(10)


def _options(folder: Path, port: int) -> tuple[str, ...]:
    settings = (f"UserKnownHostsFile={folder / 'known_hosts'}", "IdentitiesOnly=yes")
    words = ["-F", "/dev/null", "-i", str(folder / "user_key"), "-P", str(port)]
    for setting in settings:
        words += ["-o", setting]
    return tuple(words)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
