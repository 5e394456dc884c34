"""Python's SFTP libraries, and WinSCP's dialogue replayed with one of them."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import asyncssh
import fsspec
import paramiko

from tests.client_matrix.driver import Driver

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path


class Paramiko(Driver):
    """paramiko, whose `put` asks for the size afterwards and wants it to be right."""

    title = "paramiko"

    @classmethod
    def version(cls) -> str:
        return version("paramiko")

    @contextmanager
    def session(self) -> Iterator[paramiko.SFTPClient]:
        login = self.login
        key = paramiko.Ed25519Key.from_private_key_file(str(login.key)) if login.key else None
        with paramiko.Transport((login.host, login.port)) as transport:
            password = None if key else login.password
            transport.connect(username=login.user, password=password, pkey=key)
            sftp = paramiko.SFTPClient.from_transport(transport)
            assert sftp is not None
            yield sftp

    def put(self, local: Path, name: str) -> None:
        with self.session() as sftp:
            sftp.put(str(local), name)

    def put_many(self, folder: Path) -> None:
        with self.session() as sftp:
            for local in sorted(folder.iterdir()):
                sftp.put(str(local), local.name)

    def resume(self, local: Path, name: str) -> None:
        with self.session() as sftp, sftp.open(name, "ab") as file:
            at = sftp.stat(name).st_size
            file.write(local.read_bytes()[at:])

    def read(self, name: str) -> bytes:
        with self.session() as sftp, sftp.open(name, "rb") as file:
            return file.read()

    def names(self) -> list[str]:
        with self.session() as sftp:
            return sftp.listdir(".")

    def delete(self, name: str) -> None:
        with self.session() as sftp:
            sftp.remove(name)

    def rename(self, old: str, new: str) -> None:
        with self.session() as sftp:
            sftp.rename(old, new)

    def put_temporary(self, local: Path, name: str) -> None:
        with self.session() as sftp:
            sftp.put(str(local), name + ".part")
            sftp.posix_rename(name + ".part", name)


class WinScp(Paramiko):
    """What WinSCP 5 and 6 send, by their documentation and logs; Windows programs cannot run here.

    Up to 100 KB it opens the name itself. Above, it asks for NAME.filepart, writes it (going on
    where that one ends, if it is there), sets its time, removes NAME if there is one, renames,
    and asks for the result.
    """

    title = "WinSCP's dialogue, replayed"
    threshold_bytes = 100 * 1024

    @classmethod
    def version(cls) -> str:
        return ""

    def put(self, local: Path, name: str) -> None:
        with self.session() as sftp:
            self._upload(sftp, local, name)

    def put_many(self, folder: Path) -> None:
        with self.session() as sftp:
            for local in sorted(folder.iterdir()):
                self._upload(sftp, local, local.name)

    def resume(self, local: Path, name: str) -> None:
        # It offers to go on only with its own .filepart; NAME itself is appended to when asked.
        with self.session() as sftp:
            at = sftp.stat(name).st_size or 0
            with sftp.open(name, "r+b") as file:
                file.seek(at)
                file.write(local.read_bytes()[at:])

    def put_temporary(self, local: Path, name: str) -> None:
        self.put(local, name)  # by itself, above its threshold

    def _upload(self, sftp: paramiko.SFTPClient, local: Path, name: str) -> None:
        sftp.normalize(".")
        exists = self._is_there(sftp, name)
        content, modified = local.read_bytes(), local.stat().st_mtime
        part = name if len(content) < self.threshold_bytes else f"{name}.filepart"
        if part != name:
            self._is_there(sftp, part)
        with sftp.open(part, "wb") as file:
            file.write(content)
            file.utime((modified, modified))
        if part != name:
            if exists:
                sftp.remove(name)
            sftp.rename(part, name)
        sftp.utime(name, (modified, modified))
        sftp.chmod(name, 0o644)
        sftp.lstat(name)

    def _is_there(self, sftp: paramiko.SFTPClient, name: str) -> bool:
        try:
            sftp.lstat(name)
        except FileNotFoundError:
            return False
        return True


class Asyncssh(Driver):
    """asyncssh's own client."""

    title = "asyncssh"

    @classmethod
    def version(cls) -> str:
        return version("asyncssh")

    def do(self, work: Callable[[asyncssh.SFTPClient], Awaitable[Any]]) -> Any:
        login = self.login

        async def session() -> Any:
            connection = await asyncssh.connect(
                login.host,
                login.port,
                username=login.user,
                password=None if login.key else login.password,
                client_keys=[str(login.key)] if login.key else None,
                known_hosts=str(login.known_hosts),
                config=None,
            )
            async with connection, connection.start_sftp_client() as sftp:
                return await work(sftp)

        return asyncio.run(session())

    def put(self, local: Path, name: str) -> None:
        self.do(lambda sftp: sftp.put(str(local), name))

    def put_many(self, folder: Path) -> None:
        files = [str(local) for local in sorted(folder.iterdir())]
        self.do(lambda sftp: sftp.put(files, "."))

    def resume(self, local: Path, name: str) -> None:
        async def append(sftp: asyncssh.SFTPClient) -> None:
            at = (await sftp.stat(name)).size
            async with sftp.open(name, "ab") as file:
                await file.write(local.read_bytes()[at:])

        self.do(append)

    def read(self, name: str) -> bytes:
        local = self.scratch("got")
        self.do(lambda sftp: sftp.get(name, str(local)))
        return local.read_bytes()

    def names(self) -> list[str]:
        return [str(name) for name in self.do(lambda sftp: sftp.listdir("."))]

    def delete(self, name: str) -> None:
        self.do(lambda sftp: sftp.remove(name))

    def rename(self, old: str, new: str) -> None:
        self.do(lambda sftp: sftp.rename(old, new))


class FsspecSftp(Driver):
    """fsspec's SFTP file system, as pandas and dask use it."""

    title = "fsspec"

    @classmethod
    def version(cls) -> str:
        return version("fsspec")

    def system(self) -> Any:
        login = self.login
        proof: dict[str, object] = {"password": login.password}
        if login.key:
            proof = {"pkey": paramiko.Ed25519Key.from_private_key_file(str(login.key))}
        options = {"port": login.port, "username": login.user, "skip_instance_cache": True}
        return fsspec.filesystem("sftp", host=login.host, **options, **proof)

    def put(self, local: Path, name: str) -> None:
        self.system().put(str(local), name)

    def put_many(self, folder: Path) -> None:
        system = self.system()
        for local in sorted(folder.iterdir()):
            system.put(str(local), local.name)

    def resume(self, local: Path, name: str) -> None:
        system = self.system()
        with system.open(name, "ab") as file:
            file.write(local.read_bytes()[system.info(name)["size"] :])

    def read(self, name: str) -> bytes:
        return bytes(self.system().cat_file(name))

    def names(self) -> list[str]:
        return [entry.rpartition("/")[2] for entry in self.system().ls(".", detail=False)]

    def delete(self, name: str) -> None:
        self.system().rm(name)

    def rename(self, old: str, new: str) -> None:
        self.system().mv(old, new)
