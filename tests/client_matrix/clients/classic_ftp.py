"""The old command-line FTP programs: ncftp, tnftp, inetutils ftp and wput.

tnftp and inetutils ftp end with 0 whatever they were answered, so their words are read: a reply
of 4xx or 5xx to what was asked is a refusal.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from tests.client_matrix.driver import Driver, NotOfferedError, RefusedError, first_line, run

if TYPE_CHECKING:
    from pathlib import Path

_REFUSED = re.compile(r"^[45][0-9]{2} .*$", re.MULTILINE)


class Ncftp(Driver):
    """ncftpput, ncftpget and ncftpls; ncftp itself to delete and rename."""

    title = "ncftp"
    protocol = "ftp"
    flaws: ClassVar[dict[str, str]] = {
        "resume": "sends the whole file after REST, so its beginning is there twice: no `-z`"
    }
    no_key = "FTP knows no keys"

    @classmethod
    def version(cls) -> str:
        return first_line("ncftpput", "-v", containing="NcFTP ").partition("NcFTP ")[2].split()[0]

    def login_words(self) -> tuple[object, ...]:
        return ("-u", self.login.user, "-p", self.login.password, "-P", self.login.port)

    def put(self, local: Path, name: str) -> None:
        run("ncftpput", "-V", *self.login_words(), "-C", self.login.host, local, name)

    def put_many(self, folder: Path) -> None:
        files = sorted(folder.iterdir())
        run("ncftpput", "-V", *self.login_words(), self.login.host, "/", *files)

    def resume(self, local: Path, name: str) -> None:
        beside = self.scratch(name)
        beside.write_bytes(local.read_bytes())
        run("ncftpput", "-V", "-z", *self.login_words(), self.login.host, "/", beside)

    def read(self, name: str) -> bytes:
        local = self.scratch("got")
        run("ncftpget", "-V", *self.login_words(), "-C", self.login.host, name, local)
        return local.read_bytes()

    def names(self) -> list[str]:
        said = run("ncftpls", "-1", *self.login_words(), f"ftp://{self.login.host}/")
        return said.splitlines()

    def shell(self, command: str) -> None:
        home = self.scratch("ncftp-home").with_name("home")
        home.mkdir(exist_ok=True)
        typed = f"{command}\nquit\n"
        said = run(
            "ncftp", *self.login_words(), self.login.host, typed=typed, env={"HOME": str(home)}
        )
        if "refused" in said.lower() or _REFUSED.search(said) or "cannot be" in said:
            raise RefusedError(said[-300:])

    def delete(self, name: str) -> None:
        self.shell(f"rm {name}")

    def rename(self, old: str, new: str) -> None:
        self.shell(f"rename {old} {new}")

    def put_temporary(self, local: Path, name: str) -> None:
        beside = self.scratch(name)
        beside.write_bytes(local.read_bytes())
        run("ncftpput", "-V", "-S", ".tmp", *self.login_words(), self.login.host, "/", beside)


class _Dialogue(Driver):
    """A program that reads commands and prints replies."""

    protocol = "ftp"
    no_key = "FTP knows no keys"
    program: ClassVar[str]
    before: ClassVar[tuple[str, ...]]

    def say(self, *commands: str) -> str:
        login = self.login
        lines = [f"user {login.user} {login.password}", *self.before, *commands, "quit"]
        words = (self.program, "-n", "-v", "-i", login.host, login.port)
        said = run(*words, typed="\n".join(lines) + "\n", at=login.folder)
        if found := _REFUSED.search(said):
            raise RefusedError(found[0])
        return said

    def put(self, local: Path, name: str) -> None:
        self.login.folder.mkdir(exist_ok=True)
        self.say(f'put "{local}" "{name}"')

    def put_many(self, folder: Path) -> None:
        self.login.folder.mkdir(exist_ok=True)
        self.say(f"lcd {folder}", "mput *")

    def resume(self, local: Path, name: str) -> None:
        found = re.search(r"^213 ([0-9]+)", self.say(f"quote SIZE {name}"), re.MULTILINE)
        if found is None:
            raise RefusedError("it was not told the size")
        self.say(f"restart {found[1]}", f'put "{local}" "{name}"')

    def read(self, name: str) -> bytes:
        local = self.scratch("got")
        self.say(f'get "{name}" "{local}"')
        return local.read_bytes()

    def names(self) -> list[str]:
        listed = self.scratch("listing")
        self.say(f"nlist . {listed}")
        return listed.read_text().splitlines()

    def delete(self, name: str) -> None:
        self.say(f"delete {name}")

    def rename(self, old: str, new: str) -> None:
        self.say(f"rename {old} {new}")

    def put_temporary(self, local: Path, name: str) -> None:
        self.login.folder.mkdir(exist_ok=True)
        part = f"{name}.part"
        self.say(f'put "{local}" "{part}"', f"rename {part} {name}")


class Tnftp(_Dialogue):
    """tnftp, the BSDs' and macOS's, in passive mode."""

    title = "tnftp"
    program = "tnftp"
    before = ("passive on", "binary")

    @classmethod
    def version(cls) -> str:
        return ""


class InetutilsFtp(_Dialogue):
    """GNU inetutils' ftp as it comes: active mode; and in ASCII, which must keep the bytes."""

    title = "inetutils ftp (active, ASCII)"
    program = "inetutils-ftp"
    before = ("ascii",)

    def on_the_wire(self, content: bytes) -> bytes:
        """Return what ASCII mode sends: each line ends in CRLF."""
        return content.replace(b"\n", b"\r\n")

    @classmethod
    def version(cls) -> str:
        return first_line("inetutils-ftp", "--version").rpartition(" ")[2]


class Wput(Driver):
    """wput, which only uploads. By itself it tries TLS, and stumbles over that of today."""

    plain = ("-nv", "--disable-tls")

    title = "wput"
    protocol = "ftp"
    no_key = "FTP knows no keys"

    @classmethod
    def version(cls) -> str:
        return first_line("wput", "--version", containing="ersion").rpartition(" ")[2]

    def url(self, name: str = "") -> str:
        login = self.login
        host = f"{login.user}:{login.password}@{login.host}:{login.port}"
        return f"ftp://{host}/{quote(name)}"

    def put(self, local: Path, name: str) -> None:
        again = ("--reupload", "--dont-continue")
        run("wput", *self.plain, *again, local, self.url(name), at=local.parent)

    def put_many(self, folder: Path) -> None:
        files = [path.name for path in sorted(folder.iterdir())]
        run("wput", *self.plain, *files, self.url(), at=folder)

    def resume(self, local: Path, name: str) -> None:
        run("wput", *self.plain, local, self.url(name), at=local.parent)

    def put_temporary(self, local: Path, name: str) -> None:
        raise NotOfferedError("cannot rename")
