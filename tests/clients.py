"""Real SFTP clients, each with the same few verbs, as a customer would call them.

Owns their command lines. A verb returns when the client has ended and raises `ClientError`
with what it said if it was not content.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import paramiko

from tests.daemon import PASSWORD, Daemon

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENT_TIMEOUT_S = 120
HOST = "127.0.0.1"


class ClientError(Exception):
    """The client ended with an error; its words."""


class Client(Protocol):
    """What every client can do. Names are relative to the customer's root."""

    def put(self, local: Path, name: str) -> None:
        """Upload a file."""

    def read(self, name: str) -> bytes:
        """Download a file."""

    def listing(self, folder: str) -> list[str]:
        """Names in a folder."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who connects to which daemon. key: None for a login by password."""

    daemon: Daemon
    customer: str = "acme"
    key: Path | None = None
    password: str = PASSWORD

    def ssh_options(self) -> tuple[str, ...]:
        """Options for OpenSSH's programs: nothing of this machine's own settings is used."""
        options = {
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(known_hosts(self.daemon)),
            "GlobalKnownHostsFile": "/dev/null",
            "BatchMode": "no",
            "NumberOfPasswordPrompts": "1",
            "IdentitiesOnly": "yes",
            "PreferredAuthentications": "publickey" if self.key else "password",
            "Port": str(self.daemon.port),
        }
        words = ["-F", "/dev/null"]
        if self.key:
            words += ["-i", str(self.key)]
        for name, value in options.items():
            words += ["-o", f"{name}={value}"]
        return tuple(words)

    def prefix(self) -> tuple[str, ...]:
        """What types the password."""
        return () if self.key else ("sshpass", "-e")

    def run(self, *words: str) -> str:
        """Run one of OpenSSH's programs; return what it printed."""
        return _run((*self.prefix(), *words), SSHPASS=self.password)


@dataclass(frozen=True, slots=True)
class OpenSshSftp:
    """OpenSSH's `sftp`."""

    account: Account

    def batch(self, *commands: str) -> str:
        """Run commands in one session; ends at the first that fails."""
        with tempfile.NamedTemporaryFile("w", suffix=".batch") as file:
            file.write("\n".join(commands) + "\n")
            file.flush()
            target = f"{self.account.customer}@{HOST}"
            options = self.account.ssh_options()
            return self.account.run("sftp", *options, "-b", file.name, target)

    def put(self, local: Path, name: str) -> None:
        """Upload a file."""
        self.batch(f"put {shlex.quote(str(local))} {shlex.quote(name)}")

    def read(self, name: str) -> bytes:
        """Download a file."""
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / "got"
            self.batch(f"get {shlex.quote(name)} {local}")
            return local.read_bytes()

    def listing(self, folder: str) -> list[str]:
        """Names in a folder."""
        lines = self.batch(f"ls -1 {shlex.quote(folder)}").splitlines()
        return [line.rpartition("/")[2] for line in lines if not line.startswith("sftp>")]


@dataclass(frozen=True, slots=True)
class Scp:
    """OpenSSH's `scp`, which speaks SFTP since version 9; it cannot list."""

    account: Account

    def put(self, local: Path, name: str) -> None:
        """Upload a file."""
        options = self.account.ssh_options()
        remote = f"{self.account.customer}@{HOST}:{name}"
        self.account.run("scp", "-q", "-s", *options, str(local), remote)

    def read(self, name: str) -> bytes:
        """Download a file."""
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / "got"
            options = self.account.ssh_options()
            remote = f"{self.account.customer}@{HOST}:{name}"
            self.account.run("scp", "-q", "-s", *options, remote, str(local))
            return local.read_bytes()

    def listing(self, folder: str) -> list[str]:
        """Names in a folder, by `sftp`."""
        return OpenSshSftp(self.account).listing(folder)


@dataclass(frozen=True, slots=True)
class Rclone:
    """rclone, by password."""

    account: Account

    def put(self, local: Path, name: str) -> None:
        """Upload a file."""
        self._run("copyto", "--ignore-times", str(local), f":sftp:{name}")

    def read(self, name: str) -> bytes:
        """Download a file."""
        return self._run("cat", f":sftp:{name}").encode()

    def listing(self, folder: str) -> list[str]:
        """Names in a folder."""
        return self._run("lsf", f":sftp:{folder}").split()

    def _run(self, *words: str) -> str:
        login = {
            "RCLONE_CONFIG": "/dev/null",
            "RCLONE_SFTP_HOST": HOST,
            "RCLONE_SFTP_PORT": str(self.account.daemon.port),
            "RCLONE_SFTP_USER": self.account.customer,
            "RCLONE_SFTP_KNOWN_HOSTS_FILE": str(known_hosts(self.account.daemon)),
        }
        if self.account.key:
            login["RCLONE_SFTP_KEY_FILE"] = str(self.account.key)
        else:
            login["RCLONE_SFTP_PASS"] = _run(("rclone", "obscure", self.account.password)).strip()
        return _run(("rclone", "--retries=1", *words), **login)


@dataclass(frozen=True, slots=True)
class Paramiko:
    """paramiko, whose `put` asks for the size afterwards and wants it to be right."""

    account: Account

    def put(self, local: Path, name: str) -> None:
        """Upload a file."""
        with self.session() as sftp:
            sftp.put(str(local), name)

    def read(self, name: str) -> bytes:
        """Download a file."""
        with self.session() as sftp, sftp.open(name, "rb") as file:
            return file.read()

    def listing(self, folder: str) -> list[str]:
        """Names in a folder."""
        with self.session() as sftp:
            return sftp.listdir(folder)

    @contextmanager
    def session(self) -> Iterator[paramiko.SFTPClient]:
        """Log in for a while."""
        transport = paramiko.Transport((HOST, self.account.daemon.port))
        transport.banner_timeout = CLIENT_TIMEOUT_S
        try:
            key = None
            if self.account.key:
                key = paramiko.Ed25519Key.from_private_key_file(str(self.account.key))
            password = None if key else self.account.password
            transport.connect(username=self.account.customer, password=password, pkey=key)
            sftp = paramiko.SFTPClient.from_transport(transport)
            assert sftp is not None
            yield sftp
        except paramiko.SSHException as problem:
            raise ClientError(str(problem)) from problem
        finally:
            transport.close()


def known_hosts(daemon: Daemon) -> Path:
    """Write the daemon's host keys as a client knows them; return the file."""
    path = daemon.home / f"known_hosts.{daemon.port}"
    if not path.exists():
        keys = sorted((daemon.home / "keys").glob("ssh_host_*_key.pub"))
        lines = (f"[{HOST}]:{daemon.port} {key.read_text()}" for key in keys)
        path.write_text("".join(lines))
    return path


def _run(words: tuple[str, ...], **environment: str) -> str:
    ended = subprocess.run(
        words,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=CLIENT_TIMEOUT_S,
        check=False,
    )
    if ended.returncode:
        said = (ended.stdout + ended.stderr).decode(errors="replace")
        raise ClientError(f"{words[0]} ended with {ended.returncode}: {said}")
    return ended.stdout.decode()
