"""PuTTY's `psftp` and `pscp`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.client_matrix.driver import Driver, NotOfferedError, first_line, run

if TYPE_CHECKING:
    from pathlib import Path


def _quoted(text: object) -> str:
    return '"' + str(text).replace('"', '""') + '"'


class _Putty(Driver):
    def login_words(self) -> list[object]:
        words: list[object] = ["-batch", "-P", self.login.port, "-l", self.login.user]
        if self.login.key:
            words += ["-i", self._ppk()]
        else:
            words += ["-pw", self.login.password]
        for line in self.login.known_hosts.read_text().splitlines():
            known = self.scratch("host.pub")
            known.write_text(line.partition(" ")[2] + "\n")
            words += ["-hostkey", run("ssh-keygen", "-lf", known).split()[1]]
        return words

    def _ppk(self) -> Path:
        made = self.scratch("key.ppk")
        run("puttygen", self.login.key, "-O", "private", "-o", made)
        return made

    @classmethod
    def version(cls) -> str:
        return first_line("psftp", "-V", containing="Release").rpartition(" ")[2]


class Psftp(_Putty):
    """`psftp` with a script."""

    title = "psftp"

    def script(self, *commands: str) -> list[str]:
        path = self.scratch("script")
        path.write_text("\n".join(commands) + "\n")
        return run("psftp", *self.login_words(), "-b", path, self.login.host).splitlines()

    def put(self, local: Path, name: str) -> None:
        self.script(f"put {_quoted(local)} {_quoted(name)}")

    def put_many(self, folder: Path) -> None:
        self.script(f"mput {folder}/*")

    def resume(self, local: Path, name: str) -> None:
        self.script(f"reput {_quoted(local)} {_quoted(name)}")

    def read(self, name: str) -> bytes:
        local = self.scratch("got")
        self.script(f"get {_quoted(name)} {_quoted(local)}")
        return local.read_bytes()

    def names(self) -> list[str]:
        lines = (line.split(maxsplit=8) for line in self.script("ls"))
        return [line[8] for line in lines if len(line) == 9]

    def delete(self, name: str) -> None:
        self.script(f"rm {_quoted(name)}")

    def rename(self, old: str, new: str) -> None:
        self.script(f"mv {_quoted(old)} {_quoted(new)}")


class Pscp(_Putty):
    """`pscp`, made to speak SFTP (-sftp) as it does by itself where that is offered."""

    title = "pscp"
    resumes = False

    def put(self, local: Path, name: str) -> None:
        run("pscp", "-q", *self.login_words(), local, f"{self.login.host}:{name}")

    def put_many(self, folder: Path) -> None:
        files = sorted(folder.iterdir())
        run("pscp", "-q", *self.login_words(), *files, f"{self.login.host}:")

    def read(self, name: str) -> bytes:
        local = self.scratch("got")
        run("pscp", "-q", *self.login_words(), f"{self.login.host}:{name}", local)
        return local.read_bytes()

    def names(self) -> list[str]:
        said = run("pscp", *self.login_words(), "-ls", f"{self.login.host}:.")
        lines = (line.split(maxsplit=8) for line in said.splitlines())
        return [line[8] for line in lines if len(line) == 9]

    def put_temporary(self, local: Path, name: str) -> None:
        raise NotOfferedError("cannot rename")
