"""Libraries of other languages: a small program each, told by words what to do.

The words are `put LOCAL NAME`, `many FOLDER`, `resume LOCAL NAME`, `read NAME LOCAL`, `names`,
`delete NAME` and `rename OLD NEW`; the login stands in the environment.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.client_matrix.driver import Driver, NotOfferedError, first_line, run

SOURCES = Path(__file__).parents[1]
BUILT = Path(__file__).parents[3] / ".venv" / "clients"  # where install.sh puts what it builds
NODE_MODULES = BUILT / "node_modules"
JARS = Path("/usr/share/java")


class _Snippet(Driver):
    def words(self) -> tuple[object, ...]:
        """Return what starts the program."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        login = self.login
        told = {
            "TD_HOST": login.host,
            "TD_PORT": str(login.port),
            "TD_USER": login.user,
            "TD_PASSWORD": login.password,
            "TD_KNOWN_HOSTS": str(login.known_hosts),
        }
        if login.key:
            told["TD_KEY"] = str(login.key)
        if self.protocol == "ftps":
            told["TD_CA"] = str(login.ca)
        return told

    def do(self, *words: object) -> list[str]:
        return run(*self.words(), *words, env=self.environment()).splitlines()

    def put(self, local: Path, name: str) -> None:
        self.do("put", local, name)

    def put_many(self, folder: Path) -> None:
        self.do("many", folder)

    def resume(self, local: Path, name: str) -> None:
        self.do("resume", local, name)

    def read(self, name: str) -> bytes:
        local = self.scratch("got")
        self.do("read", name, local)
        return local.read_bytes()

    def names(self) -> list[str]:
        return self.do("names")

    def delete(self, name: str) -> None:
        self.do("delete", name)

    def rename(self, old: str, new: str) -> None:
        self.do("rename", old, new)


class _Node(_Snippet):
    program = ""
    package = ""

    def words(self) -> tuple[object, ...]:
        if not (NODE_MODULES / self.package).exists():
            raise NotOfferedError(f"{self.package} is not installed")
        return ("node", SOURCES / "node" / self.program)

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "NODE_PATH": str(NODE_MODULES)}

    @classmethod
    def version(cls) -> str:
        described = NODE_MODULES / cls.package / "package.json"
        return str(json.loads(described.read_text())["version"]) if described.exists() else ""


class Ssh2SftpClient(_Node):
    """ssh2-sftp-client of npm."""

    title = "ssh2-sftp-client"
    program, package = "sftp.js", "ssh2-sftp-client"


class BasicFtp(_Node):
    """basic-ftp of npm, plain."""

    title = "basic-ftp"
    protocol = "ftp"
    program, package = "ftp.js", "basic-ftp"
    no_key = "FTP knows no keys"


class BasicFtps(BasicFtp):
    """basic-ftp over explicit TLS."""

    title = "basic-ftp (FTPS)"
    protocol = "ftps"
    no_key = ""


class _Java(_Snippet):
    program = ""
    jar = ""

    def words(self) -> tuple[object, ...]:
        if not (JARS / self.jar).exists():
            raise NotOfferedError(f"{JARS / self.jar} is not installed")
        classes = self.login.folder / "classes"
        if not classes.exists():
            source = SOURCES / "java" / f"{self.program}.java"
            run("javac", "-cp", JARS / self.jar, "-d", classes, source)
        return ("java", "-cp", f"{classes}:{JARS / self.jar}", self.program)

    @classmethod
    def version(cls) -> str:
        found = sorted(JARS.glob(cls.jar.replace(".jar", "-[0-9]*.jar")))
        return found[0].stem.rpartition("-")[2] if found else ""


class Jsch(_Java):
    """JSch, the one of many Java products, as Debian has it."""

    title = "JSch"
    cannot_connect = (
        "knows none of the key exchanges that are safe; by `[sftp_legacy]` it gets in,"
        " and its successor anyhow (see below)"
    )
    program, jar = "Jsch", "jsch.jar"

    def environment(self) -> dict[str, str]:
        told = super().environment()
        if self.login.key:
            # It reads RSA keys in the PEM form only.
            told["TD_KEY"] = str(self.login.key.with_name("id_rsa"))
        return told


class CommonsNet(_Java):
    """commons-net in active mode, its default."""

    title = "commons-net (active)"
    protocol = "ftp"
    program, jar = "CommonsNet", "commons-net.jar"
    no_key = "FTP knows no keys"


class CommonsNetTls(CommonsNet):
    """commons-net over explicit TLS, passive."""

    title = "commons-net (FTPS)"
    protocol = "ftps"
    no_key = "this program shows no client certificate"


class Pysftp(_Snippet):
    """pysftp, not kept up since 2016, still in many scripts."""

    title = "pysftp"

    def words(self) -> tuple[object, ...]:
        if not (BUILT / "pysftp" / "pysftp").exists():
            raise NotOfferedError("pysftp is not installed")
        return (sys.executable, "-W", "ignore", SOURCES / "python" / "pysftp_words.py")

    def environment(self) -> dict[str, str]:
        told = {**super().environment(), "PYTHONPATH": str(BUILT / "pysftp")}
        if self.login.key:
            # It takes a key for RSA, and needs the PEM form.
            told["TD_KEY"] = str(self.login.key.with_name("id_rsa"))
        return told

    @classmethod
    def version(cls) -> str:
        found = sorted((BUILT / "pysftp").glob("pysftp-*.dist-info"))
        return found[0].name.removesuffix(".dist-info").split("-")[1] if found else ""


class NetSftpForeign(_Snippet):
    """Net::SFTP::Foreign of Perl, which has `ssh` make the connection."""

    title = "Net::SFTP::Foreign"

    def words(self) -> tuple[object, ...]:
        return ("perl", SOURCES / "perl" / "sftp.pl")

    @classmethod
    def version(cls) -> str:
        asked = "print Net::SFTP::Foreign->VERSION"
        return first_line("perl", "-MNet::SFTP::Foreign", "-e", asked)

    def put_temporary(self, local: Path, name: str) -> None:
        self.do("atomic", local, name)
