"""`[[folders]]` of config/tilldrop.toml: folders whose files are delivered for a customer.

Owns what may be said of such a folder and what is wrong with it. Whether a folder is there is
no question of configuration: a share may be mounted later. Never looks into one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING

from tilldrop.mapping_toml import read_files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tilldrop.toml_table import Table

AFTER = ("keep", "move", "delete")
QUIET_S = (0.1, 24 * 3600)
_PATH = "a folder, absolute or relative to the home"


@dataclass(frozen=True, slots=True)
class FolderDoor:
    """One table [[folders]]. path: absolute. files: patterns as a feed's; (): all files.

    quiet_s: how long a file must not have changed. after: what becomes of the original once
    it is delivered. polling: list it every second, for mounts that send no events.
    """

    path: Path
    customer: str
    quiet_s: float = 10.0
    after: str = "keep"
    polling: bool = False
    files: tuple[str, ...] = ()


def read_folders(
    table: Table, home: Path, own: Iterable[Path], is_customer: Callable[[str], bool]
) -> tuple[FolderDoor, ...]:
    """Read [[folders]]. own: folders that are Tilldrop's, which no door may take files from."""
    value = table.value("folders")
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        table.wrong("folders", "tables that begin with [[folders]]")
        return ()
    folders: list[FolderDoor] = []
    for number, raw in enumerate(value, start=1):
        inner = table.inner(raw, f"folders.{number}")
        folder = _read_folder(inner, home)
        earlier = [one.path for one in folders]
        if folder.path in earlier and folder.path != home:
            # Two customers would each get every file, or one of them each file twice.
            number_there = earlier.index(folder.path) + 1
            inner.wrong("path", f"another, folder {number_there} has it")
        if any(folder.path.is_relative_to(mine) for mine in own):
            inner.wrong("path", "a folder that is not Tilldrop's own")
        if inner.has("customer") and not is_customer(folder.customer):
            inner.wrong("customer", "a customer, who has a file in config/customers")
        folders.append(folder)
    return tuple(folders)


def _read_folder(inner: Table, home: Path) -> FolderDoor:
    path = inner.text("path", "", _PATH)
    if not inner.has("path"):
        inner.missing("path", _PATH)
    elif not path.strip() or "\0" in path:
        inner.wrong("path", _PATH)
        path = ""
    if not inner.has("customer"):
        inner.missing("customer", "a customer's name")
    default = FolderDoor(Path(), "")
    folder = FolderDoor(
        # Path joins to the right-hand side alone if that is absolute; "" leaves the home.
        path=Path(normpath(home / path)),
        customer=inner.text("customer", "", "a customer's name"),
        quiet_s=inner.number("quiet_s", default.quiet_s, *QUIET_S),
        after=inner.choice("after", AFTER, default.after),
        polling=inner.flag("polling", default=default.polling),
        files=read_files(inner) if inner.has("files") else default.files,
    )
    inner.end()
    return folder
