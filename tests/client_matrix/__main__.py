"""`make clients`: every client does everything, and the table says how it came out.

usage: python -m tests.client_matrix [--only WORD]... [--column NAME]... [--write]

--only: rows whose title contains the word. --write: put the table into docs/clients.md, between
its markers. Ends with 1 if a cell failed or the daemon met a bug.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.client_matrix.clients import ALL
from tests.client_matrix.scenarios import COLUMNS, Cell, Row, fill
from tests.client_matrix.site import Site

if TYPE_CHECKING:
    from tests.client_matrix.driver import Driver

DOCS = Path(__file__).parents[2] / "docs" / "clients.md"
BEGIN, END = "<!-- matrix: written by `make clients` -->", "<!-- end of matrix -->"

Results = dict[str, dict[str, Cell]]


def main() -> int:
    """Run the matrix; return the exit status."""
    asked = _arguments()
    kinds = [kind for kind in ALL if not asked.only or any(w in kind.title for w in asked.only)]
    columns = tuple(asked.column or COLUMNS)
    results: Results = {}
    with tempfile.TemporaryDirectory(prefix="clients-") as folder:
        site = Site(Path(folder), [_user(kind) for kind in kinds])
        try:
            site.open()
            for kind in kinds:
                results[_title(kind)] = _row(site, kind, columns, Path(folder))
            bugs = site.bugs()
        finally:
            site.close()
    told = [*_table(results, columns), *(f"the daemon met a bug: {bug}" for bug in bugs)]
    sys.stdout.write("\n".join(told) + "\n")
    if asked.write:
        _write(_table(results, columns))
    failed = any(cell.mark == "FAIL" for cells in results.values() for cell in cells.values())
    return int(failed or bool(bugs))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.client_matrix")
    parser.add_argument("--only", action="append", metavar="WORD")
    parser.add_argument("--column", action="append", choices=tuple(COLUMNS))
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


def _user(kind: type[Driver]) -> str:
    return f"m{ALL.index(kind):02}"


def _title(kind: type[Driver]) -> str:
    return f"{kind.title} {kind.version()}".strip()


def _row(site: Site, kind: type[Driver], columns: tuple[str, ...], folder: Path) -> dict[str, Cell]:
    """Run one client through all columns, saying each on stderr."""
    user = _user(kind)
    door = "sftp" if kind.protocol == "sftp" else "ftp"
    if door not in site.ports:
        return {name: Cell("n/a", f"this server has no {door} door") for name in columns}
    own = folder / user
    own.mkdir()

    def again(by_key: bool) -> Driver:  # noqa: FBT001
        return kind(site.login(user, kind.protocol, own / "scratch", by_key=by_key))

    row = Row(site, user, again(bool(kind.no_password)), own, again)
    cells = {}
    for name, cell in fill(row, columns):
        cells[name] = cell
        words = f"{kind.title:28} {name:16} {cell.mark:8} {cell.took_s:5.1f} s  {cell.note[:300]}"
        sys.stderr.write(words.rstrip() + "\n")
    return cells


def _table(results: Results, columns: tuple[str, ...]) -> list[str]:
    """Write the table in Markdown, with a numbered note for all that is not just OK."""
    notes: dict[str, int] = {}
    lines = [
        "| client | " + " | ".join(columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for title, cells in results.items():
        shown = [_shown(cells[name], notes) for name in columns]
        lines.append(f"| {title} | " + " | ".join(shown) + " |")
    lines.append("")
    lines += [f"{number}. {note}" for note, number in notes.items()]
    return lines


def _shown(cell: Cell, notes: dict[str, int]) -> str:
    if not cell.note:
        return cell.mark
    note = " ".join(cell.note.split()).replace("|", "\\|")[:200]
    return f"{cell.mark} [{notes.setdefault(note, len(notes) + 1)}]"


def _write(table: list[str]) -> None:
    before, _, rest = DOCS.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCS.write_text("\n".join((before + BEGIN, "", *table, "", END)) + after, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
