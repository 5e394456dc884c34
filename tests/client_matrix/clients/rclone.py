"""rclone: Debian's, which sends packets with a surplus, and a current one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

from tests.client_matrix.driver import Driver, NotOfferedError, first_line, run

CURRENT = Path(sys.executable).with_name("rclone")


class _Rclone(Driver):
    program: ClassVar[Path]
    resumes = False

    @classmethod
    def version(cls) -> str:
        return first_line(str(cls.program), "version").removeprefix("rclone v").partition("-")[0]

    def do(self, *words: object) -> str:
        if not self.program.exists():
            raise NotOfferedError(f"{self.program} is not installed")
        login = {"RCLONE_CONFIG": "/dev/null", **self._login()}
        return run(self.program, "--retries=1", *words, env=login)

    def _login(self) -> dict[str, str]:
        login = self.login
        kind = "SFTP" if self.protocol == "sftp" else "FTP"
        told = {"HOST": login.host, "PORT": str(login.port), "USER": login.user}
        if self.protocol == "sftp":
            told["KNOWN_HOSTS_FILE"] = str(login.known_hosts)
        if self.protocol == "sftp" and login.key:
            told["KEY_FILE"] = str(login.key)
        else:
            told["PASS"] = run(self.program, "obscure", login.password)
        if self.protocol == "ftps":
            told["EXPLICIT_TLS"] = "true"
        found = {f"RCLONE_{kind}_{name}": value for name, value in told.items()}
        return found | ({"RCLONE_CA_CERT": str(login.ca)} if self.protocol == "ftps" else {})

    def at(self, name: str = "") -> str:
        return f":{'sftp' if self.protocol == 'sftp' else 'ftp'}:{name}"

    def put(self, local: Path, name: str) -> None:
        self.do("copyto", "--ignore-times", local, self.at(name))

    def put_many(self, folder: Path) -> None:
        self.do("copy", folder, self.at())

    def read(self, name: str) -> bytes:
        local = self.scratch("got")
        self.do("copyto", self.at(name), local)
        return local.read_bytes()

    def names(self) -> list[str]:
        return self.do("lsf", self.at()).splitlines()

    def delete(self, name: str) -> None:
        self.do("deletefile", self.at(name))

    def rename(self, old: str, new: str) -> None:
        self.do("moveto", self.at(old), self.at(new))


class Rclone160(_Rclone):
    """Debian's rclone over SFTP."""

    title = "rclone"
    program = Path("/usr/bin/rclone")


class Rclone(_Rclone):
    """A current rclone over SFTP; it uploads to NAME.RANDOM.partial and renames by itself."""

    title = "rclone"
    program = CURRENT

    def put_temporary(self, local: Path, name: str) -> None:
        self.put(local, name)


class Rclone160Ftp(_Rclone):
    """Debian's rclone over FTP."""

    title = "rclone (FTP)"
    protocol = "ftp"
    program = Path("/usr/bin/rclone")
    no_key = "FTP knows no keys"


class RcloneFtp(_Rclone):
    """A current rclone over FTP."""

    title = "rclone (FTP)"
    protocol = "ftp"
    program = CURRENT
    no_key = "FTP knows no keys"


class RcloneFtps(_Rclone):
    """A current rclone over explicit TLS."""

    title = "rclone (FTPS)"
    protocol = "ftps"
    program = CURRENT
    no_key = "shows no client certificate for FTP"
