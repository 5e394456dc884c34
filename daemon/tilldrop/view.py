"""What a customer sees of its deliveries, and what it may ask of them: pure rules.

Not a folder on disk but a reading of the ledger: a root with every name that the customer
sent, the folders that its feeds name, and `receipts/`. A feed may name folders by a pattern (one
per location or date): such a folder may be made, which changes nothing, or simply written into.
Both doors answer from here. Given what the ledger knows of a name (`Known`) and a request, each
function returns what is to be done or raises the refusal. Never touches a database, a file or a
socket.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilldrop.delivery import Delivery, State
from tilldrop.errors import (
    DeliveredStays,
    FolderFixed,
    IsFolder,
    NameExists,
    NameRefused,
    NoLongerKept,
    NoSuchFile,
    NoSuchFolder,
    ReadOnly,
    UploadBroken,
)
from tilldrop.importer.cards import mask_name
from tilldrop.mapping import takes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tilldrop.config_customers import Customer

RECEIPTS = "receipts"
NAME_CHARS = 200
NAME_BYTES = 255
# Suffixes that upload programs add until a file is whole: WinSCP, browsers and scripts, rclone.
TEMPORARY_SUFFIXES = (".filepart", ".part", ".partial", ".tmp", ".temp", ".uploading", ".upload")
# Control, format (bidi overrides), surrogate, private use, unassigned, line and paragraph ends.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_WILDCARD = re.compile(r"[*?\[]")
_RCLONE_MARK = re.compile(r"\.[0-9a-f]{6,10}$")  # sales.csv.1a2b3c4d.partial


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a listing. mtime: seconds since 1970."""

    name: str
    is_folder: bool
    size_bytes: int
    mtime: int
    writable: bool


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows of one name.

    own_size: bytes so far of this connection's open upload of that name, None if it has none.
    unfinished: the latest waiting or broken delivery whose bytes are there. accepted: the
    latest acknowledged one.
    """

    own_size: int | None = None
    unfinished: Delivery | None = None
    accepted: Delivery | None = None


@dataclass(frozen=True, slots=True)
class Begin:
    """A new delivery. seed: the accepted delivery whose bytes it starts with, if any."""

    seed: Delivery | None = None


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on with an unfinished delivery, keeping the first keep_bytes of it."""

    delivery: Delivery
    keep_bytes: int


# -- names -------------------------------------------------------------------------------------


def resolve(path: str) -> str:
    """Bring a path to the form the ledger keeps: relative to the root, no dots, NFC.

    "" is the root. A card number in a name is masked, so that it is kept nowhere; who says the
    name again means the same file. Raises NameRefused for a name that is not accepted.
    """
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(mask_name(_checked(part)))
    return "/".join(parts)


def _checked(part: str) -> str:
    part = unicodedata.normalize("NFC", part)
    too_long = len(part) > NAME_CHARS or len(part.encode(errors="replace")) > NAME_BYTES
    odd = "\\" in part or part != part.strip()
    if too_long or odd or any(unicodedata.category(c) in _UNSEEN for c in part):
        raise NameRefused(f"not an acceptable name: {part[:80]!r}")
    return part


def is_temporary(name: str) -> bool:
    """Say whether an upload program uses such a name until the file is whole."""
    last = name.rpartition("/")[2]
    return last.startswith(".") or last.lower().endswith(TEMPORARY_SUFFIXES)


def finishes_as(temporary: str, name: str) -> bool:
    """Say whether `temporary` is what an upload program would call `name` until its end."""
    folder, _, last = temporary.rpartition("/")
    if folder != name.rpartition("/")[0]:
        return False
    last = last.removeprefix(".in.").removeprefix(".")
    for suffix in (*TEMPORARY_SUFFIXES, "."):
        if last.lower().endswith(suffix):
            last = last[: -len(suffix)]
            break
    final = name.rpartition("/")[2]
    return final in (last, _RCLONE_MARK.sub("", last))


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of a customer's view.

    named: those that are always there. patterns: what further ones are called. files: what feeds
    call files, folder and all.
    """

    named: frozenset[str]
    patterns: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def fits(self, path: str) -> bool:
        """Say whether a folder of that name may be made and written into; never a named one."""
        if not self.patterns or path in self.named or _is_reserved(path):
            return False
        return takes(self.patterns, path)

    def takes_files(self, path: str) -> bool:
        """Say whether files may be written into a folder of that name, receipts apart."""
        return path in self.named or self.fits(path)

    def suggests(self, path: str) -> bool:
        """Say whether a name of which nothing is known is taken for a folder.

        One that fits, unless it looks like a file: it has a dot, or a feed takes it as a file.
        Were every name a folder that fits `*`, programs would put files into it.
        """
        last = path.rpartition("/")[2]
        return "." not in last and self.fits(path) and not takes(self.files, path)

    def held(self, names: Iterable[str]) -> set[str]:
        """Return the folders that fit and hold one of these names, at any depth."""
        found: set[str] = set()
        for name in names if self.patterns else ():
            folder = name.rpartition("/")[0]
            while folder and folder not in found and folder not in self.named:
                if self.fits(folder):
                    found.add(folder)
                folder = folder.rpartition("/")[0]
        return found


def folders(customer: Customer) -> Folders:
    """Return the folders of a customer's view: those its feeds name, and the receipts'."""
    named = {RECEIPTS}
    patterns: dict[str, None] = {}
    files = tuple(pattern for feed in customer.feeds for pattern in feed.files)
    for pattern in files:
        folder = pattern.rpartition("/")[0]
        varies = bool(_WILDCARD.search(folder))
        while folder:
            if varies:  # its literal parts too, since patterns are compared without case
                patterns[folder] = None
            if not _WILDCARD.search(folder):
                named.add(folder)
            folder = folder.rpartition("/")[0]
    return Folders(frozenset(named), tuple(patterns), files)


def _is_reserved(path: str) -> bool:
    return path.partition("/")[0].casefold() == RECEIPTS


def parents(path: str) -> list[str]:
    """Return the folders above a name, the nearest first."""
    found = []
    while path := path.rpartition("/")[0]:
        found.append(path)
    return found


def check_place(path: str, known: Folders) -> None:
    """Raise unless a file may be written there: root or a feed's folder."""
    if path == "" or path in known.named:
        raise IsFolder(f"{path or '/'} is a folder")
    folder = path.rpartition("/")[0]
    if folder == RECEIPTS or folder.startswith(RECEIPTS + "/"):
        raise ReadOnly("receipts are written by Tilldrop alone")
    if folder and not known.takes_files(folder):
        raise NoSuchFolder(f"no folder {folder!r}")


def make_folder(path: str, known: Folders, *, is_file: bool) -> None:
    """Decide about MKDIR: returns for a folder that fits, there or not.

    is_file: a file of that name is shown. Raises NameExists, FolderFixed.
    """
    if path == "" or path in known.named or is_file:
        raise NameExists(f"{path or '/'} exists")
    if not known.fits(path):
        raise refuse_folder_change(path)


def inside(folder: str, names: Iterable[str]) -> list[str]:
    """Return the names directly in a folder, without their folder."""
    prefix = f"{folder}/" if folder else ""
    tails = (name[len(prefix) :] for name in names if name.startswith(prefix))
    return [tail for tail in tails if tail and "/" not in tail]


# -- requests ----------------------------------------------------------------------------------


def shown(known: Known) -> Delivery | None:
    """Return the delivery that stands for a name: what STAT tells and READ opens.

    Waiting or broken, if newer than the latest accepted one; else that one. A broken upload
    of which nothing was stored shows nothing.
    """
    late = known.unfinished
    if late is None or (late.state is State.BROKEN and late.size_bytes == 0):
        return known.accepted
    accepted = known.accepted
    if accepted is None or accepted.arrived_at is None or late.changed_at > accepted.arrived_at:
        return late
    return accepted


def stat(path: str, known: Known, now: int) -> Entry:
    """Answer STAT, SIZE, MLST of a file. now: seconds since 1970. Raises NoSuchFile."""
    if known.own_size is not None:
        return Entry(path, is_folder=False, size_bytes=known.own_size, mtime=now, writable=True)
    delivery = shown(known)
    if delivery is None:
        raise NoSuchFile(f"no delivery is called {path!r}")
    return entry(path, delivery)


def entry(path: str, delivery: Delivery) -> Entry:
    """Return a delivery as a line of a listing."""
    at = delivery.arrived_at or delivery.changed_at
    mtime = int(at.timestamp()) if delivery.mtime is None else delivery.mtime
    return Entry(path, is_folder=False, size_bytes=delivery.size_bytes, mtime=mtime, writable=True)


def open_write(known: Known, *, truncate: bool) -> Begin | Resume:
    """Decide what an opening for writing means.

    TRUNC begins a new delivery, except over one that only waits: that one starts again. Without
    TRUNC (APPE, REST likewise) it goes on with what is shown: a waiting or broken upload is
    resumed, an accepted one seeds a new delivery with its bytes.
    Raises NoLongerKept if those bytes are gone.
    """
    delivery = shown(known)
    if truncate and known.unfinished is not None and known.unfinished.state is State.WAITING:
        return Resume(known.unfinished, keep_bytes=0)
    if truncate or delivery is None:
        return Begin()
    if delivery.state in (State.WAITING, State.BROKEN):
        return Resume(delivery, keep_bytes=delivery.size_bytes)
    if delivery.bytes_gone_at is not None:
        raise NoLongerKept(f"the bytes of {delivery.id} are gone")
    return Begin(seed=delivery)


def open_read(path: str, known: Known) -> Delivery:
    """Decide which delivery's bytes a reading of that name gets."""
    delivery = shown(known)
    if delivery is None:
        raise NoSuchFile(f"no delivery is called {path!r}")
    if delivery.bytes_gone_at is not None:
        raise NoLongerKept(f"the bytes of {delivery.id} are gone")
    return delivery


def rename(old: str, known: Known) -> Delivery | None:
    """Decide about a renaming: the waiting delivery that takes the new name.

    None: this connection's own open upload takes it. Only what is unfinished may be renamed;
    a broken upload may not, since a rename would claim that it is whole.
    Raises DeliveredStays, UploadBroken, NoSuchFile.
    """
    if known.own_size is not None:
        return None
    delivery = shown(known)
    if delivery is None:
        raise NoSuchFile(f"no delivery is called {old!r}")
    if delivery.state is State.WAITING:
        return delivery
    if delivery.state is State.BROKEN:
        raise UploadBroken(f"upload {delivery.id} broke off; it cannot take its final name")
    raise DeliveredStays(f"{delivery.id} is delivered")


def remove(path: str, known: Known, waiting_names: Iterable[str]) -> Delivery | None:
    """Decide about a removal: the unfinished delivery that is discarded, or None: do nothing.

    waiting_names: what the customer holds closed under temporary names. While one of them would
    finish as this name, removing the name is answered OK and does nothing: that is how an upload
    program makes room for its rename. Raises DeliveredStays, NoSuchFile.
    """
    delivery = shown(known)
    if delivery is not None and delivery.state in (State.WAITING, State.BROKEN):
        return delivery
    if any(finishes_as(waiting, path) for waiting in waiting_names):
        return None
    if delivery is None:
        raise NoSuchFile(f"no delivery is called {path!r}")
    raise DeliveredStays(f"{delivery.id} is delivered")


def refuse_folder_change(path: str) -> FolderFixed:
    """Return the refusal of RMDIR, of renaming a folder, and of a MKDIR that fits no pattern."""
    return FolderFixed(f"folders are fixed: {path!r}")
