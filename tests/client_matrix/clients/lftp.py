"""lftp: `put`, `put -c`, `mirror -R` and its temporary files, over all three protocols."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from tests.client_matrix.clients.openssh import options
from tests.client_matrix.driver import Driver, first_line, run

if TYPE_CHECKING:
    from pathlib import Path


def _quoted(text: object) -> str:
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


class Lftp(Driver):
    """lftp over SFTP; it has `ssh` make the connection."""

    title = "lftp"

    @classmethod
    def version(cls) -> str:
        return first_line("lftp", "--version", containing="LFTP").split()[3]

    def settings(self) -> list[str]:
        program = shlex.join(["ssh", "-a", "-x", *options(self.login)])
        return [f"set sftp:connect-program {_quoted(program)}"]

    def do(self, *commands: str) -> list[str]:
        login = self.login
        words = f"-u {login.user},{login.password} -p {login.port} {self.scheme}://{login.host}"
        common = (
            "set cmd:fail-exit true",
            "set net:max-retries 1",
            "set net:timeout 20",
            "set xfer:clobber true",
        )
        lines = [*common, *self.settings(), f"open {words}", *commands]
        home = self.scratch("home-of-lftp").with_name("home")
        home.mkdir(exist_ok=True)
        return run("lftp", "-c", "\n".join(lines), env={"HOME": str(home)}).splitlines()

    @property
    def scheme(self) -> str:
        return "sftp" if self.protocol == "sftp" else "ftp"

    def put(self, local: Path, name: str) -> None:
        self.do(f"put {_quoted(local)} -o {_quoted(name)}")

    def put_many(self, folder: Path) -> None:
        self.do(f"mirror -R {folder} .")

    def resume(self, local: Path, name: str) -> None:
        self.do(f"put -c {_quoted(local)} -o {_quoted(name)}")

    def read(self, name: str) -> bytes:
        local = self.scratch("got")
        self.do(f"get {_quoted(name)} -o {_quoted(local)}")
        return local.read_bytes()

    def names(self) -> list[str]:
        return self.do("cls -1")

    def delete(self, name: str) -> None:
        self.do(f"rm {_quoted(name)}")

    def rename(self, old: str, new: str) -> None:
        self.do(f"mv {_quoted(old)} {_quoted(new)}")

    def put_temporary(self, local: Path, name: str) -> None:
        self.do("set xfer:use-temp-file true", f"put {_quoted(local)} -o {_quoted(name)}")


class LftpFtp(Lftp):
    """lftp over plain FTP."""

    title = "lftp (FTP)"
    protocol = "ftp"
    no_key = "FTP knows no keys"

    def settings(self) -> list[str]:
        return ["set ftp:ssl-allow false", "set ftp:charset UTF-8"]


class LftpFtps(Lftp):
    """lftp over explicit TLS."""

    title = "lftp (FTPS)"
    protocol = "ftps"

    def settings(self) -> list[str]:
        told = [
            "set ftp:ssl-force true",
            "set ftp:ssl-protect-data true",
            f"set ssl:ca-file {self.login.ca}",
        ]
        if self.login.key:
            told += [f"set ssl:cert-file {self.login.key}", f"set ssl:key-file {self.login.key}"]
        return told
