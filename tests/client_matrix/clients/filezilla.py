"""FileZilla itself, in its window under Xvfb: keys and clicks by xdotool, replies from its log.

Without a window manager its window always lies in the same place, so the two lists of files are
found by their coordinates; a file is chosen by typing its name.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from tests.client_matrix.driver import Driver, NotOfferedError, RefusedError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCAL_LIST, REMOTE_LIST = (300, 680), (900, 680)  # empty places below the last file
FIRST_LOCAL_FILE = (100, 494)
START_S = 30
STEP_S = 0.3  # between two keys, so that the window follows
OVERWRITE, RESUME = 1, 5  # of its setting "File exists action"
_ERROR = re.compile(r"Error:\s*(.*)")

_SETTINGS = """<?xml version="1.0" encoding="UTF-8"?>
<FileZilla3><Settings>
<Setting name="Update Check">0</Setting>
<Setting name="Greeting version">9.99.9</Setting>
<Setting name="File exists action upload">{action}</Setting>
<Setting name="File exists action download">{action}</Setting>
<Setting name="Number of Transfers">2</Setting>
<Setting name="Logging">1</Setting>
<Setting name="Logging file">{log}</Setting>
</Settings></FileZilla3>
"""
_SITES = """<?xml version="1.0" encoding="UTF-8"?>
<FileZilla3><Servers><Server>
<Host>{host}</Host><Port>{port}</Port><Protocol>1</Protocol><Type>0</Type>
<User>{user}</User><Logontype>5</Logontype><Keyfile>{key}</Keyfile><Name>matrix</Name>
</Server></Servers></FileZilla3>
"""


@dataclass(frozen=True, slots=True)
class _Window:
    """A FileZilla that is connected. local: the folder that its left side shows."""

    display: str
    log: Path
    local: Path

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def keys(self, *keys: str) -> None:
        for key in keys:
            self._do("key", "--clearmodifiers", key)

    def type(self, text: str) -> None:
        self._do("type", "--delay", "30", text)

    def click(self, place: tuple[int, int], button: int = 1) -> None:
        self._do("mousemove", str(place[0]), str(place[1]), "click", str(button))

    def upload_all(self) -> None:
        """Choose all files of the left side, and "Upload" from their menu."""
        self.click(LOCAL_LIST)
        self.keys("ctrl+a")
        self.click(FIRST_LOCAL_FILE, button=3)
        self.keys("Down", "Return")

    def choose(self, name: str) -> None:
        """Choose a file of the right side by typing its name."""
        self.click(REMOTE_LIST)
        self.type(name)

    def _do(self, *words: str) -> None:
        subprocess.run(("xdotool", *words), env={**os.environ, "DISPLAY": self.display}, check=True)
        time.sleep(STEP_S)

    def wait(self, pattern: str, times: int = 1, within_s: float = START_S) -> str:
        """Wait for a line of the log, or for an error, which is raised."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            said = self.said()
            if len(re.findall(pattern, said)) >= times:
                return said
            if found := _ERROR.search(said):
                raise RefusedError(found[1])
            time.sleep(STEP_S)
        raise RefusedError(f"{within_s} s passed, and not yet {pattern!r}: {self.said()[-300:]}")


class FileZilla(Driver):
    """FileZilla over SFTP."""

    title = "FileZilla"

    @classmethod
    def version(cls) -> str:
        return first_line("dpkg-query", "-W", "-f", "${Version}", "filezilla").partition("-")[0]

    @contextmanager
    def window(self, *files: Path, action: int = OVERWRITE) -> Iterator[_Window]:
        for program in ("filezilla", "Xvfb", "xdotool"):
            if shutil.which(program) is None:
                raise NotOfferedError(f"{program} is not installed")
        local = self.login.folder / "local"
        shutil.rmtree(local, ignore_errors=True)
        local.mkdir(parents=True)
        for file in files:
            (local / file.name).write_bytes(file.read_bytes())
        log = self.scratch("filezilla.log")
        home = self._home(action, log)
        read, write = os.pipe()
        screen = ("-screen", "0", "1280x900x24", "-nolisten", "tcp", "-displayfd", str(write))
        with _ended(("Xvfb", *screen), {}, pass_fds=(write,)):
            os.close(write)
            with open(read) as told:  # noqa: PTH123  a descriptor, not a path
                display = ":" + told.readline().strip()
            words = ("filezilla", f"--local={local}", *self._where())
            with _ended(words, {"HOME": str(home), "DISPLAY": display}):
                window = _Window(display, log, local)
                self._connect(window)
                yield window

    def _home(self, action: int, log: Path) -> Path:
        home = self.login.folder / "home"
        settings = home / ".config" / "filezilla"
        shutil.rmtree(home, ignore_errors=True)
        settings.mkdir(parents=True)
        told = _SETTINGS.format(action=action, log=escape(str(log)))
        (settings / "filezilla.xml").write_text(told)
        login = self.login
        if login.key:
            site = {"host": login.host, "port": login.port, "user": login.user, "key": login.key}
            (settings / "sitemanager.xml").write_text(_SITES.format(**site))
        return home

    def _where(self) -> tuple[str, ...]:
        login = self.login
        if login.key:
            return ("--site=0/matrix",)
        return (f"sftp://{login.user}:{login.password}@{login.host}:{login.port}",)

    def _connect(self, window: _Window) -> None:
        window.wait("Command: open|Connection established")
        deadline = time.monotonic() + START_S
        while not re.search("Using username|Directory listing of", window.said()):
            if time.monotonic() > deadline:
                break
            time.sleep(4 * STEP_S)
            if not re.search("Using username|Directory listing of", window.said()):
                window.keys("Return")  # yes, that is the server's key
        window.wait('Directory listing of "/" successful')

    def _send(self, *files: Path, action: int = OVERWRITE, within_s: float = START_S) -> None:
        with self.window(*files, action=action) as window:
            window.upload_all()
            window.wait("File transfer successful", len(files), within_s)

    def put(self, local: Path, name: str) -> None:
        self._send(self._named(local, name))

    def put_many(self, folder: Path) -> None:
        self._send(*sorted(folder.iterdir()), within_s=150)

    def resume(self, local: Path, name: str) -> None:
        self._send(self._named(local, name), action=RESUME)

    def _named(self, local: Path, name: str) -> Path:
        if local.name == name:
            return local
        named = self.scratch(name)
        named.write_bytes(local.read_bytes())
        return named

    def read(self, name: str) -> bytes:
        with self.window() as window:
            window.choose(name)
            window.keys("Menu", "Down", "Return")  # "Download"
            window.wait("File transfer successful")
            return (window.local / name).read_bytes()

    def names(self) -> list[str]:
        raise NotOfferedError("lists in a window; files are chosen there by their names")

    def delete(self, name: str) -> None:
        with self.window() as window:
            window.choose(name)
            window.keys("Delete", "Return")
            window.wait('Directory listing of "/" successful', 2)

    def rename(self, old: str, new: str) -> None:
        with self.window() as window:
            self._rename(window, old, new)

    def _rename(self, window: _Window, old: str, new: str) -> None:
        listed = window.said().count('Directory listing of "/" successful')
        window.choose(old)
        window.keys("F2", "ctrl+a")
        window.type(new)
        window.keys("Return")
        window.wait("Renaming")
        window.wait('Directory listing of "/" successful', listed + 1)

    def put_temporary(self, local: Path, name: str) -> None:
        with self.window(self._named(local, f"{name}.part")) as window:
            window.upload_all()
            window.wait("File transfer successful")
            self._rename(window, f"{name}.part", name)


@contextmanager
def _ended(
    words: tuple[str, ...], more: dict[str, str], pass_fds: tuple[int, ...] = ()
) -> Iterator[None]:
    """Run a program for a while."""
    program = subprocess.Popen(
        words,
        env={**os.environ, **more},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=pass_fds,
    )
    try:
        yield
    finally:
        program.terminate()
        try:
            program.wait(10)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait(10)
