"""Python's FTP libraries: ftplib, aioftp and fsspec's."""

from __future__ import annotations

import asyncio
import ftplib
import ssl
import sys
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import aioftp
import fsspec

from tests.client_matrix.driver import TIMEOUT_S, Driver

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path


class Ftplib(Driver):
    """ftplib of the standard library, plain."""

    title = "ftplib"
    protocol = "ftp"
    no_key = "FTP knows no keys"

    @classmethod
    def version(cls) -> str:
        return f"of Python {sys.version_info.major}.{sys.version_info.minor}"

    @contextmanager
    def session(self) -> Iterator[ftplib.FTP]:
        login = self.login
        ftp = self.connected()
        try:
            ftp.connect(login.host, login.port, TIMEOUT_S)
            ftp.login(login.user, login.password)
            if isinstance(ftp, ftplib.FTP_TLS):
                ftp.prot_p()
            yield ftp
        finally:
            ftp.close()

    def connected(self) -> ftplib.FTP:
        return ftplib.FTP(encoding="utf-8")

    def put(self, local: Path, name: str) -> None:
        with self.session() as ftp, local.open("rb") as file:
            ftp.storbinary(f"STOR {name}", file)

    def put_many(self, folder: Path) -> None:
        with self.session() as ftp:
            for local in sorted(folder.iterdir()):
                with local.open("rb") as file:
                    ftp.storbinary(f"STOR {local.name}", file)

    def resume(self, local: Path, name: str) -> None:
        with self.session() as ftp, local.open("rb") as file:
            ftp.voidcmd("TYPE I")
            at = ftp.size(name)
            assert at is not None
            file.seek(at)
            ftp.storbinary(f"STOR {name}", file, rest=at)

    def read(self, name: str) -> bytes:
        got = bytearray()
        with self.session() as ftp:
            ftp.retrbinary(f"RETR {name}", got.extend)
        return bytes(got)

    def names(self) -> list[str]:
        with self.session() as ftp:
            return ftp.nlst()

    def delete(self, name: str) -> None:
        with self.session() as ftp:
            ftp.delete(name)

    def rename(self, old: str, new: str) -> None:
        with self.session() as ftp:
            ftp.rename(old, new)


class FtplibTls(Ftplib):
    """ftplib over explicit TLS."""

    title = "ftplib (FTPS)"
    protocol = "ftps"
    no_key = ""

    def connected(self) -> ftplib.FTP:
        context = ssl.create_default_context(cafile=str(self.login.ca))
        if self.login.key:
            context.load_cert_chain(self.login.key)
        return ftplib.FTP_TLS(context=context, encoding="utf-8")


class Aioftp(Driver):
    """aioftp, plain."""

    title = "aioftp"
    protocol = "ftp"
    no_key = "FTP knows no keys"

    @classmethod
    def version(cls) -> str:
        return version("aioftp")

    def do(self, work: Callable[[aioftp.Client], Awaitable[Any]]) -> Any:
        login = self.login

        async def session() -> Any:
            async with aioftp.Client.context(
                login.host, login.port, login.user, login.password
            ) as client:
                return await work(client)

        return asyncio.run(session())

    def put(self, local: Path, name: str) -> None:
        self.do(lambda client: client.upload(local, name, write_into=True))

    def put_many(self, folder: Path) -> None:
        async def all_of_them(client: aioftp.Client) -> None:
            for local in sorted(folder.iterdir()):
                await client.upload(local, local.name, write_into=True)

        self.do(all_of_them)

    def resume(self, local: Path, name: str) -> None:
        async def go_on(client: aioftp.Client) -> None:
            at = int((await client.stat(name))["size"])
            async with client.upload_stream(name, offset=at) as stream:
                await stream.write(local.read_bytes()[at:])

        self.do(go_on)

    def read(self, name: str) -> bytes:
        async def whole(client: aioftp.Client) -> bytes:
            async with client.download_stream(name) as stream:
                return bytes(await stream.read())

        return bytes(self.do(whole))

    def names(self) -> list[str]:
        return [path.name for path, _ in self.do(lambda client: client.list())]

    def delete(self, name: str) -> None:
        self.do(lambda client: client.remove_file(name))

    def rename(self, old: str, new: str) -> None:
        self.do(lambda client: client.rename(old, new))


class FsspecFtp(Driver):
    """fsspec's FTP file system."""

    title = "fsspec (FTP)"
    protocol = "ftp"
    no_key = "FTP knows no keys"

    @classmethod
    def version(cls) -> str:
        return version("fsspec")

    def system(self) -> Any:
        login = self.login
        return fsspec.filesystem(
            "ftp",
            host=login.host,
            port=login.port,
            username=login.user,
            password=login.password,
            skip_instance_cache=True,
        )

    def put(self, local: Path, name: str) -> None:
        self.system().put(str(local), f"/{name}")

    def put_many(self, folder: Path) -> None:
        system = self.system()
        for local in sorted(folder.iterdir()):
            system.put(str(local), f"/{local.name}")

    resumes = False

    def read(self, name: str) -> bytes:
        return bytes(self.system().cat_file(f"/{name}"))

    def names(self) -> list[str]:
        return [entry.rpartition("/")[2] for entry in self.system().ls("/", detail=False)]

    def delete(self, name: str) -> None:
        self.system().rm_file(f"/{name}")

    def rename(self, old: str, new: str) -> None:
        self.system().mv(f"/{old}", f"/{new}")
