"""OpenSSH's `sftp` and `scp`, and `sshfs`, which stands on the same `ssh`."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.client_matrix.driver import Driver, Login, NotOfferedError, RefusedError, first_line, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def options(login: Login) -> list[str]:
    """Return options for `ssh` and its kin; nothing of this machine's own settings is used."""
    told = {
        "Port": str(login.port),
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(login.known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "BatchMode": "no",
        "NumberOfPasswordPrompts": "1",
        "IdentitiesOnly": "yes",
        "PreferredAuthentications": "publickey" if login.key else "password",
    }
    words = ["-F", "/dev/null"]
    if login.key:
        words += ["-o", f"IdentityFile={login.key}"]
    return words + [word for name, value in told.items() for word in ("-o", f"{name}={value}")]


def _quoted(text: object) -> str:
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


class _OpenSsh(Driver):
    def ssh(self, *words: object) -> str:
        typist = () if self.login.key else ("sshpass", "-e")
        return run(*typist, *words, env={"SSHPASS": self.login.password})

    @property
    def target(self) -> str:
        return f"{self.login.user}@{self.login.host}"

    @classmethod
    def version(cls) -> str:
        return first_line("ssh", "-V").partition(",")[0].removeprefix("OpenSSH_").split("p")[0]


class Sftp(_OpenSsh):
    """`sftp` in batch mode."""

    title = "OpenSSH sftp"

    def batch(self, *commands: str) -> list[str]:
        script = self.scratch("batch")
        script.write_text("\n".join(commands) + "\n")
        said = self.ssh("sftp", *options(self.login), "-b", script, self.target)
        return [line for line in said.splitlines() if not line.startswith("sftp>")]

    def put(self, local: Path, name: str) -> None:
        self.batch(f"put {_quoted(local)} {_quoted(name)}")

    def put_many(self, folder: Path) -> None:
        self.batch(f"put {folder}/*")

    def resume(self, local: Path, name: str) -> None:
        self.batch(f"reput {_quoted(local)} {_quoted(name)}")

    def read(self, name: str) -> bytes:
        local = self.scratch("got")
        self.batch(f"get {_quoted(name)} {_quoted(local)}")
        return local.read_bytes()

    def names(self) -> list[str]:
        return self.batch("ls -1")

    def delete(self, name: str) -> None:
        self.batch(f"rm {_quoted(name)}")

    def rename(self, old: str, new: str) -> None:
        self.batch(f"rename {_quoted(old)} {_quoted(new)}")

    def put_temporary(self, local: Path, name: str) -> None:
        part = _quoted(name + ".part")
        self.batch(f"put {_quoted(local)} {part}", f"rename {part} {_quoted(name)}")


class Scp(_OpenSsh):
    """`scp`, which speaks SFTP since version 9."""

    title = "OpenSSH scp"
    resumes = False

    def put(self, local: Path, name: str) -> None:
        self.ssh("scp", "-q", "-s", *options(self.login), local, f"{self.target}:{name}")

    def put_many(self, folder: Path) -> None:
        files = sorted(folder.iterdir())
        self.ssh("scp", "-q", "-s", *options(self.login), *files, f"{self.target}:")

    def read(self, name: str) -> bytes:
        local = self.scratch("got")
        self.ssh("scp", "-q", "-s", *options(self.login), f"{self.target}:{name}", local)
        return local.read_bytes()

    def put_temporary(self, local: Path, name: str) -> None:
        raise NotOfferedError("cannot rename")


class Sshfs(_OpenSsh):
    """`sshfs`: the server's files as a folder, used by plain file operations."""

    title = "sshfs"

    @classmethod
    def version(cls) -> str:
        return first_line("sshfs", "-V", containing="SSHFS version").rpartition(" ")[2]

    @contextmanager
    def mounted(self) -> Iterator[Path]:
        if not os.access("/dev/fuse", os.R_OK | os.W_OK):
            raise NotOfferedError("needs /dev/fuse, which is not to be had here")
        place = self.login.folder / "mount"
        place.mkdir(parents=True, exist_ok=True)
        try:
            # Not by sshpass: its terminal would end with it, and `ssh` with that.
            words = (*options(self.login), f"{self.target}:", place)
            if self.login.key:
                run("sshfs", *words)
            else:
                run("sshfs", "-o", "password_stdin", *words, typed=f"{self.login.password}\n")
        except RefusedError as problem:
            if "fuse: " in str(problem):
                raise NotOfferedError(f"cannot mount here: {problem}") from problem
            raise
        try:
            yield place
            # A question that waits for its answer, so that what was closed is closed there too:
            # unmounted at once, sshfs drops the CLOSE that it has not sent yet.
            (place / "no such file").exists()
        finally:
            subprocess.run(("fusermount3", "-u", place), check=False, capture_output=True)

    def put(self, local: Path, name: str) -> None:
        with self.mounted() as place:
            (place / name).write_bytes(local.read_bytes())

    def put_many(self, folder: Path) -> None:
        with self.mounted() as place:
            for local in sorted(folder.iterdir()):
                (place / local.name).write_bytes(local.read_bytes())

    def resume(self, local: Path, name: str) -> None:
        with self.mounted() as place, (place / name).open("ab") as file:
            file.write(local.read_bytes()[(place / name).stat().st_size :])

    def read(self, name: str) -> bytes:
        with self.mounted() as place:
            return (place / name).read_bytes()

    def names(self) -> list[str]:
        with self.mounted() as place:
            return os.listdir(place)  # noqa: PTH208  what a program would call

    def delete(self, name: str) -> None:
        with self.mounted() as place:
            (place / name).unlink()

    def rename(self, old: str, new: str) -> None:
        with self.mounted() as place:
            (place / old).rename(place / new)

    def put_temporary(self, local: Path, name: str) -> None:
        with self.mounted() as place:
            (place / f"{name}.part").write_bytes(local.read_bytes())
            (place / f"{name}.part").rename(place / name)
