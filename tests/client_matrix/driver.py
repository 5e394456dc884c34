"""What the matrix asks of every client, and how a client says that it cannot or was refused.

A driver makes one real program or library do one thing for one login. It raises `Refused` with
the program's words if that was not content, and `NotOffered` if it has no such thing at all.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TIMEOUT_S = 180
WORDS_KEPT = 400


class RefusedError(Exception):
    """The client ended with an error; its words."""


class NotOfferedError(Exception):
    """The client has no such thing, or it cannot be had here; why."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who connects where. key: a private key, or for FTPS a PEM with certificate and key.

    folder: where the client may put what it needs. known_hosts, ca: how it knows the server.
    """

    host: str
    port: int
    user: str
    password: str
    key: Path | None
    folder: Path
    known_hosts: Path
    ca: Path


class Driver:
    """A client. title: its row. protocol: "sftp", "ftp" or "ftps".

    resumes: False if it can only send the whole file again. flaws: columns in which it is known
    to fail by its own fault, and how. cannot_connect: why it is refused at the door. Both are
    tried all the same. no_password, no_key: why it cannot log in that way.
    """

    title: ClassVar[str]
    protocol: ClassVar[str] = "sftp"
    resumes: ClassVar[bool] = True
    flaws: ClassVar[dict[str, str]] = {}
    cannot_connect: ClassVar[str] = ""
    no_password: ClassVar[str] = ""
    no_key: ClassVar[str] = ""

    def __init__(self, login: Login) -> None:
        self.login = login

    @classmethod
    def version(cls) -> str:
        """Return the client's version, "" if it does not tell."""
        return ""

    def on_the_wire(self, content: bytes) -> bytes:
        """Return what the client makes of a file's bytes before it sends them."""
        return content

    def put(self, local: Path, name: str) -> None:
        """Upload a file, whole."""
        raise NotImplementedError

    def put_many(self, folder: Path) -> None:
        """Upload every file of a folder, the way the client does many; here: one by one."""
        for local in sorted(folder.iterdir()):
            self.put(local, local.name)

    def resume(self, local: Path, name: str) -> None:
        """Go on with an upload that broke off; or send it whole, if that is all it can do."""
        self.put(local, name)

    def read(self, name: str) -> bytes:
        """Download a file."""
        raise NotOfferedError("cannot download")

    def names(self) -> list[str]:
        """List the root."""
        raise NotOfferedError("cannot list")

    def delete(self, name: str) -> None:
        """Delete a file."""
        raise NotOfferedError("cannot delete")

    def rename(self, old: str, new: str) -> None:
        """Rename a file."""
        raise NotOfferedError("cannot rename")

    def put_temporary(self, local: Path, name: str) -> None:
        """Upload under a temporary name and rename: by itself where the client can."""
        self.put(local, f"{name}.part")
        self.rename(f"{name}.part", name)

    def scratch(self, name: str) -> Path:
        """Return a path that nobody else uses."""
        self.login.folder.mkdir(parents=True, exist_ok=True)
        path = self.login.folder / name
        path.unlink(missing_ok=True)
        return path


def run(
    *words: object,
    typed: str | None = None,
    at: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a program; return what it printed. Raises RefusedError, or NotOfferedError if absent."""
    try:
        ended = subprocess.run(
            [str(word) for word in words],
            env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
            input=None if typed is None else typed.encode(),
            stdin=subprocess.DEVNULL if typed is None else None,
            capture_output=True,
            timeout=TIMEOUT_S,
            cwd=at,
            check=False,
        )
    except FileNotFoundError as missing:
        raise NotOfferedError(f"{words[0]} is not installed") from missing
    except subprocess.TimeoutExpired as expired:
        raise RefusedError(f"still running after {TIMEOUT_S} s") from expired
    said = (ended.stdout + b"\n" + ended.stderr).decode(errors="replace").strip()
    if ended.returncode:
        raise RefusedError(f"ended with {ended.returncode}: {said[-WORDS_KEPT:]}")
    return said


def first_line(*words: str, containing: str = "") -> str:
    """Return the first line of what a program says of itself; "" if it cannot be asked."""
    try:
        said = subprocess.run(words, capture_output=True, timeout=20, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""
    lines = (said.stdout + said.stderr).decode(errors="replace").splitlines()
    return next((line.strip() for line in lines if containing in line and line.strip()), "")
