"""The columns of the matrix: what each client is made to do, and what must have come of it.

Every cell is the outcome of doing it: what the client said is compared with what the ledger and
the spool hold.
"""

from __future__ import annotations

import time
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.client_matrix.driver import Driver, NotOfferedError, RefusedError
from tests.daemon import sales, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.client_matrix.site import Site

ROWS = 5000  # 150 KB: more than WinSCP's threshold for a temporary name
MANY = 1000
MANY_WAIT_S = 120
ODD_NAME = "Umsätze Köln März 1.csv"


@dataclass(frozen=True, slots=True)
class Cell:
    """One outcome. mark: "OK", "differs", "no", "n/a" or "FAIL". note: what an OK does not say."""

    mark: str
    note: str = ""
    took_s: float = 0.0


@dataclass(slots=True)
class Row:
    """One client at work on one site. again: a driver for the same customer, by key or not."""

    site: Site
    user: str
    driver: Driver
    folder: Path
    again: Callable[[bool], Driver]


class DiffersError(Exception):
    """It came out well, and yet not as with other clients; how."""


def upload(row: Row) -> None:
    """A file arrives, whole."""
    _send(row, "plain.csv", sales(1, ROWS).encode())


def overwrite(row: Row) -> None:
    """A file of the same name becomes a new delivery."""
    before = row.site.latest(row.user, "plain.csv")
    _send(row, "plain.csv", sales(1, ROWS, cents=250).encode())
    after = row.site.latest(row.user, "plain.csv")
    assert before is None or after is None or before.id != after.id


def resume(row: Row) -> None:
    """An upload that broke off in the middle is brought to its end."""
    content = sales(20_000, ROWS).encode()
    local = _local(row, "resumed.csv", content)
    row.site.break_upload(row.user, "resumed.csv", content[: len(content) // 2])
    row.driver.resume(local, "resumed.csv")
    half = len(content) // 2
    if row.driver.resumes:
        _expect(row, "resumed.csv", content[:half] + row.driver.on_the_wire(content[half:]))
    else:
        _expect(row, "resumed.csv", row.driver.on_the_wire(content))
    delivery = row.site.latest(row.user, "resumed.csv")
    assert delivery is not None
    if not row.driver.resumes or not row.site.was_resumed(delivery):
        raise DiffersError("sends the whole file again")


def read_back(row: Row) -> None:
    """The bytes of a delivered file are read as they were sent."""
    delivery = row.site.latest(row.user, "plain.csv")
    assert delivery is not None, "nothing was uploaded"
    got = row.driver.on_the_wire(row.driver.read("plain.csv"))
    assert got == row.site.content(delivery), f"{len(got)} other bytes came back"


def listing(row: Row) -> None:
    """The listing shows what was sent, and the receipts' folder."""
    names = {name.rstrip("/") for name in row.driver.names()}
    assert {"plain.csv", "receipts"} <= names, f"it shows {sorted(names)[:8]}"


def delete(row: Row) -> None:
    """A delivered file cannot be deleted, and the client says so."""
    _refused(row, lambda: row.driver.delete("plain.csv"))


def rename(row: Row) -> None:
    """A delivered file cannot be renamed, and the client says so."""
    _refused(row, lambda: row.driver.rename("plain.csv", "other.csv"))
    assert row.site.latest(row.user, "other.csv") is None, "it was renamed"


def thousand(row: Row) -> None:
    """A thousand small files arrive."""
    folder = row.folder / "many"
    folder.mkdir()
    for number in range(MANY):
        (folder / f"b{number:04}.dat").write_text(f"file number {number} of {row.user}\n")
    row.driver.put_many(folder)
    wait_for(
        f"{MANY} files, {row.site.count_accepted(row.user, 'b')} at first",
        lambda: row.site.count_accepted(row.user, "b") == MANY,
        MANY_WAIT_S,
    )
    delivery = row.site.latest(row.user, "b0999.dat")
    assert delivery is not None
    assert row.site.content(delivery) == row.driver.on_the_wire((folder / "b0999.dat").read_bytes())


def odd_name(row: Row) -> None:
    """Blanks and umlauts in a name arrive, and are listed, as they are."""
    _send(row, ODD_NAME, sales(40_000, 3).encode())
    try:
        names = [unicodedata.normalize("NFC", name) for name in row.driver.names()]
    except NotOfferedError:
        return
    assert ODD_NAME in names, f"it lists {[n for n in names if n.startswith('U')]}"


def by_password(row: Row) -> None:
    """It logs in by password."""
    if row.driver.no_password:
        raise NotOfferedError(row.driver.no_password)
    row.driver = row.again(False)  # noqa: FBT003
    _send(row, "password.csv", sales(50_000, 3).encode())


def by_key(row: Row) -> None:
    """It logs in by public key, over FTPS by certificate."""
    if row.driver.no_key:
        raise NotOfferedError(row.driver.no_key)
    row.driver = row.again(True)  # noqa: FBT003
    _send(row, "key.csv", sales(60_000, 3).encode())


def temporary(row: Row) -> None:
    """An upload under a temporary name arrives by the rename that finishes it."""
    content = sales(70_000, ROWS).encode()
    row.driver.put_temporary(_local(row, "temp.csv", content), "temp.csv")
    _expect(row, "temp.csv", row.driver.on_the_wire(content))
    left = [one.name for one in row.site.unfinished(row.user) if one.name.startswith("temp")]
    assert not left, f"{left} are left"


COLUMNS: dict[str, Callable[[Row], None]] = {
    "upload": upload,
    "overwrite": overwrite,
    "resume": resume,
    "read back": read_back,
    "list": listing,
    "delete refused": delete,
    "rename refused": rename,
    "1000 files": thousand,
    "blanks, umlauts": odd_name,
    "password": by_password,
    "key": by_key,
    "temporary name": temporary,
}


def fill(row: Row, wanted: tuple[str, ...]) -> Iterator[tuple[str, Cell]]:
    """Do what the columns ask, one after the other; yield each cell as it is known."""
    driver = row.driver
    if driver.cannot_connect:
        yield from _shut_out(row, wanted)
        return
    for name in wanted:
        row.driver = driver
        began = time.monotonic()
        mark, note = _outcome(COLUMNS[name], row)
        if flaw := driver.flaws.get(name):
            still = mark in {"FAIL", "differs"}
            mark, note = ("no", flaw) if still else ("FAIL", f"it no longer does this: {flaw}")
        yield name, Cell(mark, note, time.monotonic() - began)


def _shut_out(row: Row, wanted: tuple[str, ...]) -> Iterator[tuple[str, Cell]]:
    """Try once, and say of every column that it cannot be."""
    mark, _ = _outcome(upload, row)
    tried = Cell("no", row.driver.cannot_connect)
    if mark == "OK":
        tried = Cell("FAIL", "it connects now, against what is written of it")
    for name in wanted:
        yield name, tried


def _outcome(scenario: Callable[[Row], None], row: Row) -> tuple[str, str]:
    try:
        scenario(row)
    except NotOfferedError as missing:
        return "n/a", str(missing)
    except DiffersError as difference:
        return "differs", str(difference)
    except (RefusedError, AssertionError) as wrong:
        return "FAIL", str(wrong)
    except Exception as wrong:  # noqa: BLE001  a client library's own; the others go on
        return "FAIL", f"{type(wrong).__name__}: {wrong}"
    return "OK", ""


def _local(row: Row, name: str, content: bytes) -> Path:
    path = row.folder / name
    path.write_bytes(content)
    return path


def _send(row: Row, name: str, content: bytes) -> None:
    row.driver.put(_local(row, name, content), name)
    _expect(row, name, row.driver.on_the_wire(content))


def _expect(row: Row, name: str, content: bytes) -> None:
    """Wait until these bytes are the latest accepted of that name."""

    def there() -> bool:
        delivery = row.site.latest(row.user, name)
        return delivery is not None and row.site.content(delivery) == content

    try:
        wait_for(name, there, 5)
    except AssertionError:
        raise AssertionError(
            f"{len(content)} bytes were sent: {row.site.how_it_stands(row.user, name)}"
        ) from None


def _refused(row: Row, request: Callable[[], None]) -> None:
    before = row.site.latest(row.user, "plain.csv")
    assert before is not None, "nothing was uploaded"
    silent = False
    try:
        request()
        silent = True
    except NotOfferedError:
        raise
    except Exception:  # noqa: BLE001  each library has its own; that it complains is wanted
        pass
    after = row.site.latest(row.user, "plain.csv")
    assert after is not None
    assert after.id == before.id
    if silent:
        raise DiffersError("refused, and the client does not say so")
