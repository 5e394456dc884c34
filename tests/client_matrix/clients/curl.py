"""curl, whose SFTP comes from libssh2."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from tests.client_matrix.driver import Driver, first_line, run

if TYPE_CHECKING:
    from pathlib import Path


class Curl(Driver):
    """curl over SFTP."""

    title = "curl"

    @classmethod
    def version(cls) -> str:
        return first_line("curl", "--version").split()[1]

    def settings(self) -> list[object]:
        home = self.login.folder / "home-of-curl"
        (home / ".ssh").mkdir(parents=True, exist_ok=True)
        (home / ".ssh" / "known_hosts").write_text(self.login.known_hosts.read_text())
        key = self.login.key
        return ["--key", key, "--pubkey", key.with_suffix(".pub")] if key else []

    def do(self, *words: object) -> str:
        login = self.login
        secret = "" if login.key and self.protocol == "sftp" else login.password
        common = ("curl", "-sS", "--max-time", 120, "-u", f"{login.user}:{secret}")
        home = str(login.folder / "home-of-curl")
        return run(*common, *self.settings(), *words, env={"HOME": home})

    def url(self, name: str = "") -> str:
        scheme = "sftp" if self.protocol == "sftp" else "ftp"
        return f"{scheme}://{self.login.host}:{self.login.port}/{quote(name)}"

    def put(self, local: Path, name: str) -> None:
        self.do("-g", "-T", local, self.url(name))

    def put_many(self, folder: Path) -> None:
        # Over one FTP connection curl 7.88 sleeps for a second after some of the files.
        at_once = ("--parallel", "--parallel-max", "4") if self.protocol != "sftp" else ()
        self.do(*at_once, "-T", f"{folder}/b[0000-0999].dat", self.url())

    def resume(self, local: Path, name: str) -> None:
        self.do("-C", "-", "-T", local, self.url(name))

    def read(self, name: str) -> bytes:
        local = self.scratch("got")
        self.do("-o", local, self.url(name))
        return local.read_bytes()

    def names(self) -> list[str]:
        return self.do("-l", self.url()).splitlines()

    def quote(self, *commands: str) -> None:
        words = [word for command in commands for word in ("-Q", command)]
        self.do(*words, "-o", self.scratch("listing"), "-l", self.url())

    def delete(self, name: str) -> None:
        self.quote(f"rm /{name}")

    def rename(self, old: str, new: str) -> None:
        self.quote(f"rename /{old} /{new}")

    def put_temporary(self, local: Path, name: str) -> None:
        self.do("-T", local, self.url(f"{name}.part"), "-Q", f"-rename /{name}.part /{name}")


class CurlFtp(Curl):
    """curl over plain FTP."""

    title = "curl (FTP)"
    protocol = "ftp"
    no_key = "FTP knows no keys"

    def settings(self) -> list[object]:
        return []

    def delete(self, name: str) -> None:
        self.quote(f"DELE {name}")

    def rename(self, old: str, new: str) -> None:
        self.quote(f"RNFR {old}", f"RNTO {new}")

    def put_temporary(self, local: Path, name: str) -> None:
        after = ("-Q", f"-RNFR {name}.part", "-Q", f"-RNTO {name}")
        self.do("-T", local, self.url(f"{name}.part"), *after)


class CurlFtps(CurlFtp):
    """curl over explicit TLS."""

    title = "curl (FTPS)"
    protocol = "ftps"
    no_key = ""

    def settings(self) -> list[object]:
        words: list[object] = ["--ssl-reqd", "--cacert", self.login.ca]
        return [*words, "--cert", self.login.key] if self.login.key else words
