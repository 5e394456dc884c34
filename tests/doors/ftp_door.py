"""A real FTP door in this process, and how its clients call it."""

from __future__ import annotations

import asyncio
import ftplib
import io
import ssl
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from tests.daemon import PASSWORD, wait_for
from tests.doors.conftest import CLIENT_WITHIN_S, CONTENT, HOST, Door
from tilldrop.doors.ftp import Ftp
from tilldrop.intake import Intake
from tilldrop.password_checks import PasswordChecks

if TYPE_CHECKING:
    import socket
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Gives what the journal said under a name.
Said: TypeAlias = "Callable[[str], list[dict[str, Any]]]"


class FtpHere(Door):
    """The door, open in a thread of its own. settings: of `FtpDoor`, where they are not usual."""

    def __init__(self, home: Path, **settings: Any) -> None:
        usual = {"listen": HOST, "port": 0, "masquerade_address": HOST}
        self._settings = {**usual, **settings}
        super().__init__(home)

    async def _stay_open(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._enough = asyncio.Event()
        self.config = replace(self.config, ftp=replace(self.config.ftp, **self._settings))
        self.intake = Intake(self.ledger, self.spool, lambda: self.config)
        self._checks = PasswordChecks(self.customers, self.guard)
        shared = (self.intake, self.customers, lambda: self.config, self._checks, self.guard)
        self.ftp = Ftp(self.config.ftp, *shared)
        self.port = await self.ftp.start()
        self._opened.set()
        await self._enough.wait()
        await self.ftp.stop()
        self._checks.close()
        self.intake.close()

    # -- clients

    @property
    def certificate(self) -> Path:
        """The door's certificate, which its clients are told to trust."""
        return self.home / self.config.ftp.certificate

    def trusting(self) -> ssl.SSLContext:
        """What a client of Python's needs for TLS."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.check_hostname = False
        return context

    @contextmanager
    def client(self, name: str = "acme", *, tls: bool = False) -> Iterator[ftplib.FTP]:
        """Log in with Python's ftplib."""
        client = self.connected(tls=tls)
        try:
            client.login(name, PASSWORD)
            if isinstance(client, ftplib.FTP_TLS):
                client.prot_p()
            yield client
        finally:
            client.close()

    def connected(self, *, tls: bool = False) -> ftplib.FTP:
        """Connect with ftplib and do not log in."""
        client = ftplib.FTP_TLS(context=self.trusting()) if tls else ftplib.FTP()
        client.encoding = "utf-8"
        try:
            client.connect(HOST, self.port, timeout=CLIENT_WITHIN_S)
        except ftplib.Error:
            client.close()
            raise
        return client

    def answers(self, *commands: str) -> list[str]:
        """Send commands and return the answers; "" where the connection ended."""
        client = self.connected()
        answers = []
        for command in commands:
            try:
                client.putcmd(command)
                answers.append(client.getmultiline())
            except (EOFError, OSError):
                answers.append("")
        client.close()
        return answers

    def half_sent(self, client: ftplib.FTP) -> socket.socket:
        """Begin an upload and return its data connection when half of it has come in."""
        client.voidcmd("TYPE I")
        data = client.transfercmd("STOR sales.csv")
        data.sendall(CONTENT[:50_000])

        def half_is_there() -> bool:
            return any(upload.size_bytes == 50_000 for upload in self.intake.uploads)

        wait_for("half of it", half_is_there)
        return data

    def put(self, content: bytes, name: str = "sales.csv") -> None:
        """Deliver a file."""
        with self.client() as client:
            client.storbinary(f"STOR {name}", io.BytesIO(content))

    def curl(self, *words: str, scheme: str = "ftp") -> subprocess.CompletedProcess[str]:
        """Run curl; the last word is the path."""
        port = self.ftp.implicit_port if scheme == "ftps" else self.port
        login = ["-sS", "-u", f"acme:{PASSWORD}", "--cacert", str(self.certificate)]
        return self.run("curl", *login, *words[:-1], f"{scheme}://{HOST}:{port}/{words[-1]}")

    def lftp(self, *commands: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run lftp with those commands."""
        usual = {
            "ssl:ca-file": str(self.certificate),
            "ssl:check-hostname": "no",
            "net:max-retries": "1",
            "net:timeout": "20",
            "cmd:fail-exit": "yes",
        }
        lines = [f"set {key} {value}" for key, value in {**usual, **settings}.items()]
        lines += [f"open -u acme,{PASSWORD} -p {self.port} {HOST}", *commands]
        return self.run("lftp", "-f", "/dev/stdin", typed="\n".join(lines) + "\n")

    def rclone(self, *words: str, key: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run rclone; the door is `:ftp:`."""
        assert key is None
        obscured = self.run("rclone", "obscure", PASSWORD).stdout.strip()
        login = {
            "RCLONE_CONFIG": "/dev/null",
            "RCLONE_FTP_HOST": HOST,
            "RCLONE_FTP_PORT": str(self.port),
            "RCLONE_FTP_USER": "acme",
            "RCLONE_FTP_PASS": obscured,
        }
        return self.run("rclone", "--retries=1", *words, **login)
